//! Read-only connections, lent out one at a time: a reader sees the last commit and never waits for the writer.

use crate::{Result, StoreError, file};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Connections kept open for the next reader; more readers at once open more and close them again.
const IDLE_MAX: usize = 4;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` on one consistent state of the file.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match waiting {
            Some(db) => db,
            None => file::open_reader(&self.path)?,
        };
        let fault = |error| StoreError::of(&self.path, error);
        let transaction = db.unchecked_transaction().map_err(fault)?;
        let result = read(&transaction);
        transaction.finish().map_err(fault)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(db);
        }
        result
    }
}
