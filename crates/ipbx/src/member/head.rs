//! What a call side has once, however many shards it has: on the cluster server the relay between the members and the
//! knowledge where subscribers are.

use super::exchange::{CallInput, CallOutput, LinkNotice};
use super::lane::ToHead;
use super::lines;
use call::{
    ClusterSide, Device, Front, Hop, Location, PackedBinding, Relay, RelayOutput, ShardInput, Sorter, Whom,
};
use cluster::LiveBinding;
use model::tables::Tables;
use model::{Change, ClusterId, Extension, Kind, MemberNumber};
use sip::Message;
use std::collections::BTreeMap;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub struct Head {
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

impl Head {
    /// Of a member that is no cluster server.
    pub(super) fn of_edge(member: MemberNumber) -> Head {
        Head { member, centre: None }
    }

    /// Of the cluster server, whose own phones are `bindings`.
    pub(super) fn of_centre<'a>(
        now: Duration,
        member: MemberNumber,
        cluster: ClusterId,
        bindings: impl Iterator<Item = &'a PackedBinding>,
    ) -> Head {
        Head { member, centre: Some(Centre::new(now, Relay::new(cluster), bindings)) }
    }

    /// True on the cluster server, where what goes to the cluster passes the relay.
    #[must_use]
    pub fn is_centre(&self) -> bool {
        self.centre.is_some()
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

    /// Carries a message between members. What is for this member's own edge comes back; on a node that is all.
    pub(super) fn carry(
        &self,
        from: MemberNumber,
        message: Message,
        tables: &Tables,
        out: &mut Vec<CallOutput>,
    ) -> Option<Message> {
        let Some(centre) = &self.centre else { return Some(message) };
        match centre.relay.route(from, &message, &centre.location, tables)? {
            RelayOutput::ToMember(to, bytes) => {
                out.push(CallOutput::SendMember { to, bytes });
                None
            }
            RelayOutput::ToOwnEdge(message) => Some(message),
        }
    }

    /// What a shard says. What comes back is for the own edge.
    pub(super) fn hear(
        &mut self,
        word: ToHead,
        tables: &Tables,
        out: &mut Vec<CallOutput>,
    ) -> Option<call::Input> {
        match word {
            ToHead::Cluster(bytes) => {
                let message = Message::parse(&bytes).ok()?;
                let message = self.carry(self.member, message, tables, out)?;
                Some(call::Input::Sip { from: Hop::Cluster, message })
            }
            ToHead::Bound(extension, device) => {
                let member = self.member;
                self.centre.as_mut()?.location.bound(member, &extension, &device);
                None
            }
            ToHead::Unbound(extension, device) => {
                let member = self.member;
                self.centre.as_mut()?.location.unbound(member, &extension, &device);
                None
            }
        }
    }

    /// What comes from outside of the edge, as the edge shall hear it, if it shall.
    pub(super) fn take(
        &mut self,
        now: Duration,
        input: CallInput,
        tables: &Tables,
        out: &mut Vec<CallOutput>,
    ) -> Option<call::Input> {
        Some(match input {
            CallInput::Phone { flow, message } => call::Input::Sip { from: Hop::Phone(flow), message },
            CallInput::FlowClosed(flow) => call::Input::FlowClosed(flow),
            CallInput::Member { from, message } => {
                let message = self.carry(from, message, tables, out)?;
                call::Input::Sip { from: Hop::Cluster, message }
            }
            CallInput::Link(notice) => return self.link(now, notice, out),
            CallInput::Changes(changes) => {
                if let Some(centre) = &mut self.centre {
                    changes.iter().filter_map(deleted_node).for_each(|member| centre.forget(member));
                }
                call::Input::Changes(changes)
            }
            CallInput::Messages(extension, messages) => call::Input::Messages(extension, messages),
            CallInput::HangUp(call) => call::Input::HangUp(call),
            CallInput::Lift(suspect) => call::Input::Lift(suspect),
            CallInput::Media(report) => call::Input::Media(report),
            CallInput::Drain => call::Input::Drain,
            CallInput::Tick => call::Input::Tick,
        })
    }

    fn link(&mut self, now: Duration, notice: LinkNotice, out: &mut Vec<CallOutput>) -> Option<call::Input> {
        Some(match notice {
            LinkNotice::Up => call::Input::Cluster(ClusterSide::Up),
            LinkNotice::Down => call::Input::Cluster(ClusterSide::Down),
            LinkNotice::Changes(changes) => call::Input::Changes(changes),
            LinkNotice::Snapshot(records) => call::Input::Snapshot(records),
            LinkNotice::Lamps(lamps) => lines::heard(lamps),
            live => {
                let member = member_of(&live)?;
                self.centre.as_mut()?.learn(now, live);
                out.push(CallOutput::BindingsChanged(member));
                return None;
            }
        })
    }
}

/// The head of an edge whose shards run on threads of their own: it takes what is not one shard's alone, and says
/// which of them shall hear what.
#[derive(Debug)]
pub struct HeadSide {
    head: Head,
    front: Front,
}

impl HeadSide {
    pub(super) fn new(head: Head, front: Front) -> HeadSide {
        HeadSide { head, front }
    }

    pub(super) fn parts(self) -> (Head, Front) {
        (self.head, self.front)
    }

    /// Sorts messages among the shards.
    #[must_use]
    pub fn sorter(&self) -> Sorter {
        self.front.sorter()
    }

    /// The records in force.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        self.front.tables()
    }

    /// What is there once.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes something from outside.
    pub fn take(
        &mut self,
        now: Duration,
        input: CallInput,
        out: &mut Vec<CallOutput>,
    ) -> Option<(Whom, ShardInput)> {
        let input = self.head.take(now, input, self.front.tables(), out)?;
        Some(self.sort(input, out))
    }

    /// Hears a shard.
    pub fn hear(&mut self, word: ToHead, out: &mut Vec<CallOutput>) -> Option<(Whom, ShardInput)> {
        let input = self.head.hear(word, self.front.tables(), out)?;
        Some(self.sort(input, out))
    }

    fn sort(&mut self, input: call::Input, out: &mut Vec<CallOutput>) -> (Whom, ShardInput) {
        let mut said = Vec::new();
        let sorted = self.front.sort(input, &mut said);
        out.extend(said.into_iter().filter_map(|said| match said {
            call::Output::Fault(fault) => Some(CallOutput::Fault(fault)),
            _ => None,
        }));
        sorted
    }
}

impl Centre {
    fn new<'a>(now: Duration, relay: Relay, own: impl Iterator<Item = &'a PackedBinding>) -> Centre {
        let mut location = Location::new(now);
        let own: Vec<(Extension, Device)> = own
            .filter_map(PackedBinding::unpack)
            .map(|binding| (binding.extension, binding.device))
            .collect();
        let own = own.iter().map(|(extension, device)| (extension, device));
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
