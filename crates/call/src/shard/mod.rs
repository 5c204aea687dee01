//! A shard: a part of an edge that needs nobody else for nearly all it does. It holds transactions, the calls that
//! begin with them, and the owners of the subscribers that hash to it (DESIGN § 3).
//!
//! It is not the edge (see `Edge`, which runs any number of shards on one thread), and it shares nothing with other shards
//! but the records: they tell each other words. Every message takes the same way: transactions first,
//! then `requests` (what is new), a session (what belongs to a call) or the registrar.
//!
//! | what | where |
//! |---|---|
//! | which shard takes a message | `sorting` |
//! | whose request is it | `prove` |
//! | who may register, and with what | `register`, `owner` |
//! | may this INVITE be a call, and where does it go | `invite` |
//! | where a call in progress shall go | `route` |
//! | a call that joins one elsewhere | `moving` |
//! | a call | `session` |
//! | BYEs that could not cross | `owed` |
//! | what shards say to each other | `word` |

mod events;
mod invite;
mod moving;
mod prove;
mod register;
mod requests;
mod route;
mod sorting;
mod word;

use prove::{Proof, Unproven};
pub(crate) use sorting::named_tags;
pub use sorting::{ShardId, Sorter};
pub use word::{Mail, Word};

use crate::binding::PackedBinding;
use crate::core::{Ask, Core, Purpose, Turn};
use crate::events::Messages;
use crate::hop::Hop;
use crate::io::{ClusterSide, Fault, MemberLines, Output};
use crate::owed;
use crate::owner::{Ban, Suspect};
use crate::record::{CallId, CallView};
use crate::session::{DialogChange, Event, Session, acknowledge_stray, hang_up_stray};
use crate::settings::EdgeConfig;
use media::relay::Report;
use model::Extension;
use model::routing::{self, Attached, Caller, Decision};
use model::tables::Tables;
use sip::transaction::{Input as LayerInput, Output as LayerOutput};
use sip::{ClientKey, Flow, Message, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use word::Saying;

/// What a shard is told.
#[derive(Debug)]
pub enum ShardInput {
    /// A message came that `Sorter` gives to this shard.
    Sip {
        /// Where from.
        from: Hop,
        /// The message.
        message: Message,
    },
    /// Another shard has something to say.
    Word(Word),
    /// A phone's connection is gone.
    FlowClosed(Flow),
    /// These records are in force from now on.
    Tables(Arc<Tables>),
    /// The cluster side came or went.
    Cluster(ClusterSide),
    /// Watched lines are so at the other members.
    Lamps(Arc<Vec<MemberLines>>),
    /// So many messages wait for a subscriber of this shard.
    Messages(Extension, Messages),
    /// An operator ends a call, if it is here.
    HangUp(CallId),
    /// An operator lets somebody off who was braked, if that is here.
    Lift(Suspect),
    /// The relay of a call's media tells something.
    Media(Report),
    /// No new calls but emergency calls.
    Drain,
    /// Time has passed.
    Tick,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {
    pub(crate) core: Core,
    pub(crate) sessions: BTreeMap<CallId, Session>,
    /// When each session wants its next tick.
    pub(crate) deadlines: BTreeSet<(Duration, CallId)>,
}

/// One call of [`Shard::handle`]: its instant, and where its outputs and words go.
struct Step<'a> {
    now: Duration,
    out: &'a mut Vec<Output>,
    mail: &'a mut Mail,
}

impl Step<'_> {
    fn say(&mut self, to: ShardId, saying: Saying) {
        self.mail.push((to, Word(saying)));
    }
}

impl Shard {
    pub(crate) fn of(mut core: Core, sessions: BTreeMap<CallId, Session>) -> Shard {
        core.held.media.thawed();
        let due = |(call, session): (&CallId, &Session)| session.deadline().map(|due| (due, *call));
        let deadlines = sessions.iter().filter_map(due).collect();
        Shard { core, sessions, deadlines }
    }

