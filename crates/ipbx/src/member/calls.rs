//! The half of a member that carries calls.

use super::exchange::{CallInput, CallNotice, CallOutput, LinkNotice, PhoneSend};
use call::{
    Binding, BindingChange, CallRecord, ClusterSide, Device, Edge, EdgeConfig, Hop, Location, Place, Relay,
    RelayOutput, Role,
};
use cluster::{LiveBinding, LogEntry};
use model::tables::Tables;
use model::{Change, ClusterId, Extension, Kind, MemberNumber, Record};
use sip::{Flow, Message};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What a call side is made of.
#[derive(Debug, Clone)]
pub struct CallSideConfig {
    /// The cluster, or the machine's own id in no cluster.
    pub cluster: ClusterId,
    /// Who the edge is.
    pub edge: EdgeConfig,
    /// Fresh random bytes.
    pub seed: [u8; 32],
    /// All records the member holds.
    pub records: Vec<Record>,
    /// The registrations found on disk.
    pub bindings: Vec<Binding>,
}

/// The call side of one member: its edge and, on the cluster server, the relay between the members.
#[derive(Debug)]
pub struct CallSide {
    edge: Edge,
    member: MemberNumber,
    /// On the cluster server only.
    centre: Option<Centre>,
}

/// What a cluster server has beside its edge.
#[derive(Debug)]
struct Centre {
    relay: Relay,
    location: Location,
    /// What the nodes published, for people.
    published: BTreeMap<MemberNumber, BTreeMap<(Extension, String), LiveBinding>>,
}

impl CallSide {
    /// A call side at the start of its process. The first outputs publish the registrations found on disk.
    #[must_use]
    pub fn new(now: Duration, config: CallSideConfig, out: &mut Vec<CallOutput>) -> CallSide {
        let CallSideConfig { cluster, edge, seed, records, bindings } = config;
        let mut edge = Edge::new(edge, seed);
        edge.restore_bindings(now, bindings);
        CallSide::around(now, edge, cluster, records, out)
    }

