//! What a turn leaves to be written, and the answers that wait for it.

use super::{Counters, Surroundings};
use crate::member::{PhoneSend, log_id};
use crate::shell::clock::ms;
use call::{BindingChange, CallRecord, DialogChange, Role};
use model::MemberNumber;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Batch, LogEntry, RuntimeWrite, Shelf};

/// Bytes of an answer that tell it from any other: its Via with the branch is among them.
const TELLING_BYTES: usize = 256;
/// Answers that may wait for the disk at a time.
const HELD_MAX: usize = 65_536;

/// One thread's writes.
pub(super) struct Keeper {
    shard: usize,
    batch: Batch,
    /// What acknowledges the batch.
    then: Vec<PhoneSend>,
    then_members: Vec<(MemberNumber, Vec<u8>)>,
    records: Vec<RuntimeWrite>,
    promised: Promised,
}

/// Answers that are with the disk: a transaction that repeats one meanwhile must not overtake it. They are known by a keyed
/// hash.
#[derive(Clone, Default)]
struct Promised {
    shared: Arc<Waiting>,
    hasher: RandomState,
}

#[derive(Default)]
struct Waiting {
    count: AtomicUsize,
    answers: Mutex<HashSet<u64>>,
}

impl Promised {
    fn name(&self, send: &PhoneSend) -> u64 {
        let telling = send.bytes.get(..TELLING_BYTES).unwrap_or(&send.bytes);
        self.hasher.hash_one((telling, send.flow.remote))
    }

    fn hold(&self, send: &PhoneSend) {
        let mut answers = self.lock();
        if answers.len() < HELD_MAX && answers.insert(self.name(send)) {
            self.shared.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn holds(&self, send: &PhoneSend) -> bool {
        self.count() > 0 && self.lock().contains(&self.name(send))
    }

    fn count(&self) -> usize {
        self.shared.count.load(Ordering::Relaxed)
    }

    fn release(&self, sends: &[PhoneSend]) {
        let mut answers = self.lock();
        let released = sends.iter().filter(|send| answers.remove(&self.name(send))).count();
        self.shared.count.fetch_sub(released, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    pub(super) fn new(shard: usize) -> Keeper {
        Keeper {
            shard,
            batch: Batch::default(),
            then: Vec::new(),
            then_members: Vec::new(),
            records: Vec::new(),
            promised: Promised::default(),
        }
    }

    /// Registrations whose answers wait for the disk.
    pub(super) fn unwritten(&self) -> usize {
        self.promised.count()
    }

    /// True for an answer that still waits for the disk: it stays held until the disk has what it acknowledges.
    pub(super) fn holds(&self, send: &PhoneSend) -> bool {
        self.promised.holds(send)
    }

    /// A binding, and what acknowledges it.
    pub(super) fn binding(&mut self, change: &BindingChange, then: Vec<PhoneSend>) {
        if let Err(fault) = put_binding(&mut self.batch, change) {
            tracing::error!(%fault, "a registration cannot be kept as it is: not acknowledged");
            return;
        }
        then.iter().for_each(|send| self.promised.hold(send));
        self.then.extend(then);
    }

    /// What is to be found again of a call, and what makes it so.
    pub(super) fn dialog(
        &mut self,
        change: &DialogChange,
        then: Vec<PhoneSend>,
        then_members: Vec<(MemberNumber, Vec<u8>)>,
    ) {
        let kept = match change {
            DialogChange::Kept { name, bytes } => self.batch.put(Shelf::DIALOG, name.as_bytes(), bytes),
            DialogChange::Over { name } => self.batch.remove(Shelf::DIALOG, name.as_bytes()),
        };
        // A call is carried on all the same: it lasts as long as this process does.
        if let Err(fault) = kept {
            tracing::error!(%fault, "a call cannot be kept over a restart");
        }
        then.iter().for_each(|send| self.promised.hold(send));
        self.then.extend(then);
        self.then_members.extend(then_members);
    }

    /// The record of a call that ended.
    pub(super) fn record(&mut self, record: &CallRecord, uploads: bool) {
        let Some(entry) = log_row(record) else { return };
        self.records.push(match uploads {
            true => RuntimeWrite::Append(entry),
            false => RuntimeWrite::AppendGathered(entry),
        });
    }

    /// Hands a turn's writes to the writers. What they acknowledge is sent by the journal's, behind the write.
    pub(super) fn flush(&mut self, around: &Surroundings, counters: &Arc<Counters>) {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            let mut then = std::mem::take(&mut self.then);
            let then_members = std::mem::take(&mut self.then_members);
            let members = around.members.clone();
            let (phones, counters) = (around.phones.clone(), Arc::clone(counters));
            let (promised, shard) = (self.promised.clone(), self.shard);
            around.live.append_then(batch, move |written| match written {
                Ok(()) => {
                    promised.release(&then);
                    super::lane::count(&counters.sent, then.len());
                    phones.send(shard, &mut then);
                    then_members.into_iter().for_each(|(to, bytes)| members.send(to, bytes));
                }
                // They stay held: what could not be kept is never acknowledged, however often it is asked again.
                Err(fault) => {
                    tracing::error!(%fault, "registrations or calls could not be kept: not acknowledged")
                }
            });
        }
        if !self.records.is_empty() {
            let hub = around.hub.clone();
            let records = std::mem::take(&mut self.records);
            around.runtime.write_then(records, move |written| match written {
                Ok(()) => hub.changed("records"),
                Err(fault) => tracing::error!(%fault, "call records could not be kept"),
            });
        }
    }
}

/// A change as the journal keeps it. A device is one record, named by its subscriber and itself.
fn put_binding(batch: &mut Batch, change: &BindingChange) -> Result<(), store::StoreError> {
    let (extension, device) = change.subject();
    let key = format!("{extension}\0{device}");
    match change {
        BindingChange::Bound(binding) => {
            // A value of ours that is no JSON is a bug of ours; an empty one is passed over when it is read back.
            let value = serde_json::to_vec(binding).unwrap_or_default();
            batch.put(Shelf::BINDING, key.as_bytes(), &value)
        }
        BindingChange::Unbound { .. } => batch.remove(Shelf::BINDING, key.as_bytes()),
    }
}

/// A record as a row of the log: `call` for the record of a call, `leg` for that of a leg.
#[must_use]
pub fn log_row(record: &CallRecord) -> Option<LogEntry> {
    let stream = match record.role {
        Role::Originating => "call",
        Role::Terminating => "leg",
    };
    Some(LogEntry {
        id: log_id(record),
        stream: stream.to_owned(),
        session: record.session.clone(),
        at_ms: ms(record.created),
        value: serde_json::to_vec(record).ok()?,
    })
}
