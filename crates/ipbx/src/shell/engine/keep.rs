//! What a turn leaves to be written, and the answers that wait for it.

use super::{Counters, Surroundings};
use crate::member::PhoneSend;
use crate::shell::records::Unlogged;
use crate::trace::call_id_of;
use call::{BindingChange, CallRecord, DialogChange, SubscriptionChange};
use model::MemberNumber;
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::{Batch, Shelf};

/// Bytes of an answer that tell it from any other: its Via with the branch is among them.
const TELLING_BYTES: usize = 256;
/// Answers that may wait for the disk at a time.
const HELD_MAX: usize = 65_536;
/// Longer than any transaction lives (RFC 3261 § 17.1.2.2, Timer F: 32 s).
const BROKEN_FOR: Duration = Duration::from_secs(40);

/// One thread's writes.
pub(super) struct Keeper {
    shard: usize,
    batch: Batch,
    /// What acknowledges the batch.
    then: Vec<PhoneSend>,
    then_members: Vec<(MemberNumber, Vec<u8>)>,
    records: Vec<Unlogged>,
    promised: Promised,
    /// The dialogs that `then` and `then_members` have messages of.
    dialogs: Vec<u64>,
}

/// Messages that are with the disk: a transaction that repeats one meanwhile must not overtake it, nor what is said later
/// in the same dialog. They and their Call-IDs are known by a keyed hash.
#[derive(Clone, Default)]
struct Promised {
    shared: Arc<Waiting>,
    hasher: RandomState,
}

#[derive(Default)]
struct Waiting {
    /// Those whose write is not over.
    unwritten: AtomicUsize,
    /// Those and what could not be kept.
    names: AtomicUsize,
    /// Messages of calls among them that are not sent yet.
    of_calls: AtomicUsize,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    names: HashSet<u64>,
    /// Dialogs with messages that are not sent yet, and how many.
    dialogs: HashMap<u64, usize>,
    /// What could not be kept, and when: their transactions end, and then nothing repeats them any more.
    broken: VecDeque<(Instant, u64)>,
}

impl Answers {
    fn forget_old(&mut self) {
        while let Some((at, name)) = self.broken.front()
            && at.elapsed() > BROKEN_FOR
        {
            self.names.remove(name);
            self.broken.pop_front();
        }
    }
}

impl Promised {
    fn name(&self, send: &PhoneSend) -> u64 {
        let telling = send.bytes.get(..TELLING_BYTES).unwrap_or(&send.bytes);
        self.hasher.hash_one((telling, send.flow.remote))
    }

    fn hold(&self, send: &PhoneSend) {
        let mut answers = self.lock();
        answers.forget_old();
        self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        if answers.names.len() < HELD_MAX {
            answers.names.insert(self.name(send));
        }
        self.shared.names.store(answers.names.len(), Ordering::Relaxed);
    }

    fn holds(&self, send: &PhoneSend) -> bool {
        self.shared.names.load(Ordering::Relaxed) > 0 && self.lock().names.contains(&self.name(send))
    }

    /// The write is over. What could not be kept is not acknowledged when it is asked again, either.
    fn over(&self, sends: &[PhoneSend], kept: bool) {
        let mut answers = self.lock();
        self.shared.unwritten.fetch_sub(sends.len(), Ordering::Relaxed);
        let now = Instant::now();
        for send in sends {
            let name = self.name(send);
            if kept {
                answers.names.remove(&name);
            } else {
                answers.broken.push_back((now, name));
            }
        }
        self.shared.names.store(answers.names.len(), Ordering::Relaxed);
    }

    /// A message of a call waits. Returns the name of its dialog.
    fn enter(&self, message: &[u8]) -> u64 {
        let dialog = self.dialog(message);
        self.shared.of_calls.fetch_add(1, Ordering::Relaxed);
        *self.lock().dialogs.entry(dialog).or_default() += 1;
        dialog
    }

    /// Messages of these dialogs are on their way, or never will be.
    fn leave(&self, dialogs: &[u64]) {
        let mut answers = self.lock();
        for dialog in dialogs {
            if let Entry::Occupied(mut waiting) = answers.dialogs.entry(*dialog) {
                *waiting.get_mut() -= 1;
                if *waiting.get() == 0 {
                    waiting.remove();
                }
            }
        }
        self.shared.of_calls.fetch_sub(dialogs.len(), Ordering::Release);
    }

    fn has_before(&self, message: &[u8]) -> bool {
        self.shared.of_calls.load(Ordering::Acquire) > 0
            && self.lock().dialogs.contains_key(&self.dialog(message))
    }