    /// Its number within its edge.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.core.id
    }

    /// One step. `mail` gets the words for other shards.
    pub fn handle(&mut self, now: Duration, input: ShardInput, out: &mut Vec<Output>, mail: &mut Mail) {
        let step = &mut Step { now, out, mail };
        match input {
            ShardInput::Sip { from, message } => self.receive(step, from, message),
            ShardInput::Word(Word(saying)) => self.hear(step, saying),
            ShardInput::FlowClosed(flow) => {
                self.core.held.notifier.lost(flow);
                self.core.held.owners.flow_closed(&flow);
                self.turn(step).transact(LayerInput::Unreachable { hop: Hop::Phone(flow) });
            }
            ShardInput::Tables(tables) => self.core.tables = tables,
            ShardInput::Cluster(side) => self.cluster(step, side),
            ShardInput::Lamps(lamps) => self.hear_lamps(&lamps),
            ShardInput::Messages(extension, messages) => self.messages(step, &extension, messages),
            ShardInput::HangUp(call) => self.tell(step, call, Event::HangUp),
            ShardInput::Lift(suspect) => self.core.brake.lift(&suspect),
            ShardInput::Media(report) => self.media(step, &report),
            ShardInput::Drain => self.core.held.draining = true,
            ShardInput::Tick => {}
        }
        self.tick(step);
        self.listen(step);
        self.tell_events(step);
        self.core.held.media.flush(step.out);
    }

    /// The records are about to change: whoever changes them must be the only one to have them, or has to copy them. The
    /// new ones must follow before anything else.
    pub fn lay_down_tables(&mut self) {
        self.core.tables = Arc::default();
    }

    /// When it wants a tick at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let held = &self.core.held;
        let pays = self.core.carries(&Hop::Cluster);
        [
            held.layer.next_timeout(),
            self.deadlines.first().map(|(due, _)| *due),
            held.owners.next_expiry(),
            held.media.next_timeout(),
            held.notifier.next_timeout(),
            held.board.publish_due(),
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

    /// Who its edge is.
    #[must_use]
    pub fn config(&self) -> &EdgeConfig {
        &self.core.config
    }

    /// The devices of the subscribers it owns.
    pub fn bindings(&self) -> impl Iterator<Item = &PackedBinding> {
        self.core.held.owners.all()
    }

    /// True when a phone of `extension`, which it owns, can be called.
    #[must_use]
    pub fn is_bound(&self, extension: &Extension) -> bool {
        self.core.held.owners.is_bound(extension)
    }

    /// Its calls in progress.
    pub fn calls(&self) -> impl Iterator<Item = CallView> {
        self.sessions.values().filter_map(Session::view)
    }

    /// Who is refused unheard here for having guessed at passwords.
    #[must_use]
    pub fn bans(&self, now: Duration) -> Vec<Ban> {
        self.core.brake.bans(now)
    }

    /// Streams it has anchored.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.core.held.media.open()
    }

    /// Records that wait for the last figures of their media.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.core.held.media.waiting()
    }

    /// BYEs it owes to other members.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.core.held.owed.len()
    }

    /// What a call from `from` to `to` would do now, when `bound` says who has a phone here: owners are in several shards.
    #[must_use]
    pub fn explain(&self, from: &Extension, to: &str, bound: &dyn Fn(&Extension) -> bool) -> Decision {
        self.decide(Caller::Subscriber(from), to, bound)
    }

    fn decide(&self, caller: Caller<'_>, digits: &str, bound: &dyn Fn(&Extension) -> bool) -> Decision {
        // What another member hands on ends here: it has been asked of the cluster already.
        let uplink = match caller {
            Caller::Subscriber(_) => self.core.uplink(),
            Caller::Member => routing::Uplink::None,
        };
        let attached = Attached { member: self.core.config.member, uplink, bound };
        routing::decide(&self.core.tables, caller, digits, &attached)
    }

    fn turn<'a>(&'a mut self, step: &'a mut Step<'_>) -> Turn<'a> {
        Turn { now: step.now, core: &mut self.core, out: &mut *step.out }
    }

    /// What another shard says.
    fn hear(&mut self, step: &mut Step<'_>, saying: Saying) {
        match saying {
            Saying::Prove(proof) => {
                let judgement = self.judge_for(step, &proof);
                step.say(proof.home, Saying::Judged(proof, judgement));
            }
            Saying::Judged(proof, judgement) => {
                let Proof { asking, key, flow, message, .. } = *proof;
                self.judged(step, Unproven { asking, key, flow, message }, judgement);
            }
            Saying::Find(mut placing) => {
                self.find(&mut placing);
                step.say(placing.home, Saying::Found(placing));
            }
            Saying::Found(placing) => self.place(step, placing),
            Saying::Seek(mut routing) => {
                self.seek(&mut routing);
                step.say(routing.home, Saying::Sought(routing));
            }
            Saying::Sought(routing) => self.route(step, routing),
            Saying::Line(news) => self.hear_line(*news),
            Saying::Sip(from, message) => self.receive(step, from, *message),
            Saying::Cancel(round) => self.cancel_round(step, round),
            Saying::Move(moving) => self.move_in(step, *moving),
            Saying::Gone(call, tags) => {
                tags.iter().for_each(|tag| self.core.forward_no_more(tag));
                if let Some(call) = call {
                    self.core.held.media.close_all_of(step.now, call);
                }
            }
            Saying::Over(extension) => self.core.held.owners.over(&extension),
            Saying::Moved(old, new) => self.moved(step, old, new),
            Saying::Stray(from, message) => self.stray_to_phone(step, &from, &message),
        }
    }

    /// Says the same to every shard, this one included.
    fn tell_all(&mut self, step: &mut Step<'_>, say: impl Fn(ShardId) -> Saying) {
        for shard in (0..self.core.sorter.shards()).map(ShardId) {
            if shard == self.core.id { self.hear(step, say(shard)) } else { step.say(shard, say(shard)) }
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
                self.lamps_lost();
                let calls: Vec<CallId> = self.sessions.keys().copied().collect();
                for call in calls {
                    self.tell(step, call, Event::ClusterDown);
                }
            }
        }
    }

    fn tick(&mut self, step: &mut Step<'_>) {
        if self.core.held.layer.next_timeout().is_some_and(|due| due <= step.now) {
            self.turn(step).transact(LayerInput::Tick);
        }
        if self.core.held.owners.next_expiry().is_some_and(|until| until <= step.now) {
            let over = self.core.held.owners.expire(step.now);
            let gone = over.iter().filter_map(|change| change.subject().0.parse::<Extension>().ok());
            gone.for_each(|extension| self.phones_changed(&extension));
            step.out.extend(over.into_iter().map(Output::Binding));
        }
        self.core.held.media.tick(step.now);
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

    /// Hears what the transactions say and does what sessions ask, until all are silent.
    fn listen(&mut self, step: &mut Step<'_>) {
        loop {
            self.listen_to_transactions(step);
            match self.core.asks.pop_front() {
                Some(ask) => self.asked(step, ask),
                None => break,
            }
        }
    }

    /// Does what a session asks.
    fn asked(&mut self, step: &mut Step<'_>, ask: Ask) {
        match ask {
            Ask::Route { call, ticket, rights, digits, without } => {
                self.ask_route(step, (call, ticket), &rights, digits, without);
            }
            Ask::Bring { call, tag } => {
                if let Some(there) = self.elsewhere(&tag) {
                    return self.move_call(step, call, there, Ask::Bring { call, tag });
                }
                let other = self.core.dialog(&tag).map(|(other, _)| other).filter(|other| *other != call);
                let session = other.and_then(|other| self.take(other));
                self.tell(step, call, Event::Brought(session.map(Box::new)));
            }
            Ask::Keep(mut session) => {
                let call = session.call();
                self.write(step, call, &mut session);
                self.keep(call, *session);
                self.tell_lines(step, call);
            }
            Ask::Over(call) => self.forget(step, call),
        }
    }

    fn listen_to_transactions(&mut self, step: &mut Step<'_>) {
        while let Some(said) = self.core.events.pop_front() {
            match said {
                LayerOutput::Send { to, bytes } => step.out.push(Output::Send { to, bytes }),
                LayerOutput::Request { key, from, message } => self.request(step, key, from, message),
                LayerOutput::Cancelled { key, .. } => {
                    if let Some(call) = self.core.call_served(&key) {
                        self.tell(step, call, Event::Cancelled(key));
                    } else {
                        self.core.cancelled_away(&key);
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
                LayerOutput::Stray { from, message } => self.stray(step, None, from, message),
            }
        }
    }

    fn ack(&mut self, step: &mut Step<'_>, ack: Message) {
        if let Some((call, side)) = ack.to_tag().and_then(|tag| self.core.dialog(tag)) {
            self.tell(step, call, Event::Ack(side, ack));
        }
    }

    fn response(&mut self, step: &mut Step<'_>, key: &ClientKey, from: &Hop, message: Message) {
        if self.core.purpose(key).is_some() {
            self.outcome(step, key, Ok(message));
        } else {
            self.stray(step, Some(key), from.clone(), message);
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
            Purpose::Join(call, part) => self.tell(step, call, Event::Joining(part, key.clone(), outcome)),
            Purpose::Unheeded(_) => {}
            Purpose::Notify(Some(notified)) if over => self.notified(step, notified, &outcome),
            Purpose::Notify(_) => {}
            Purpose::Bye(owed) if over => owed::answered(&mut self.turn(step), owed, outcome),
            Purpose::Bye(_) => {}
        }
    }

    /// A response nobody waits for. A 2xx to an INVITE means a phone that believes in a call. When not even the
    /// transaction is known, only a bound phone or a member is answered: a stranger's forged 200 would have us
    /// send it several packets for one.
    fn stray(&mut self, step: &mut Step<'_>, key: Option<&ClientKey>, from: Hop, message: Message) {
        let success = message.status().is_some_and(sip::Status::is_success);
        if !success || message.cseq().method != Method::Invite {
            return;
        }
        let tag = message.from_tag().unwrap_or_default();
        if let Some(to) = self.core.forward_of(tag) {
            return step.say(to, Saying::Sip(from, Box::new(message)));
        }
        if self.core.dialog(tag).is_some() {
            // The process that asked has died before it could acknowledge, and the call was restored.
            if key.is_none() {
                acknowledge_stray(&mut self.turn(step), &from, &message);
            }
            return;
        }
        if key.is_some() || from.is_cluster() {
            hang_up_stray(&mut self.turn(step), key, &from, &message);
            return;
        }
        // We called it by its number, so its owner knows the phone, if it is one.
        let owner = self.core.sorter.owner_of(&message.to().uri.user());
        if owner == self.core.id {
            self.stray_to_phone(step, &from, &message);
        } else {
            step.say(owner, Saying::Stray(from, Box::new(message)));
        }
    }

    fn stray_to_phone(&mut self, step: &mut Step<'_>, from: &Hop, message: &Message) {
        let Ok(called) = message.to().uri.user().parse::<Extension>() else { return };
        let mut flows = self.core.held.owners.phones(&called).map(|binding| binding.flow);
        let bound = flows.any(|flow| Hop::Phone(flow) == *from);
        drop(flows);
        if bound {
            hang_up_stray(&mut self.turn(step), None, from, message);
        }
    }

    /// What the relay tells of a call's media.
    fn media(&mut self, step: &mut Step<'_>, report: &Report) {
        let Some(call) = self.core.held.media.report(step.now, report) else { return };
        if matches!(report, Report::Failed(_)) {
            self.turn(step).fault(Fault::MediaPort);
        }
        let Some(mut session) = self.sessions.remove(&call) else { return };
        session.media_report(&mut self.turn(step), report);
        if matches!(report, Report::Stands(..)) {
            session.media_stands();
            self.write(step, call, &mut session);
        }
        self.sessions.insert(call, session);
    }

    /// Hands an event to a session and keeps its next state.
    fn tell(&mut self, step: &mut Step<'_>, call: CallId, event: Event) {
        let Some(session) = self.sessions.remove(&call) else { return };
        let due = session.deadline();
        match session.handle(&mut self.turn(step), event) {
            Some(mut next) => {
                self.write(step, call, &mut next);
                // One that is past stands no more in the set, or soon will not.
                if next.deadline() != due || due.is_some_and(|due| due <= step.now) {
                    self.wake(call, due, next.deadline());
                }
                self.sessions.insert(call, next);
                self.tell_lines(step, call);
            }
            None => {
                self.wake(call, due, None);
                self.forget(step, call);
            }
        }
    }

    /// A session wants its next tick at another time.
    fn wake(&mut self, call: CallId, before: Option<Duration>, now: Option<Duration>) {
        if let Some(before) = before {
            self.deadlines.remove(&(before, call));
        }
        self.deadlines.extend(now.map(|due| (due, call)));
    }

    fn take(&mut self, call: CallId) -> Option<Session> {
        let session = self.sessions.remove(&call)?;
        self.wake(call, session.deadline(), None);
        Some(session)
    }

    /// Has an answered call written as it is now, and removed when it is over (DESIGN § 5.1).
    fn write(&mut self, step: &mut Step<'_>, call: CallId, session: &mut Session) {
        match session.keep_if_changed(&self.core.held.media) {
            Some(change) => {
                self.core.is_kept(call, session.kept_name());
                step.out.push(Output::Dialog(change));
            }
            None if session.kept_name().is_none() => self.unwrite(step, call),
            None => {}
        }
    }

    fn unwrite(&mut self, step: &mut Step<'_>, call: CallId) {
        if let Some(name) = self.core.is_kept(call, None) {
            step.out.push(Output::Dialog(DialogChange::Over { name }));
        }
    }

    /// A call is over: nothing comes for it, and the owner of who began it has one less to count.
    fn forget(&mut self, step: &mut Step<'_>, call: CallId) {
        self.unwrite(step, call);
        self.tell_lines(step, call);
        self.core.held.media.close_all_of(step.now, call);
        let (tags, caller) = self.core.part_with(call);
        let here = Some(self.core.id);
        let elsewhere = |tag: &String| self.core.sorter.shard_of_tag(tag) != here;
        let moved: Vec<String> = if self.core.sorter.shards() == 1 {
            Vec::new()
        } else {
            tags.into_iter().map(|(tag, _)| tag).filter(elsewhere).collect()
        };
        if !moved.is_empty() {
            self.tell_all(step, |_| Saying::Gone(Some(call), moved.clone()));
        }
        self.over(step, caller);
    }

    pub(crate) fn keep(&mut self, call: CallId, session: Session) {
        self.wake(call, None, session.deadline());
        self.sessions.insert(call, session);
    }

    fn over(&mut self, step: &mut Step<'_>, caller: Option<Extension>) {
        let Some(caller) = caller else { return };
        let owner = self.core.sorter.owner_of(caller.as_str());
        if owner == self.core.id {
            self.core.held.owners.over(&caller);
        } else {
            step.say(owner, Saying::Over(caller));
        }
    }

    /// A phone came back on another flow: its calls go with it.
    fn moved(&mut self, step: &mut Step<'_>, old: Flow, new: Flow) {
        self.core.held.notifier.moved(step.out, old, new);
        let calls: Vec<CallId> = self.sessions.keys().copied().collect();
        for call in calls {
            self.tell(step, call, Event::Moved(old, new));
        }
    }
}
