//! The edge: everything a member does for the phones attached to it. It owns the transactions, the registrar and
//! the sessions, and is the only one that knows its phones' flows.
//!
//! It is not a proxy (see `Relay`) and it touches no media. Every message takes the same way: transactions
//! first, then `requests` (what is new), a session (what belongs to a call) or the registrar.
//!
//! | what | where |
//! |---|---|
//! | who may register, and with what | `register`, `registrar` |
//! | may this INVITE be a call, and whose | `invite` |
//! | a call | `session` |
//! | BYEs that could not cross | `owed` |
//! | freeze and thaw | `freeze` |

mod authenticate;
mod freeze;
mod invite;
mod register;
mod requests;

pub use freeze::ThawError;

use crate::binding::Binding;
use crate::core::{Core, Purpose, Turn};
use crate::hop::Hop;
use crate::io::{ClusterSide, Fault, Input, Output};
use crate::owed;
use crate::record::{CallId, CallView};
use crate::session::{Event, Session, hang_up_stray};
use crate::settings::EdgeConfig;
use model::routing::{self, Attached, Caller, Decision};
use model::tables::Tables;
use model::{Change, Extension};
use sip::transaction::{Input as LayerInput, Output as LayerOutput};
use sip::{ClientKey, Flow, Message, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The call server's side towards its phones.
#[derive(Debug)]
pub struct Edge {
    core: Core,
    sessions: BTreeMap<CallId, Session>,
    /// When each session wants its next tick.
    deadlines: BTreeSet<(Duration, CallId)>,
}

/// One call of [`Edge::handle`]: its instant, and where its outputs go.
struct Step<'a> {
    now: Duration,
    out: &'a mut Vec<Output>,
}

impl Edge {
    /// A new edge with nothing registered and no records yet. `seed` is fresh random bytes.
    #[must_use]
    pub fn new(config: EdgeConfig, seed: [u8; 32]) -> Edge {
        Edge { core: Core::new(config, seed), sessions: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// Takes back the bindings that were kept on disk. Those of connections count as not connected, since the
    /// connection died with the process that had it; the phone comes back with its next REGISTER.
    pub fn restore_bindings(&mut self, now: Duration, bindings: impl IntoIterator<Item = Binding>) {
        for mut binding in bindings {
            if binding.until > now {
                binding.connected = !binding.flow.transport.is_reliable();
                self.core.held.registrar.restore(binding);
            }
        }
    }

    /// One step.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        let step = &mut Step { now, out };
        match input {
            Input::Sip { from, message } => {
                self.turn(step).transact(LayerInput::Received { from, message });
            }
            Input::FlowClosed(flow) => {
                self.core.held.registrar.flow_closed(&flow);
                self.turn(step).transact(LayerInput::Unreachable { hop: Hop::Phone(flow) });
            }
            Input::Changes(changes) => self.apply(step, &changes),
            Input::Snapshot(records) => {
                self.core.tables.replace(&records);
                let unreadable = self.core.tables.unreadable();
                step.out.extend(unreadable.map(|(_, _, fault)| Output::Fault(fault.clone().into())));
            }
            Input::Cluster(side) => self.cluster(step, side),
            Input::HangUp(call) => self.tell(step, call, Event::HangUp),
            Input::Drain => self.core.held.draining = true,
            Input::Tick => {}
        }
        self.tick(step);
        self.listen(step);
    }

    /// When it wants a tick at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let held = &self.core.held;
        let pays = self.core.carries(&Hop::Cluster);
        [
            held.layer.next_timeout(),
            self.deadlines.first().map(|(due, _)| *due),
            held.registrar.next_expiry(),
            pays.then(|| owed::next_retry(&held.owed)).flatten(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The records in force.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.core.tables
    }

    /// Who it is.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        &self.core.config
    }

    /// All devices bound here.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.core.held.registrar.all()
    }

    /// All calls in progress.
    #[must_use]
    pub fn calls(&self) -> Vec<CallView> {
        self.sessions.values().filter_map(Session::view).collect()
    }

