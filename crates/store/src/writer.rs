//! The one thread that writes a file: all waiting jobs in one transaction, an acknowledgement after the commit.
//!
//! A commit costs one fsync however many jobs it carries, so the thread takes what waits, up to
//! [`GROUP_JOBS_MAX`], and does not wait for more. Each job runs in a savepoint: a conflict undoes that job
//! alone. When the commit itself fails, every job of the group is told so, and none is acknowledged.

use crate::error::Fault;
use crate::file::{Durability, Opened};
use crate::{Result, StoreError};
use rusqlite::Connection;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Jobs in one transaction.
pub const GROUP_JOBS_MAX: usize = 256;
/// Jobs that may wait. When full, `*_then` answers [`StoreError::Busy`] at once; the waiting forms wait.
pub const QUEUE_JOBS_MAX: usize = 4096;
/// Kill-safe data reach the disk at least this often (promise: within 1 s).
pub(crate) const SYNC_EVERY: Duration = Duration::from_millis(500);

/// A job as the thread sees it.
trait Job: Send {
    /// Does the work inside the job's savepoint.
    fn run(&mut self, db: &Connection, file: &Path) -> Result<()>;
    /// Tells the caller, once the fate of the whole transaction is known.
    fn finish(self: Box<Self>, fate: Result<()>);
}

struct Work<T, R, D> {
    run: Option<R>,
    made: Option<Result<T>>,
    done: D,
}

impl<T, R, D> Job for Work<T, R, D>
where
    T: Send,
    R: FnOnce(&Connection) -> std::result::Result<T, Fault> + Send,
    D: FnOnce(Result<T>) + Send,
{
    fn run(&mut self, db: &Connection, file: &Path) -> Result<()> {
        let Some(run) = self.run.take() else { return Err(StoreError::Closed) };
        match run(db).map_err(|fault| fault.at(file)) {
            Ok(value) => {
                self.made = Some(Ok(value));
                Ok(())
            }
            Err(error) => {
                self.made = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn finish(self: Box<Self>, fate: Result<()>) {
        (self.done)(match (fate, self.made) {
            (Ok(()), Some(made)) => made,
            // A refusal of the job's own stays what it is; only successes are lost with the group.
            (Err(_), Some(Err(own))) => Err(own),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Closed),
        });
    }
}

/// A handle to the writing thread. The last one dropped waits until the queue is written.
pub(crate) struct Writer {
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    syncer: Option<Syncer>,
    path: PathBuf,
    // Held, not read: the lock ends with the writer.
    _lock: File,
}

impl Writer {
    pub(crate) fn start(opened: Opened, durability: Durability) -> Result<Writer> {
        let Opened { path, db, lock } = opened;
        let syncer = match durability {
            Durability::PowerSafe => None,
            Durability::KillSafe => Some(Syncer::start(&path)?),
        };
        let dirty = syncer.as_ref().map(|syncer| Arc::clone(&syncer.dirty)).unwrap_or_default();
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let mut thread = Serving { db, path: path.clone(), dirty, stopped: None };
        let thread = spawn("store-writer", &path, move || thread.serve(&jobs))?;
        Ok(Writer { queue: Some(queue), thread: Mutex::new(Some(thread)), syncer, path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Queues `run`; `done` is called on the writer's thread after the commit, or here when it cannot be queued.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) {
        let job: Box<dyn Job> = Box::new(Work { run: Some(run), made: None, done });
        let Some(queue) = &self.queue else { return job.finish(Err(StoreError::Closed)) };
        match queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.finish(Err(StoreError::Busy { waiting: QUEUE_JOBS_MAX })),
            Err(TrySendError::Disconnected(job)) => job.finish(Err(StoreError::Closed)),
        }
    }

    /// Queues `run`, waiting for room, and waits for the commit.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (sender, answer): (Sender<Result<T>>, _) = channel();
        let done = move |result| drop(sender.send(result));
        let job: Box<dyn Job> = Box::new(Work { run: Some(run), made: None, done });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(job).map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The last handle may die inside a callback, on the very thread that would be waited for.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!(file = %self.path.display(), "the store's writer had panicked");
            }
        }
        drop(self.syncer.take());
    }
}

pub(crate) fn spawn(name: &str, path: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| StoreError::Open { file: path.to_owned(), source: Arc::new(error) })
}

/// What the writing thread owns.
struct Serving {
    db: Connection,
    path: PathBuf,
    /// Set after each commit, for the [`Syncer`].
    dirty: Arc<AtomicBool>,
    /// Why nothing is written any more.
    stopped: Option<StoreError>,
}

impl Serving {
    fn serve(&mut self, jobs: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = jobs.recv() {
            if let Some(cause) = &self.stopped {
                first.finish(Err(cause.clone()));
                continue;
            }
            let mut group = Vec::new();
            let fate = self.commit_group(first, jobs, &mut group);
            if let Err(error) = &fate {
                tracing::error!(file = %self.path.display(), %error, jobs = group.len(), "a commit failed");
                self.stopped = error.stops_writing().then(|| error.clone());
            }
            self.dirty.store(true, Ordering::Release);
            for job in group {
                job.finish(fate.clone());
            }
        }
    }

    /// Runs `first` and what waits behind it in one transaction; `group` holds them all afterwards.
    fn commit_group(
        &self,
        first: Box<dyn Job>,
        jobs: &Receiver<Box<dyn Job>>,
        group: &mut Vec<Box<dyn Job>>,
    ) -> Result<()> {
        let mut next = Some(first);
        let begun = self.execute("BEGIN IMMEDIATE");
        while let Some(mut job) = next.take() {
            let ran = begun.clone().and_then(|()| self.run_job(job.as_mut()));
            group.push(job);
            if let Err(error) = ran {
                self.roll_back();
                return Err(error);
            }
            if group.len() < GROUP_JOBS_MAX {
                next = jobs.try_recv().ok();
            }
        }
        self.execute("COMMIT").inspect_err(|_| self.roll_back())
    }

