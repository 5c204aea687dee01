//! A lane: one shard and the translation of what it says, as a thread runs it or the whole call side does.

use super::calls::{log_entry, published};
use super::exchange::{CallNotice, CallOutput, PhoneSend};
use super::lines;
use call::{
    BindingChange, CallRecord, Device, DialogChange, Hop, Mail, Place, Shard, ShardInput, SubscriptionChange,
};
use model::{Extension, MemberNumber};
use std::time::Duration;

/// What a shard says to what there is once (`Head`), on the cluster server only.
#[derive(Debug)]
pub enum ToHead {
    /// A message for the relay.
    Cluster(Vec<u8>),
    /// A device is bound.
    Bound(Extension, Device),
    /// A device is not bound any more.
    Unbound(Extension, Device),
}

/// What came of one step of a lane. Reused from step to step.
#[derive(Debug, Default)]
pub struct Said {
    /// For the shell.
    pub out: Vec<CallOutput>,
    /// For other lanes.
    pub mail: Mail,
    /// For the head.
    pub to_head: Vec<ToHead>,
    raw: Vec<call::Output>,
    sends: Vec<PhoneSend>,
    across: Vec<(MemberNumber, Vec<u8>)>,
}

/// Turns what shards say into what the shell does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    place: Place,
}

impl Teller {
    pub(super) fn new(place: Place) -> Teller {
        Teller { place }
    }

    /// Translates what one step said. What it acknowledges is sent when the last binding or call it changed is on disk. The
    /// relay of a cluster server is told at once: a call of its own phones with others that it dies in the middle of
    /// answering ends by liveness.
    pub(super) fn tell(self, now: Duration, said: &mut Said) {
        let Said { out, to_head, raw, sends, across, .. } = said;
        let mut kept = None;
        for output in raw.drain(..) {
            match output {
                call::Output::Send { to: Hop::Phone(flow), bytes } => sends.push(PhoneSend { flow, bytes }),
                call::Output::Send { to: Hop::Cluster, bytes } => match self.place {
                    Place::ClusterServer => to_head.push(ToHead::Cluster(bytes)),
                    Place::Node | Place::Independent => {
                        across.push((MemberNumber::CLUSTER_SERVER, bytes));
                    }
                },
                call::Output::Binding(change) => {
                    self.publish(now, &change, out, to_head);
                    kept = Some(out.len());
                    out.push(CallOutput::KeepBinding { change, then: Vec::new() });
                }
                call::Output::Lines(changed) => out.push(CallOutput::ToLink(lines::told(changed))),
                call::Output::Watch(extension, begins) => {
                    out.push(CallOutput::ToLink(CallNotice::Watch(extension, begins)));
                }
                call::Output::Dialog(change) => {
                    // The end of a call holds nothing up.
                    if matches!(change, DialogChange::Kept { .. }) {
                        kept = Some(out.len());
                    }
                    let (then, then_members) = (Vec::new(), Vec::new());
                    out.push(CallOutput::KeepDialog { change, then, then_members });
                }
                call::Output::Subscription(change) => {
                    if matches!(change, SubscriptionChange::Kept { .. }) {
                        kept = Some(out.len());
                    }
                    out.push(CallOutput::KeepSubscription { change, then: Vec::new() });
                }
                call::Output::CallChanged(call) => out.push(CallOutput::CallChanged(call)),
                call::Output::Ended(record) => self.keep(record, out),
                call::Output::Media(order) => out.push(CallOutput::Media(order)),
                call::Output::Fault(fault) => out.push(CallOutput::Fault(fault)),
            }
        }
        match kept.and_then(|place| out.get_mut(place)) {
            Some(CallOutput::KeepBinding { then, .. } | CallOutput::KeepSubscription { then, .. }) => {
                *then = std::mem::take(sends)
            }
            Some(CallOutput::KeepDialog { then, then_members, .. }) => {
                *then = std::mem::take(sends);
                *then_members = std::mem::take(across);
            }
            _ => out.extend(sends.drain(..).map(CallOutput::SendPhone)),
        }
        out.extend(across.drain(..).map(|(to, bytes)| CallOutput::SendMember { to, bytes }));
    }

    /// Translates what an edge said while it was made.
    pub(super) fn tell_first(self, now: Duration, raw: Vec<call::Output>, out: &mut Vec<CallOutput>) {
        let mut said = Said { raw, ..Said::default() };
        self.tell(now, &mut said);
        out.append(&mut said.out);
    }

    /// A node tells the cluster server; the cluster server remembers where its own phones are, which a renewal does not
    /// change.
    fn publish(
        self,
        now: Duration,
        change: &BindingChange,
        out: &mut Vec<CallOutput>,
        to_head: &mut Vec<ToHead>,
    ) {
        match (self.place, change) {
            (Place::Node, BindingChange::Bound(binding)) => {
                out.extend(published(binding).map(CallNotice::Bound).map(CallOutput::ToLink));
            }
            (Place::Node, BindingChange::Unbound { extension, device }) => {
                let notice = CallNotice::Unbound(extension.clone(), device.0.clone());
                out.push(CallOutput::ToLink(notice));
            }
            (Place::ClusterServer, BindingChange::Bound(binding)) if binding.read().since >= now => {
                let bound = binding.unpack().map(|binding| ToHead::Bound(binding.extension, binding.device));
                to_head.extend(bound);
            }
            (Place::ClusterServer, BindingChange::Unbound { extension, device }) => {
                to_head.push(ToHead::Unbound(extension.clone(), device.clone()));
            }
            (Place::ClusterServer, BindingChange::Bound(_)) | (Place::Independent, _) => {}
        }
    }

    fn keep(self, record: CallRecord, out: &mut Vec<CallOutput>) {
        if self.place == Place::Node
            && let Some(entry) = log_entry(&record)
        {
            out.push(CallOutput::ToLink(CallNotice::Log(entry)));
        }
        out.push(CallOutput::KeepRecord(record));
    }
}

impl Said {
    /// Where a step of an edge or shard puts what it says.
    pub(super) fn raw(&mut self) -> (&mut Vec<call::Output>, &mut Mail) {
        (&mut self.raw, &mut self.mail)
    }
}

/// A shard with its translation.
#[derive(Debug)]
pub struct Lane {
    shard: Shard,
    teller: Teller,
}

impl Lane {
    pub(super) fn new(shard: Shard) -> Lane {
        let teller = Teller::new(shard.config().place);
        Lane { shard, teller }
    }

    pub(super) fn into_shard(self) -> Shard {
        self.shard
    }

    /// One step.
    pub fn handle(&mut self, now: Duration, input: ShardInput, said: &mut Said) {
        let (raw, mail) = said.raw();
        self.shard.handle(now, input, raw, mail);
        self.teller.tell(now, said);
    }

    /// When it wants a tick at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.shard.next_timeout()
    }

    /// The shard, for questions.
    #[must_use]
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The records are about to change: whoever changes them must be the only one to have them. New ones follow at once.
    pub fn lay_down_tables(&mut self) {
        self.shard.lay_down_tables();
    }
}
