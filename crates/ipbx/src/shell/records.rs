//! Records of calls on their way to the log. A record is in the journal with the turn that ended its call, so `kill -9`
//! cannot lose it; from there it comes into the log's file in company.
//!
//! A database pays for every commit, whatever is in it: 50 µs for one record alone, a sixth of that for each of a hundred.
//! What was in the journal when the process died is written at the next start; a record that is there twice is one (its id is
//! unique).

use crate::member::log_id;
use crate::shell::clock::ms;
use call::{CallRecord, Role};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Batch, Journal, LogEntry, RuntimeStore, RuntimeWrite, Shelf, StoreError};
use web::events::Hub;

/// How long a record waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// Records in one commit.
const GROUP_MAX: usize = 1_024;
/// Turns whose records may wait. What finds no room stays in the journal until the next start.
const TURNS_MAX: usize = 16_384;

/// The flag before a record in the journal: where it goes from the log.
const GOES_UP: u8 = b'u';
const STAYS: u8 = b's';

/// A record that is not in the log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlogged {
    entry: LogEntry,
    /// True when the cluster server is to get it.
    goes_up: bool,
}

impl Unlogged {
    /// As the log will have it. None for a record that is no JSON, which is a bug of ours.
    #[must_use]
    pub fn of(record: &CallRecord, goes_up: bool) -> Option<Unlogged> {
        log_row(record).map(|entry| Unlogged { entry, goes_up })
    }

    /// Puts it into the journal.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when it is too large for that.
    pub fn keep(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let mut value = Vec::with_capacity(1 + self.entry.value.len());
        value.push(if self.goes_up { GOES_UP } else { STAYS });
        value.extend_from_slice(&self.entry.value);
        batch.put(Shelf::RECORD, self.entry.id.as_bytes(), &value)
    }

    /// As the journal had it.
    fn kept(value: &[u8]) -> Option<Unlogged> {
        let (flag, record) = value.split_first()?;
        Unlogged::of(&serde_json::from_slice(record).ok()?, *flag == GOES_UP)
    }