    /// Runs one job in its savepoint. An error here is one of the transaction, not of the job.
    fn run_job(&self, job: &mut dyn Job) -> Result<()> {
        self.execute("SAVEPOINT job")?;
        match job.run(&self.db, &self.path) {
            Ok(()) => self.execute("RELEASE job"),
            // On a full disk or a failed write the database may have undone the whole transaction.
            Err(error) if error.stops_writing() || self.db.is_autocommit() => Err(error),
            Err(_) => {
                self.execute("ROLLBACK TO job")?;
                self.execute("RELEASE job")
            }
        }
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(file = %self.path.display(), %error, "a failed transaction could not be undone");
        }
    }

    fn execute(&self, sql: &str) -> Result<()> {
        let fault = |error| StoreError::of(&self.path, error);
        self.db.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(fault)
    }
}

/// Carries kill-safe data to the disk from a thread of its own, so that no commit waits for it.
struct Syncer {
    dirty: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(path: &Path) -> Result<Syncer> {
        let fault = |error| StoreError::of(path, error);
        let db = Connection::open(path).map_err(fault)?;
        db.pragma_update(None, "synchronous", "NORMAL").map_err(fault)?;
        let dirty = Arc::new(AtomicBool::new(false));
        let (stop, stopping) = channel();
        let (flag, file) = (Arc::clone(&dirty), path.to_owned());
        let thread = spawn("store-sync", path, move || {
            while let Err(RecvTimeoutError::Timeout) = stopping.recv_timeout(SYNC_EVERY) {
                if flag.swap(false, Ordering::AcqRel) {
                    checkpoint(&db, &file);
                }
            }
            checkpoint(&db, &file);
        })?;
        Ok(Syncer { dirty, stop: Some(stop), thread: Some(thread) })
    }
}

/// A passive checkpoint syncs the log, copies it, syncs the database, and holds up no writer.
fn checkpoint(db: &Connection, file: &Path) {
    let ran = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = ran {
        tracing::error!(file = %file.display(), %error, "kill-safe data could not be synced to the disk");
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's syncer had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;
    use std::sync::mpsc::channel;

    fn writer(dir: &tempfile::TempDir) -> Writer {
        let migrations = &["CREATE TABLE numbers (number INTEGER PRIMARY KEY)"];
        let opened = file::open(&dir.path().join("test.db"), Durability::PowerSafe, migrations).unwrap();
        Writer::start(opened, Durability::PowerSafe).unwrap()
    }

    fn insert(number: i64) -> impl FnOnce(&Connection) -> std::result::Result<i64, Fault> {
        move |db| {
            db.execute("INSERT INTO numbers VALUES (?1)", [number])?;
            Ok(number)
        }
    }

    fn count(writer: &Writer) -> Result<i64> {
        writer.wait(|db| Ok(db.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))?))
    }

    /// A writer kept busy, so that all that is submitted meanwhile falls into one group.
    fn hold(writer: &Writer) -> Sender<()> {
        let (release, held) = channel();
        writer.submit(move |_| Ok(held.recv()), |_| {});
        release
    }

    #[test]
    fn after_a_failed_write_nothing_is_acknowledged_and_nothing_more_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(&dir);
        writer.wait(insert(1)).unwrap();
        let release = hold(&writer);
        let (sender, answers) = channel();
        let file = writer.path().to_owned();
        let tell = |sender: &Sender<Result<i64>>| {
            let sender = sender.clone();
            move |answer| sender.send(answer).unwrap()
        };
        writer.submit(insert(2), tell(&sender));
        let fails = move |_: &Connection| {
            let source = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            let source = Arc::new(rusqlite::Error::SqliteFailure(source, None));
            Err(Fault::Refused(StoreError::Disk { file, source }))
        };
        writer.submit(fails, tell(&sender));
        writer.submit(insert(3), tell(&sender));
        release.send(()).unwrap();
        for _ in 0..3 {
            let answer = answers.recv().unwrap();
            assert!(matches!(answer, Err(StoreError::Disk { .. })), "{answer:?}");
        }
        assert!(matches!(count(&writer), Err(StoreError::Disk { .. })));
        drop(writer);
        assert_eq!(count(&self::writer(&dir)).unwrap(), 1);
    }

    #[test]
    fn a_full_queue_answers_busy_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let writer = writer(&dir);
        let release = hold(&writer);
        let (sender, answers) = channel();
        let waiting = i64::try_from(QUEUE_JOBS_MAX).unwrap();
        for number in 0..waiting + 2 {
            let sender = sender.clone();
            writer.submit(insert(number), move |answer| sender.send(answer).unwrap());
        }
        let first = answers.recv().unwrap();
        assert!(matches!(first, Err(StoreError::Busy { .. })), "{first:?}");
        release.send(()).unwrap();
        drop(sender);
        let done = answers.iter().filter(Result::is_ok).count();
        assert_eq!(count(&writer).unwrap(), i64::try_from(done).unwrap());
        assert!(done >= QUEUE_JOBS_MAX - 1);
    }

    #[test]
    fn the_last_handle_may_die_inside_a_callback() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Arc::new(writer(&dir));
        let (sender, ended) = channel();
        let own = Arc::clone(&writer);
        let release = hold(&writer);
        writer.submit(insert(1), move |_| {
            drop(own);
            sender.send(()).unwrap();
        });
        drop(writer);
        release.send(()).unwrap();
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