    fn dialog(&self, message: &[u8]) -> u64 {
        self.hasher.hash_one(call_id_of(message))
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
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
            dialogs: Vec::new(),
        }
    }

    /// Registrations whose answers wait for the disk.
    pub(super) fn unwritten(&self) -> usize {
        self.promised.shared.unwritten.load(Ordering::Relaxed)
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
        then.into_iter().for_each(|send| self.queue(send));
        then_members.into_iter().for_each(|(to, bytes)| self.queue_member(to, bytes));
    }

    /// What is to be found again of a subscription, and its answer.
    pub(super) fn subscription(&mut self, change: &SubscriptionChange, then: Vec<PhoneSend>) {
        let kept = match change {
            SubscriptionChange::Kept { name, bytes } => {
                self.batch.put(Shelf::SUBSCRIPTION, name.as_bytes(), bytes)
            }
            SubscriptionChange::Over { name } => self.batch.remove(Shelf::SUBSCRIPTION, name.as_bytes()),
        };
        // The lamp is lit all the same: it lasts as long as this process does.
        if let Err(fault) = kept {
            tracing::error!(%fault, "a lamp cannot be kept over a restart");
        }
        then.into_iter().for_each(|send| self.queue(send));
    }

    /// True while messages of the same dialog wait for the disk: what is said later must not overtake them (a BYE its ACK).
    pub(super) fn is_behind(&self, message: &[u8]) -> bool {
        self.promised.has_before(message)
    }

    /// Queues a message to a phone behind those that wait.
    pub(super) fn queue(&mut self, send: PhoneSend) {
        self.promised.hold(&send);
        self.dialogs.push(self.promised.enter(&send.bytes));
        self.then.push(send);
    }

    /// Queues a message to a member behind those that wait.
    pub(super) fn queue_member(&mut self, to: MemberNumber, bytes: Vec<u8>) {
        self.dialogs.push(self.promised.enter(&bytes));
        self.then_members.push((to, bytes));
    }

    /// The record of a call that ended.
    pub(super) fn record(&mut self, record: &CallRecord, goes_up: bool) {
        let Some(unlogged) = Unlogged::of(record, goes_up) else { return };
        if let Err(fault) = unlogged.keep(&mut self.batch) {
            tracing::error!(%fault, "a call record is not safe before it is in the log");
        }
        self.records.push(unlogged);
    }

    /// Hands a turn's writes to the writers. What they acknowledge is sent by the journal's, behind the write.
    pub(super) fn flush(&mut self, around: &Surroundings, counters: &Arc<Counters>) {
        let nothing = self.batch.is_empty()
            && self.then.is_empty()
            && self.then_members.is_empty()
            && self.records.is_empty();
        if !nothing {
            let batch = std::mem::take(&mut self.batch);
            let mut then = std::mem::take(&mut self.then);
            let then_members = std::mem::take(&mut self.then_members);
            let members = around.members.clone();
            let (phones, counters) = (around.phones.clone(), Arc::clone(counters));
            let (promised, shard) = (self.promised.clone(), self.shard);
            let (unlogged, log) = (std::mem::take(&mut self.records), around.records.clone());
            let dialogs = std::mem::take(&mut self.dialogs);
            around.live.append_then(batch, move |written| {
                match written {
                    Ok(()) => {
                        promised.over(&then, true);
                        super::lane::count(&counters.sent, then.len());
                        phones.send(shard, &mut then);
                        then_members.into_iter().for_each(|(to, bytes)| members.send(to, bytes));
                    }
                    Err(fault) => {
                        promised.over(&then, false);
                        tracing::error!(%fault, "registrations or calls could not be kept: not acknowledged");
                    }
                }
                promised.leave(&dialogs);
                // Safe or not, the log may still take them.
                log.log(unlogged);
            });
        }
    }
}

/// A change as the journal keeps it. A device is one record, named by its subscriber and itself.
fn put_binding(batch: &mut Batch, change: &BindingChange) -> Result<(), store::StoreError> {
    let (extension, device) = change.subject();
    let name = [extension.as_bytes(), b"\0", device.as_bytes()];
    match change {
        BindingChange::Bound(binding) => batch.put_named(Shelf::BINDING, &name, binding.bytes()),
        BindingChange::Unbound { .. } => batch.remove_named(Shelf::BINDING, &name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::{Flow, Transport};

    fn answer(number: u8) -> PhoneSend {
        let (local, remote) = ("127.0.0.1:5060".parse().unwrap(), "127.0.0.1:40000".parse().unwrap());
        let flow = Flow { transport: Transport::Udp, local, remote, connection: 0 };
        PhoneSend { flow, bytes: vec![number; 300] }
    }

    #[test]
    fn what_is_said_later_waits_in_its_own_dialog_only() {
        let mut keeper = Keeper::new(0);
        let message = |call: &str| format!("ACK sip:a SIP/2.0\r\nCall-ID: {call}\r\n\r\n").into_bytes();
        assert!(!keeper.is_behind(&message("one")));
        keeper.queue_member(MemberNumber::CLUSTER_SERVER, message("one"));
        keeper.queue_member(MemberNumber::CLUSTER_SERVER, message("one"));
        assert!(keeper.is_behind(&message("one")) && !keeper.is_behind(&message("two")));
        let dialogs = std::mem::take(&mut keeper.dialogs);
        keeper.promised.leave(&dialogs[..1]);
        assert!(keeper.is_behind(&message("one")), "one of two is sent");
        keeper.promised.leave(&dialogs[1..]);
        assert!(!keeper.is_behind(&message("one")));
    }

    #[test]
    fn an_answer_is_held_while_it_is_written_and_no_longer() {
        let promised = Promised::default();
        promised.hold(&answer(1));
        assert!(promised.holds(&answer(1)) && !promised.holds(&answer(2)));
        promised.over(&[answer(1)], true);
        assert!(!promised.holds(&answer(1)));
    }

    #[test]
    fn what_could_not_be_kept_stays_held_and_does_not_keep_the_gate_shut() {
        let keeper = Keeper::new(0);
        for number in 0..10 {
            keeper.promised.hold(&answer(number));
        }
        assert_eq!(keeper.unwritten(), 10);
        let all: Vec<PhoneSend> = (0..10).map(answer).collect();
        keeper.promised.over(&all, false);
        assert_eq!(keeper.unwritten(), 0);
        assert!(keeper.holds(&answer(3)), "never acknowledged, however often it is asked again");
    }
}