    /// BYEs owed to other members.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.core.held.owed.len()
    }

    /// What a call from `from` to `to` would do now: the same decision as the call's.
    #[must_use]
    pub fn explain(&self, from: &Extension, to: &str) -> Decision {
        self.decide(Caller::Subscriber(from), to)
    }

    fn decide(&self, caller: Caller<'_>, digits: &str) -> Decision {
        let registrar = &self.core.held.registrar;
        let bound = |extension: &Extension| registrar.is_bound(extension);
        // What another member hands on ends here: it has been asked of the cluster already.
        let uplink = match caller {
            Caller::Subscriber(_) => self.core.uplink(),
            Caller::Member => routing::Uplink::None,
        };
        let attached = Attached { member: self.core.config.member, uplink, bound: &bound };
        routing::decide(&self.core.tables, caller, digits, &attached)
    }

    fn turn<'a>(&'a mut self, step: &'a mut Step<'_>) -> Turn<'a> {
        Turn { now: step.now, core: &mut self.core, out: &mut *step.out }
    }

    fn apply(&mut self, step: &mut Step<'_>, changes: &[Change]) {
        for change in changes {
            if let Err(fault) = self.core.tables.apply(change) {
                step.out.push(Output::Fault(Fault::UnreadableRecord(fault)));
            }
        }
    }

    fn cluster(&mut self, step: &mut Step<'_>, side: ClusterSide) {
        if self.core.held.cluster == side {
            return;
        }
        self.core.held.cluster = side;
        match side {
            ClusterSide::Up => owed::pay(&mut self.turn(step), true),
            ClusterSide::Down => {
                let calls: Vec<CallId> = self.sessions.keys().copied().collect();
                for call in calls {
                    self.tell(step, call, Event::ClusterDown);
                }
            }
        }
    }

    fn tick(&mut self, step: &mut Step<'_>) {
        self.turn(step).transact(LayerInput::Tick);
        if self.core.held.registrar.next_expiry().is_some_and(|until| until <= step.now) {
            let over = self.core.held.registrar.expire(step.now);
            step.out.extend(over.into_iter().map(Output::Binding));
        }
        while let Some((due, call)) = self.deadlines.first().copied()
            && due <= step.now
        {
            self.tell(step, call, Event::Tick);
            // A session moves its deadline when it is ticked; the set must not spin if it does not.
            self.deadlines.remove(&(due, call));
        }
        if owed::next_retry(&self.core.held.owed).is_some_and(|due| due <= step.now) {
            owed::pay(&mut self.turn(step), false);
        }
    }

    /// Hears what the transactions say until they are silent.
    fn listen(&mut self, step: &mut Step<'_>) {
        while let Some(said) = self.core.events.pop_front() {
            match said {
                LayerOutput::Send { to, bytes } => step.out.push(Output::Send { to, bytes }),
                LayerOutput::Request { key, from, message } => self.request(step, key, from, message),
                LayerOutput::Cancelled { key, .. } => {
                    if let Some(call) = self.core.call_served(&key) {
                        self.tell(step, call, Event::Cancelled(key));
                    }
                }
                LayerOutput::Ack { message, .. } => self.ack(step, message),
                LayerOutput::Response { key, from, message } => self.response(step, &key, &from, message),
                LayerOutput::Failed { key, why } => self.outcome(step, &key, Err(why)),
                LayerOutput::Unacknowledged { key } => {
                    if let Some(call) = self.core.call_served(&key) {
                        self.tell(step, call, Event::Unacknowledged(key));
                    }
                }
                LayerOutput::Stray { from, message } => self.stray(step, None, &from, &message),
            }
        }
    }

    fn ack(&mut self, step: &mut Step<'_>, ack: Message) {
        if let Some((call, side)) = ack.to().tag().and_then(|tag| self.core.dialog(tag)) {
            self.tell(step, call, Event::Ack(side, ack));
        }
    }

    fn response(&mut self, step: &mut Step<'_>, key: &ClientKey, from: &Hop, message: Message) {
        if self.core.purpose(key).is_some() {
            self.outcome(step, key, Ok(message));
        } else {
            self.stray(step, Some(key), from, &message);
        }
    }

    /// Tells the one who asked what came of it.
    fn outcome(
        &mut self,
        step: &mut Step<'_>,
        key: &ClientKey,
        outcome: Result<Message, sip::transaction::Failure>,
    ) {
        let Some(purpose) = self.core.purpose(key).cloned() else { return };
        let over = match &outcome {
            // The 2xx of an INVITE is not its end: it may come again until its ACK is there.
            Ok(message) => message.status().is_some_and(|status| {
                status.is_final() && !(status.is_success() && message.cseq().method == Method::Invite)
            }),
            Err(_) => true,
        };
        if over {
            self.core.settle(key);
        }
        match purpose {
            Purpose::Invite(call) => {
                let event = match outcome {
                    Ok(message) => Event::Response(key.clone(), message),
                    Err(why) => Event::Failed(key.clone(), why),
                };
                self.tell(step, call, event);
            }
            Purpose::Passed(call, passed) => self.tell(step, call, Event::Passed(passed, outcome)),
            Purpose::Check(call, side) => self.tell(step, call, Event::Checked(side, outcome)),
            Purpose::Bye(owed) if over => owed::answered(&mut self.turn(step), owed, outcome),
            Purpose::Bye(_) => {}
        }
    }

    /// A response nobody waits for. A 2xx to an INVITE means a phone that believes in a call. When not even the
    /// transaction is known, only a bound phone or a member is answered: a stranger's forged 200 would have us
    /// send it several packets for one.
    fn stray(&mut self, step: &mut Step<'_>, key: Option<&ClientKey>, from: &Hop, message: &Message) {
        let success = message.status().is_some_and(sip::Status::is_success);
        let known = message.from().tag().is_some_and(|tag| self.core.dialog(tag).is_some());
        let believable = key.is_some() || from.is_cluster() || self.is_flow_of_a_phone(from);
        if success && message.cseq().method == Method::Invite && !known && believable {
            hang_up_stray(&mut self.turn(step), key, from, message);
        }
    }

    fn is_flow_of_a_phone(&self, from: &Hop) -> bool {
        self.core.held.registrar.all().any(|binding| Hop::Phone(binding.flow) == *from)
    }

    /// Hands an event to a session and keeps its next state.
    fn tell(&mut self, step: &mut Step<'_>, call: CallId, event: Event) {
        let Some(session) = self.sessions.remove(&call) else { return };
        if let Some(due) = session.deadline() {
            self.deadlines.remove(&(due, call));
        }
        match session.handle(&mut self.turn(step), event) {
            Some(next) => self.keep(call, next),
            None => self.core.forget(call),
        }
    }

    fn keep(&mut self, call: CallId, session: Session) {
        if let Some(due) = session.deadline() {
            self.deadlines.insert((due, call));
        }
        self.sessions.insert(call, session);
    }

    /// A phone came back on another flow: its calls go with it.
    fn moved(&mut self, step: &mut Step<'_>, old: Flow, new: Flow) {
        let calls: Vec<CallId> = self.sessions.keys().copied().collect();
        for call in calls {
            self.tell(step, call, Event::Moved(old, new));
        }
    }
}