    /// A call side whose edge goes on where `frozen` stopped. The bindings of `config` are not looked at.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn thaw(
        now: Duration,
        config: CallSideConfig,
        frozen: &[u8],
        out: &mut Vec<CallOutput>,
    ) -> Result<CallSide, call::ThawError> {
        let edge = Edge::thaw(frozen, config.seed)?;
        let connections: BTreeSet<Flow> =
            edge.bindings().map(|binding| binding.flow).filter(|flow| flow.transport.is_reliable()).collect();
        let is_node = edge.config().place == Place::Node;
        let mut side = CallSide::around(now, edge, config.cluster, config.records, out);
        // What the process before was connected to, this one is not.
        if is_node {
            side.handle(now, CallInput::Link(LinkNotice::Down), out);
        }
        for flow in connections {
            side.handle(now, CallInput::FlowClosed(flow), out);
        }
        Ok(side)
    }

    fn around(
        now: Duration,
        edge: Edge,
        cluster: ClusterId,
        records: Vec<Record>,
        out: &mut Vec<CallOutput>,
    ) -> CallSide {
        let member = edge.config().member;
        let is_centre = edge.config().place == Place::ClusterServer;
        let centre = is_centre.then(|| Centre::new(now, Relay::new(cluster), edge.bindings()));
        out.extend(edge.bindings().map(|binding| CallOutput::ToLink(CallNotice::Bound(published(binding)))));
        let mut side = CallSide { edge, member, centre };
        let mut said = Vec::new();
        side.edge.handle(now, call::Input::Snapshot(records), &mut said);
        side.settle(now, said, out);
        side
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Duration, input: CallInput, out: &mut Vec<CallOutput>) {
        let mut said = Vec::new();
        match input {
            CallInput::Phone { flow, message } => {
                let input = call::Input::Sip { from: Hop::Phone(flow), message };
                self.edge.handle(now, input, &mut said);
            }
            CallInput::FlowClosed(flow) => {
                self.edge.handle(now, call::Input::FlowClosed(flow), &mut said);
            }
            CallInput::Member { from, message } => match &self.centre {
                None => self.cluster_message(now, message, &mut said),
                Some(_) => self.relay(now, from, message, &mut said, out),
            },
            CallInput::Link(notice) => self.link(now, notice, &mut said, out),
            CallInput::Changes(changes) => {
                if let Some(centre) = &mut self.centre {
                    changes.iter().filter_map(deleted_node).for_each(|member| centre.forget(member));
                }
                self.edge.handle(now, call::Input::Changes(changes), &mut said);
            }
            CallInput::HangUp(call) => self.edge.handle(now, call::Input::HangUp(call), &mut said),
            CallInput::Drain => self.edge.handle(now, call::Input::Drain, &mut said),
            CallInput::Tick => self.edge.handle(now, call::Input::Tick, &mut said),
        }
        self.settle(now, said, out);
    }

    /// The next instant at which `Tick` is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.edge.next_timeout()
    }

    /// The edge, for questions.
    #[must_use]
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// What this member knows.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.edge.tables()
    }

    /// Where subscribers are, on the cluster server.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.centre.as_ref().map(|centre| &centre.location)
    }

    /// What the nodes published, on the cluster server.
    pub fn published(&self) -> impl Iterator<Item = (MemberNumber, &LiveBinding)> {
        let centres = self.centre.iter();
        centres.flat_map(|centre| {
            centre.published.iter().flat_map(|(member, all)| all.values().map(|binding| (*member, binding)))
        })
    }

    /// The state of the edge as bytes; location and relay hold nothing that the links do not bring again.
    ///
    /// # Errors
    /// See [`Edge::freeze`].
    pub fn freeze(&self) -> Result<Vec<u8>, call::ThawError> {
        self.edge.freeze()
    }

    fn cluster_message(&mut self, now: Duration, message: Message, said: &mut Vec<call::Output>) {
        self.edge.handle(now, call::Input::Sip { from: Hop::Cluster, message }, said);
    }

    /// Carries a message between members; what is for this member goes to its own edge.
    fn relay(
        &mut self,
        now: Duration,
        from: MemberNumber,
        message: Message,
        said: &mut Vec<call::Output>,
        out: &mut Vec<CallOutput>,
    ) {
        let Some(centre) = &self.centre else { return };
        match centre.relay.route(from, &message, &centre.location, self.edge.tables()) {
            Some(RelayOutput::ToMember(to, bytes)) => out.push(CallOutput::SendMember { to, bytes }),
            Some(RelayOutput::ToOwnEdge(message)) => self.cluster_message(now, message, said),
            None => {}
        }
    }

    fn link(
        &mut self,
        now: Duration,
        notice: LinkNotice,
        said: &mut Vec<call::Output>,
        out: &mut Vec<CallOutput>,
    ) {
        let to_edge = match notice {
            LinkNotice::Up => call::Input::Cluster(ClusterSide::Up),
            LinkNotice::Down => call::Input::Cluster(ClusterSide::Down),
            LinkNotice::Changes(changes) => call::Input::Changes(changes),
            LinkNotice::Snapshot(records) => call::Input::Snapshot(records),
            live => {
                if let (Some(centre), Some(member)) = (&mut self.centre, member_of(&live)) {
                    centre.learn(now, live);
                    out.push(CallOutput::BindingsChanged(member));
                }
                return;
            }
        };
        self.edge.handle(now, to_edge, said);
    }

    /// Turns what the edge said into outputs. On the cluster server what goes to the cluster passes the relay,
    /// and what comes back from it is said again, until nothing is left.
    fn settle(&mut self, now: Duration, said: Vec<call::Output>, out: &mut Vec<CallOutput>) {
        let mut waiting = VecDeque::from(said);
        let mut sends = Vec::new();
        let mut kept = None;
        while let Some(output) = waiting.pop_front() {
            match output {
                call::Output::Send { to: Hop::Phone(flow), bytes } => sends.push(PhoneSend { flow, bytes }),
                call::Output::Send { to: Hop::Cluster, bytes } if self.centre.is_none() => {
                    out.push(CallOutput::SendMember { to: MemberNumber::CLUSTER_SERVER, bytes });
                }
                call::Output::Send { to: Hop::Cluster, bytes } => {
                    let Ok(message) = Message::parse(&bytes) else { continue };
                    let mut more = Vec::new();
                    self.relay(now, self.member, message, &mut more, out);
                    waiting.extend(more);
                }
                call::Output::Binding(change) => {
                    self.publish(&change, out);
                    kept = Some(out.len());
                    out.push(CallOutput::KeepBinding { change, then: Vec::new() });
                }
                call::Output::CallChanged(view) => out.push(CallOutput::CallChanged(view)),
                call::Output::Ended(record) => self.keep(record, out),
                call::Output::Fault(fault) => out.push(CallOutput::Fault(fault)),
            }
        }
        // What a step acknowledges is sent when the last binding it changed is on disk.
        match kept.and_then(|place| out.get_mut(place)) {
            Some(CallOutput::KeepBinding { then, .. }) => *then = sends,
            _ => out.extend(sends.into_iter().map(CallOutput::SendPhone)),
        }
    }

    fn publish(&mut self, change: &BindingChange, out: &mut Vec<CallOutput>) {
        if let Some(centre) = &mut self.centre {
            centre.location.apply(self.member, change);
        }
        out.push(CallOutput::ToLink(match change {
            BindingChange::Bound(binding) => CallNotice::Bound(published(binding)),
            BindingChange::Unbound { extension, device } => {
                CallNotice::Unbound(extension.clone(), device.0.clone())
            }
        }));
    }

    fn keep(&self, record: CallRecord, out: &mut Vec<CallOutput>) {
        if let Some(entry) = log_entry(&record) {
            out.push(CallOutput::ToLink(CallNotice::Log(entry)));
        }
        out.push(CallOutput::KeepRecord(record));
    }
}

