//! An invented disk: writes take time, are done in order, and a crash loses those that were not done, but for
//! a random number of the first of them. What is on it was acknowledged or may be.

use super::chance::Chance;
use call::{BindingChange, BindingRef, CallRecord, DialogChange, PackedBinding, SubscriptionChange};
use cluster::LogEntry;
use ipbx::member::{PhoneSend, log_entry};
use model::{Change, Kind, MemberNumber, Position, Record};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One write.
#[derive(Debug, Clone)]
pub(super) enum Write {
    /// A registration, and what acknowledges it.
    Binding { change: BindingChange, then: Vec<PhoneSend> },
    /// What is kept of a call, and what makes it so.
    Dialog { change: DialogChange, then: Vec<PhoneSend>, then_members: Vec<(MemberNumber, Vec<u8>)> },
    /// What is kept of a subscription, and its answer.
    Subscription { change: SubscriptionChange, then: Vec<PhoneSend> },
    /// The record of a call of this member, and its entry for the cluster server.
    Record(Box<CallRecord>),
    /// Changes received over the link.
    Changes { position: Position, changes: Vec<Change> },
    /// A snapshot received over the link.
    Snapshot { position: Position, records: Vec<Record> },
    /// A log entry of a node.
    Log(MemberNumber, LogEntry),
    /// The administrator's commit, on the cluster server.
    Commit { revision: u64, changes: Vec<Change> },
}

/// What a process finds when it starts.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) records: BTreeMap<(Kind, String), Record>,
    pub(super) position: Position,
    /// The last changes, on the cluster server.
    pub(super) recent: Vec<Change>,
    pub(super) bindings: BTreeMap<(String, String), PackedBinding>,
    /// What is kept of its calls.
    pub(super) dialogs: BTreeMap<String, Vec<u8>>,
    /// What is kept of its subscriptions.
    pub(super) subscriptions: BTreeMap<String, Vec<u8>>,
    /// Log entries of this member that were not acknowledged by the cluster server.
    pub(super) unacknowledged: BTreeMap<String, LogEntry>,
    /// Names of every call record this member ever kept.
    pub(super) kept: Vec<String>,
    /// Log entries gathered from the nodes.
    pub(super) gathered: BTreeMap<String, MemberNumber>,
    /// What a clean stop left.
    pub(super) frozen: Option<Vec<u8>>,
    /// Writes under way, with the instant at which each is done.
    waiting: VecDeque<(Duration, Write)>,
    busy_until: Duration,
}

impl Disk {
    /// Begins a write.
    pub(super) fn begin(&mut self, now: Duration, write: Write, chance: &mut Chance) {
        // Mostly a millisecond; now and then the stall that real disks have.
        let takes = if chance.percent(1) { chance.ms(100, 800) } else { chance.ms(0, 3) };
        self.busy_until = self.busy_until.max(now) + takes;
        self.waiting.push_back((self.busy_until, write));
    }

    /// True when this answer waits for a write under way.
    pub(super) fn promises(&self, send: &PhoneSend) -> bool {
        let waits = |write: &Write| match write {
            Write::Binding { then, .. } | Write::Dialog { then, .. } | Write::Subscription { then, .. } => {
                then.contains(send)
            }
            _ => false,
        };
        self.waiting.iter().any(|(_, write)| waits(write))
    }

    /// When the next write is done.
    pub(super) fn next_done(&self) -> Option<Duration> {
        self.waiting.front().map(|(done, _)| *done)
    }

    /// The next write that is done by `now`; it is on the disk.
    pub(super) fn done(&mut self, now: Duration) -> Option<Write> {
        self.waiting.front().filter(|(done, _)| *done <= now)?;
        let (_, write) = self.waiting.pop_front()?;
        self.put(&write);
        Some(write)
    }

    /// The process or the machine dies: of the writes under way some of the first are there, the rest is not.
    pub(super) fn crash(&mut self, chance: &mut Chance) {
        let waiting = std::mem::take(&mut self.waiting);
        let survive = chance.below(u64::try_from(waiting.len()).unwrap_or(0) + 1);
        let survive = usize::try_from(survive).unwrap_or(0);
        for (_, write) in waiting.into_iter().take(survive) {
            self.put(&write);
        }
        self.busy_until = Duration::ZERO;
    }

    fn put(&mut self, write: &Write) {
        match write {
            Write::Binding { change: BindingChange::Bound(binding), .. } => {
                let BindingRef { extension, device, .. } = binding.read();
                let name = (extension.to_owned(), device.to_owned());
                self.bindings.insert(name, binding.clone());
            }
            Write::Binding { change: BindingChange::Unbound { extension, device }, .. } => {
                self.bindings.remove(&(extension.to_string(), device.0.clone()));
            }
            Write::Dialog { change: DialogChange::Kept { name, bytes }, .. } => {
                self.dialogs.insert(name.clone(), bytes.clone());
            }
            Write::Dialog { change: DialogChange::Over { name }, .. } => drop(self.dialogs.remove(name)),
            Write::Subscription { change: SubscriptionChange::Kept { name, bytes }, .. } => {
                self.subscriptions.insert(name.clone(), bytes.clone());
            }
            Write::Subscription { change: SubscriptionChange::Over { name }, .. } => {
                self.subscriptions.remove(name);
            }
            Write::Record(record) => {
                if let Some(entry) = log_entry(record) {
                    self.kept.push(entry.id.clone());
                    self.unacknowledged.insert(entry.id.clone(), entry);
                }
            }
            Write::Changes { position, changes } => {
                changes.iter().for_each(|change| apply(&mut self.records, change));
                self.position = *position;
            }
            Write::Snapshot { position, records } => {
                let name = |record: &Record| (record.kind, record.key.clone());
                self.records = records.iter().map(|record| (name(record), record.clone())).collect();
                self.position = *position;
            }
            Write::Log(member, entry) => drop(self.gathered.insert(entry.id.clone(), *member)),
            Write::Commit { revision, changes } => {
                changes.iter().for_each(|change| apply(&mut self.records, change));
                self.position.revision = *revision;
                self.recent.extend(changes.iter().cloned());
            }
        }
    }
}

/// Applies a change to records.
pub(super) fn apply(records: &mut BTreeMap<(Kind, String), Record>, change: &Change) {
    match change {
        Change::Put(record) => drop(records.insert((record.kind, record.key.clone()), record.clone())),
        Change::Delete { kind, key, .. } => drop(records.remove(&(*kind, key.clone()))),
    }
}
