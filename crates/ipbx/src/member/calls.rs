//! The half of a member that carries calls.

use super::exchange::{CallInput, CallNotice, CallOutput, LinkNotice};
use super::head::{Head, HeadSide};
use super::lane::{Lane, Said, Teller};
use super::lines;
use call::{BindingRef, CallRecord, Edge, EdgeConfig, Location, PackedBinding, Place, Role};
use cluster::{LiveBinding, LogEntry};
use model::tables::Tables;
use model::{ClusterId, MemberNumber, Record};
use sip::Flow;
use std::collections::{BTreeSet, VecDeque};
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
    pub bindings: Vec<PackedBinding>,
    /// The answered calls found on disk (`CallOutput::KeepDialog`).
    pub calls: Vec<Vec<u8>>,
    /// The subscriptions found on disk (`CallOutput::KeepSubscription`).
    pub subscriptions: Vec<Vec<u8>>,
}

/// The call side of one member on one thread: its edge with all shards, and what there is once. The daemon takes it apart
/// ([`CallSide::split`]) and runs each shard on a thread of its own.
#[derive(Debug)]
pub struct CallSide {
    edge: Edge,
    head: Head,
}

impl CallSide {
    /// A call side at the start of its process, with the calls of the one before. The first outputs publish the
    /// registrations found on disk.
    #[must_use]
    pub fn new(now: Duration, config: CallSideConfig, out: &mut Vec<CallOutput>) -> CallSide {
        let CallSideConfig { cluster, edge, seed, records, bindings, calls, subscriptions } = config;
        let mut edge = Edge::new(edge, seed);
        edge.restore_bindings(now, bindings);
        let faults = edge.restore_calls(now, calls.iter().map(Vec::as_slice));
        out.extend(faults.into_iter().map(CallOutput::Fault));
        let said = edge.restore_subscriptions(now, subscriptions.iter().map(Vec::as_slice));
        Teller::new(edge.config().place).tell_first(now, said, out);
        CallSide::around(now, edge, cluster, records, out)
    }

    /// A call side whose edge goes on where `frozen` stopped. The bindings and calls of `config` are not looked
    /// at.
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
        let connections: BTreeSet<Flow> = edge
            .bindings()
            .map(|binding| binding.read().flow)
            .filter(|flow| flow.transport.is_reliable())
            .collect();
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
        let EdgeConfig { member, place, .. } = *edge.config();
        let head = match place {
            Place::ClusterServer => Head::of_centre(now, member, cluster, edge.bindings()),
            Place::Node | Place::Independent => Head::of_edge(member),
        };
        if place == Place::Node {
            let bound = edge.bindings().filter_map(published).map(CallNotice::Bound);
            out.extend(bound.map(CallOutput::ToLink));
        }
        if place != Place::Independent {
            out.push(CallOutput::ToLink(lines::told(edge.lines())));
            let watched = |extension| CallOutput::ToLink(CallNotice::Watch(extension, true));
            out.extend(edge.lamps().into_keys().map(watched));
        }
        let mut side = CallSide { edge, head };
        side.say(now, call::Input::Snapshot(records), out);
        side
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Duration, input: CallInput, out: &mut Vec<CallOutput>) {
        if let Some(input) = self.head.take(now, input, self.edge.tables(), out) {
            self.say(now, input, out);
        }
    }

    /// Tells the edge. On the cluster server what goes to the cluster passes the relay, and what comes back from it is
    /// told again, until nothing is left.
    fn say(&mut self, now: Duration, input: call::Input, out: &mut Vec<CallOutput>) {
        let teller = Teller::new(self.edge.config().place);
        let mut said = Said::default();
        let mut waiting = VecDeque::from([input]);
        while let Some(input) = waiting.pop_front() {
            self.edge.handle(now, input, said.raw().0);
            teller.tell(now, &mut said);
            out.append(&mut said.out);
            for word in said.to_head.drain(..) {
                waiting.extend(self.head.hear(word, self.edge.tables(), out));
            }
        }
    }

    /// Its parts, each to be run on a thread.
    #[must_use]
    pub fn split(self) -> (HeadSide, Vec<Lane>) {
        let (front, shards) = self.edge.split();
        (HeadSide::new(self.head, front), shards.into_iter().map(Lane::new).collect())
    }

    /// The call side those parts were; no word may be on its way between them.
    #[must_use]
    pub fn joined(head: HeadSide, lanes: Vec<Lane>) -> CallSide {
        let (head, front) = head.parts();
        let edge = Edge::joined(front, lanes.into_iter().map(Lane::into_shard).collect());
        CallSide { edge, head }
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
        self.head.location()
    }

    /// What the nodes published, on the cluster server.
    pub fn published(&self) -> impl Iterator<Item = (MemberNumber, &LiveBinding)> {
        self.head.published()
    }

    /// The state of the edge as bytes; location and relay hold nothing that the links do not bring again.
    ///
    /// # Errors
    /// See [`Edge::freeze`].
    pub fn freeze(&self) -> Result<Vec<u8>, call::ThawError> {
        self.edge.freeze()
    }
}

/// A binding as other members are told of it.
pub(super) fn published(binding: &PackedBinding) -> Option<LiveBinding> {
    let BindingRef { extension, device, .. } = binding.read();
    let (extension, device) = (extension.parse().ok()?, device.to_owned());
    Some(LiveBinding { extension, device, detail: binding.bytes().to_vec() })
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