impl Centre {
    fn new<'a>(now: Duration, relay: Relay, own: impl Iterator<Item = &'a Binding>) -> Centre {
        let mut location = Location::new(now);
        let own = own.map(|binding| (&binding.extension, &binding.device));
        location.snapshot(MemberNumber::CLUSTER_SERVER, own);
        Centre { relay, location, published: BTreeMap::new() }
    }

    /// A node that left the cluster is nowhere any more, not beyond a cut.
    fn forget(&mut self, member: MemberNumber) {
        self.location.forget(member);
        self.published.remove(&member);
    }

    fn learn(&mut self, now: Duration, notice: LinkNotice) {
        match notice {
            LinkNotice::LiveReset(member, all) => {
                let named: Vec<(Extension, Device)> =
                    all.iter().map(|live| (live.extension.clone(), Device(live.device.clone()))).collect();
                self.location.snapshot(member, named.iter().map(|(extension, device)| (extension, device)));
                let all = all.into_iter().map(|live| ((live.extension.clone(), live.device.clone()), live));
                self.published.insert(member, all.collect());
            }
            LinkNotice::Bound(member, live) => {
                self.location.bound(member, &live.extension, &Device(live.device.clone()));
                let key = (live.extension.clone(), live.device.clone());
                self.published.entry(member).or_default().insert(key, live);
            }
            LinkNotice::Unbound(member, extension, device) => {
                self.location.unbound(member, &extension, &Device(device.clone()));
                if let Some(all) = self.published.get_mut(&member) {
                    all.remove(&(extension, device));
                }
            }
            LinkNotice::NodeDown(member, since) => self.location.lost(since.min(now), member),
            // A node is within reach once its bindings are known, not before: `LiveReset` says so.
            LinkNotice::NodeUp(_)
            | LinkNotice::Up
            | LinkNotice::Down
            | LinkNotice::Changes(_)
            | LinkNotice::Snapshot(_)
            | LinkNotice::Lamps(_) => {}
        }
    }
}

fn deleted_node(change: &Change) -> Option<MemberNumber> {
    match change {
        Change::Delete { kind: Kind::Node, key, .. } => key.parse().ok(),
        Change::Delete { .. } | Change::Put(_) => None,
    }
}

fn member_of(notice: &LinkNotice) -> Option<MemberNumber> {
    match notice {
        LinkNotice::NodeUp(member)
        | LinkNotice::NodeDown(member, _)
        | LinkNotice::LiveReset(member, _)
        | LinkNotice::Bound(member, _)
        | LinkNotice::Unbound(member, _, _) => Some(*member),
        LinkNotice::Up
        | LinkNotice::Down
        | LinkNotice::Changes(_)
        | LinkNotice::Snapshot(_)
        | LinkNotice::Lamps(_) => None,
    }
}

fn published(binding: &Binding) -> LiveBinding {
    LiveBinding {
        extension: binding.extension.clone(),
        device: binding.device.0.clone(),
        detail: serde_json::to_vec(binding).unwrap_or_default(),
    }
}

/// The record of a call or leg as an entry of the common log. Its name is unique in the cluster for ever: a
/// call has one record at each edge.
#[must_use]
pub fn log_entry(record: &CallRecord) -> Option<LogEntry> {
    let body = serde_json::to_vec(record).ok()?;
    Some(LogEntry { id: log_id(record), body })
}

/// The name of a record in the common log.
#[must_use]
pub fn log_id(record: &CallRecord) -> String {
    let role = match record.role {
        Role::Originating => "call",
        Role::Terminating => "leg",
    };
    format!("{}-{}-{role}-{}", record.session, record.member, record.created.as_millis())
}
