//! The journal: what changes with every registration and every call, in one append-only file (kill-safe).
//!
//! Bindings and confirmed dialogs come and go by the thousand a second and are read only at a start. A database
//! pays for indexes that nobody asks; this file takes one `write` for all that waits. An acknowledgement means that
//! the operating system has the bytes: `kill -9` cannot lose them, a power cut can take the last second.
//!
//! ```text
//! file   = magic, frame*
//! frame  = length u32, CRC-32 u32, record*          one batch: all of it or nothing
//! record = shelf u8, what u8 (put, remove), key length u16, value length u32, key, value
//! ```
//!
//! A place table in memory (hash of shelf and key → where the value stands) tells the living records from the
//! dead. When most of the file is dead it is written anew beside itself and renamed over. It is no database: no
//! queries, no guards, no revision.

mod file;
mod frame;
mod writer;

pub use frame::{Batch, KEY_BYTES_MAX, Shelf, VALUE_BYTES_MAX};

use crate::{Result, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, channel, sync_channel};
use writer::Order;

/// Batches that may wait. When full, [`Journal::append_then`] answers [`StoreError::Busy`] at once.
pub const JOURNAL_QUEUE_MAX: usize = 16_384;

/// One living record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What sort of thing.
    pub shelf: Shelf,
    /// Its name on the shelf.
    pub key: Vec<u8>,
    /// The thing.
    pub value: Vec<u8>,
}

/// How full the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalSize {
    /// Living records.
    pub records: usize,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of it that still count.
    pub live_bytes: u64,
}

/// The journal of one process. Clones are handles to the same file; the last one dropped writes what waits.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Option<SyncSender<Order>>,
    threads: writer::Threads,
    path: PathBuf,
}

impl Journal {
    /// Opens the journal, making it when there is none. A torn end (a power cut in a write) is cut off; a file that
    /// is damaged in its middle is kept aside as `….damaged`, and what stands before the damage is used.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it, [`StoreError::Open`] when it cannot be read or made,
    /// [`StoreError::Newer`] when a newer release has written it.
    pub fn open(path: &Path) -> Result<Journal> {
        let opened = file::open(path)?;
        let (queue, orders) = sync_channel(JOURNAL_QUEUE_MAX);
        let threads = writer::start(opened, orders)?;
        let inner = Inner { queue: Some(queue), threads, path: path.to_owned() };
        Ok(Journal { inner: Arc::new(inner) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Appends a batch, all of it or nothing, and tells `done` on the writer's thread when `kill -9` cannot lose
    /// it, in the order of the batches. Never waits.
    pub fn append_then(&self, batch: Batch, done: impl FnOnce(Result<()>) + Send + 'static) {
        let order = Order::Append { batch, done: Box::new(done) };
        match self.inner.queue.as_ref().map(|queue| queue.try_send(order)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(order))) => {
                order.refuse(&StoreError::Busy { waiting: JOURNAL_QUEUE_MAX });
            }
            Some(Err(TrySendError::Disconnected(order))) => order.refuse(&StoreError::Closed),
            None => {}
        }
    }

    /// As [`Journal::append_then`], waiting for the answer.
    ///
    /// # Errors
    /// What the disk says.
    pub fn append(&self, batch: Batch) -> Result<()> {
        let (sender, answer) = channel();
        let done = Box::new(move |result| drop(sender.send(result)));
        self.send(Order::Append { batch, done })?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The living records of a shelf, the oldest first, behind all batches given before.
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, shelf: Shelf) -> Result<Vec<Kept>> {
        let (sender, answer) = channel();
        self.send(Order::Read { shelf, answer: sender })?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Forgets everything on a shelf.
    ///
    /// # Errors
    /// What the disk says.
    pub fn clear(&self, shelf: Shelf) -> Result<()> {
        let mut batch = Batch::default();
        for kept in self.read(shelf)? {
            batch.remove(shelf, &kept.key)?;
        }
        self.append(batch)
    }

    /// How full it is.
    ///
    /// # Errors
    /// [`StoreError::Closed`] when its writer has ended.
    pub fn size(&self) -> Result<JournalSize> {
        let (sender, answer) = channel();
        self.send(Order::Size { answer: sender })?;
        answer.recv().map_err(|_| StoreError::Closed)
    }

    fn send(&self, order: Order) -> Result<()> {
        let queue = self.inner.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(order).map_err(|_| StoreError::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.queue.take());
        self.threads.end();
    }
}

#[cfg(test)]
mod tests;
