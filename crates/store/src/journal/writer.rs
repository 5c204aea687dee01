//! The threads of the journal: one writes all that waits by one `write`, one carries it to the disk.

use super::file::Opened;
use super::frame::{Batch, Shelf};
use super::{JournalSize, Kept};
use crate::writer::SYNC_EVERY;
use crate::{Result, StoreError};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Batches written by one `write`.
const GROUP_BATCHES_MAX: usize = 512;

/// Told when the fate of a batch is known.
type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// What the writer is asked.
pub(super) enum Order {
    Append { batch: Batch, done: Done },
    Read { shelf: Shelf, answer: Sender<Result<Vec<Kept>>> },
    Size { answer: Sender<JournalSize> },
}

impl Order {
    /// Answers an order that was not taken. A question just goes unanswered.
    pub(super) fn refuse(self, error: &StoreError) {
        if let Order::Append { done, .. } = self {
            done(Err(error.clone()));
        }
    }
}

/// What the syncing thread looks at.
struct Unsynced {
    dirty: AtomicBool,
    /// The present file: writing anew replaces it.
    file: Mutex<File>,
    /// Set when a sync has failed: nothing is acknowledged any more, since the kernel may have dropped pages.
    failed: Mutex<Option<StoreError>>,
}

/// Both threads, to be waited for.
#[derive(Default)]
pub(super) struct Threads {
    writer: Mutex<Option<JoinHandle<()>>>,
    syncer: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Threads {
    /// Waits until everything given is written and synced. The queue has been closed before.
    pub(super) fn end(&self) {
        let own = std::thread::current().id();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may die inside a callback, on the very thread that would be waited for.
        if let Some(writer) = writer.filter(|thread| thread.thread().id() != own)
            && writer.join().is_err()
        {
            tracing::error!("the journal's writer had panicked");
        }
        if let Some((stop, syncer)) = self.syncer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(stop);
            if syncer.join().is_err() {
                tracing::error!("the journal's syncer had panicked");
            }
        }
    }
}

/// Starts both.
pub(super) fn start(opened: Opened, orders: Receiver<Order>) -> Result<Threads> {
    let unsynced = Arc::new(Unsynced {
        dirty: AtomicBool::new(false),
        file: Mutex::new(opened.handle()?),
        failed: Mutex::new(None),
    });
    let path = opened.path().to_owned();
    let (stop, stopping) = channel();
    let (for_syncer, syncer_path) = (Arc::clone(&unsynced), path.clone());
    let syncer = crate::writer::spawn("journal-sync", &path, move || {
        while let Err(RecvTimeoutError::Timeout) = stopping.recv_timeout(SYNC_EVERY) {
            for_syncer.sync(&syncer_path);
        }
        for_syncer.sync(&syncer_path);
    })?;
    let mut serving = Serving { opened, unsynced, stopped: None, buffer: Vec::new() };
    let writer = crate::writer::spawn("journal-writer", &path, move || serving.serve(&orders))?;
    Ok(Threads { writer: Mutex::new(Some(writer)), syncer: Mutex::new(Some((stop, syncer))) })
}

impl Unsynced {
    fn sync(&self, path: &Path) {
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        // A handle of its own: the writer may put a new file in its place meanwhile, and must not wait for this.
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).try_clone();
        if let Err(error) = file.and_then(|file| file.sync_data()) {
            tracing::error!(file = %path.display(), %error, "the journal could not be synced to the disk");
            let error = StoreError::Write { file: path.to_owned(), source: Arc::new(error) };
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

/// What the writing thread owns.
struct Serving {
    opened: Opened,
    unsynced: Arc<Unsynced>,
    /// Why nothing is written any more.
    stopped: Option<StoreError>,
    /// The frames of one group.
    buffer: Vec<u8>,
}

impl Serving {
    fn serve(&mut self, orders: &Receiver<Order>) {
        let mut waiting: Vec<Done> = Vec::new();
        while let Ok(first) = orders.recv() {
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Append { batch, done } => {
                        if !batch.is_empty() {
                            self.buffer.extend(batch.sealed());
                        }
                        waiting.push(done);
                    }
                    question => {
                        self.write(&mut waiting);
                        self.answer(question);
                    }
                }
                if waiting.len() < GROUP_BATCHES_MAX {
                    next = orders.try_recv().ok();
                }
            }
            self.write(&mut waiting);
        }
    }

    fn answer(&self, question: Order) {
        // Who asked may have gone away.
        match question {
            Order::Read { shelf, answer } => drop(answer.send(self.opened.read(shelf))),
            Order::Size { answer } => drop(answer.send(self.opened.size())),
            Order::Append { .. } => {}
        }
    }

    /// Writes the group and tells everybody.
    fn write(&mut self, waiting: &mut Vec<Done>) {
        if waiting.is_empty() {
            return;
        }
        let failed = || self.unsynced.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fate = match self.stopped.clone().or_else(failed) {
            Some(cause) => Err(cause),
            None => self.opened.append(&self.buffer),
        };
        self.buffer.clear();
        if let Err(error) = &fate {
            tracing::error!(file = %self.opened.path().display(), %error, batches = waiting.len(), "the journal was not written");
            self.stopped = error.stops_writing().then(|| error.clone());
        }
        self.unsynced.dirty.store(true, Ordering::Release);
        for done in waiting.drain(..) {
            done(fate.clone());
        }
        if fate.is_ok() && self.opened.wants_rewriting() {
            self.rewrite();
        }
    }

    /// A failure leaves the old file in use: it is whole, only long.
    fn rewrite(&mut self) {
        let before = self.opened.size();
        match self.opened.rewrite().and_then(|()| self.opened.handle()) {
            Ok(handle) => {
                *self.unsynced.file.lock().unwrap_or_else(PoisonError::into_inner) = handle;
                let after = self.opened.size();
                tracing::debug!(
                    before = before.file_bytes,
                    after = after.file_bytes,
                    "the journal was written anew"
                );
            }
            Err(error) => {
                tracing::warn!(file = %self.opened.path().display(), %error, "the journal could not be written anew");
            }
        }
    }
}