    fn write(self) -> RuntimeWrite {
        if self.goes_up { RuntimeWrite::Append(self.entry) } else { RuntimeWrite::AppendGathered(self.entry) }
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

enum Order {
    Log(Vec<Unlogged>),
    Settle(Sender<()>),
    End,
}

/// The way to the recorder.
#[derive(Clone)]
pub struct Records(SyncSender<Order>);

impl Records {
    /// Takes records that the journal has. Never waits.
    pub fn log(&self, records: Vec<Unlogged>) {
        if records.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.0.try_send(Order::Log(records)) {
            tracing::error!(
                "the log does not keep up: call records stay in the journal until the next start"
            );
        }
    }
}

/// The thread that writes the log. Dropping it waits for what it was given; what comes later stays in the journal.
pub struct Recorder {
    records: Records,
    thread: Mutex<Option<JoinHandle<()>>>,
    live: Journal,
}

impl Recorder {
    /// Writes what the process before left in the journal, and starts.
    ///
    /// # Errors
    /// What the disk says, or the system when it gives no thread.
    pub fn start(runtime: RuntimeStore, live: Journal, hub: Hub) -> Result<Recorder, StoreError> {
        let (sender, orders) = sync_channel(TURNS_MAX);
        let writing = Writing { runtime, live: live.clone(), hub };
        let mut left: Vec<_> =
            live.read(Shelf::RECORD)?.iter().filter_map(|kept| Unlogged::kept(&kept.value)).collect();
        if !left.is_empty() {
            tracing::info!(records = left.len(), "call records of the process before come into the log");
            writing.write(&mut left);
        }
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || writing.serve(&orders))
            .map_err(|error| StoreError::Open { file: live.path().to_owned(), source: error.into() })?;
        Ok(Recorder { records: Records(sender), thread: Mutex::new(Some(thread)), live })
    }

    /// The way to it.
    #[must_use]
    pub fn records(&self) -> Records {
        self.records.clone()
    }

    /// Waits until every record of a turn that is over is in the log.
    pub fn settle(&self) {
        // Records are handed over when the journal has them.
        if let Err(fault) = self.live.append(Batch::default()) {
            tracing::error!(%fault, "the journal cannot be waited for");
        }
        let (sender, settled) = channel();
        if self.records.0.send(Order::Settle(sender)).is_ok() {
            let _ended_meanwhile = settled.recv();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ended = self.records.0.send(Order::End);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the recorder had panicked");
        }
    }
}

/// What the thread owns.
struct Writing {
    runtime: RuntimeStore,
    live: Journal,
    hub: Hub,
}

impl Writing {
    fn serve(&self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            // To wake up for each one would cost more than to write it.
            if matches!(first, Order::Log(_)) {
                std::thread::sleep(GATHER);
            }
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Log(records) => group.extend(records),
                    Order::Settle(settled) => {
                        self.write(&mut group);
                        // Who waited may have gone away.
                        let _ = settled.send(());
                    }
                    Order::End => return self.write(&mut group),
                }
                if group.len() >= GROUP_MAX {
                    self.write(&mut group);
                }
                next = orders.try_recv().ok();
            }
            self.write(&mut group);
        }
    }

    /// Writes a group; the journal forgets it when the log has it.
    fn write(&self, group: &mut Vec<Unlogged>) {
        if group.is_empty() {
            return;
        }
        let mut done = Batch::default();
        let too_long =
            group.iter().filter(|one| done.remove(Shelf::RECORD, one.entry.id.as_bytes()).is_err()).count();
        if too_long > 0 {
            tracing::error!(too_long, "call records with names too long for the journal");
        }
        if let Err(fault) = self.runtime.write(group.drain(..).map(Unlogged::write).collect()) {
            tracing::error!(%fault, "call records could not be logged: they stay in the journal until the next start");
            return;
        }
        self.hub.changed("records");
        self.live.append_then(done, |forgotten| {
            if let Err(fault) = forgotten {
                tracing::error!(%fault, "the journal cannot forget call records: the next start finds them logged");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call::EndedBy;
    use model::{Cause, MemberNumber};

    fn record(number: u64) -> CallRecord {
        let party = |number: &str| call::Party { number: number.to_owned(), name: String::new() };
        CallRecord {
            session: format!("{number:032x}"),
            member: MemberNumber::CLUSTER_SERVER,
            role: Role::Originating,
            caller: party("2101"),
            dialled: "2201".to_owned(),
            called: party("2201"),
            emergency: false,
            created: Duration::from_millis(number),
            ringing: None,
            answered: None,
            ended: Duration::from_millis(number + 5),
            cause: Cause::NormalClearing,
            ended_by: EndedBy::Caller,
            call_ids: Vec::new(),
            steps: Vec::new(),
            transfers: Vec::new(),
            media: call::CallMedia::default(),
        }
    }

    struct Disk {
        folder: tempfile::TempDir,
    }

    impl Disk {
        fn new() -> Disk {
            Disk { folder: tempfile::tempdir().unwrap() }
        }

        fn open(&self) -> (RuntimeStore, Journal, Recorder) {
            let runtime = RuntimeStore::open(&self.folder.path().join("runtime.db")).unwrap();
            let live = Journal::open(&self.folder.path().join("live.journal")).unwrap();
            let recorder = Recorder::start(
                runtime.clone(),
                live.clone(),
                Hub::new(tokio_util::sync::CancellationToken::new()),
            )
            .unwrap();
            (runtime, live, recorder)
        }
    }

    fn keep(live: &Journal, records: &[Unlogged]) {
        let mut batch = Batch::default();
        records.iter().for_each(|one| one.keep(&mut batch).unwrap());
        live.append(batch).unwrap();
    }

    #[test]
    fn what_was_handed_over_is_in_the_log_and_the_journal_forgets_it() {
        let disk = Disk::new();
        let (runtime, live, recorder) = disk.open();
        let all: Vec<Unlogged> =
            (0..3_000).map(|number| Unlogged::of(&record(number), number % 2 == 0).unwrap()).collect();
        keep(&live, &all);
        all.chunks(7).for_each(|some| recorder.records().log(some.to_vec()));
        recorder.settle();
        assert_eq!(runtime.log("call", None, 1_000).unwrap().len(), 1_000);
        assert_eq!(runtime.log_of_session(&record(2_999).session).unwrap().len(), 1);
        assert_eq!(runtime.log_waiting(1_000).unwrap().len(), 1_000, "those that go up wait for it");
        assert!(runtime.log_of_session(&record(7).session).unwrap()[0].uploaded, "those that stay do not");
        assert_eq!(live.read(Shelf::RECORD).unwrap(), Vec::new());
    }

    #[test]
    fn what_a_killed_process_left_in_the_journal_is_logged_once_by_the_next() {
        let disk = Disk::new();
        let (runtime, live, recorder) = disk.open();
        let (logged, left) =
            (Unlogged::of(&record(1), true).unwrap(), Unlogged::of(&record(2), true).unwrap());
        recorder.records().log(vec![logged.clone()]);
        recorder.settle();
        // Killed before the journal forgot the one and before the log had the other.
        keep(&live, &[logged, left]);
        drop((runtime, live, recorder));
        let (runtime, live, _recorder) = disk.open();
        let sessions: Vec<String> =
            runtime.log("call", None, 10).unwrap().into_iter().map(|row| row.entry.session).collect();
        assert_eq!(sessions, [record(2).session, record(1).session]);
        assert_eq!(runtime.log_waiting(10).unwrap().len(), 2, "where they go is kept, too");
        assert_eq!(live.read(Shelf::RECORD).unwrap(), Vec::new());
    }
}
