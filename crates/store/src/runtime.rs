//! `runtime.db`: what a process that was killed must find again (kill-safe, DESIGN § 5.1).
//!
//! Records of calls and legs, frozen machines. The store knows their keys and nothing of their values: those belong
//! to `call` and `cluster`. Writes come in batches that happen together. Registrations are in the
//! [`Journal`](crate::Journal).

use crate::error::Fault;
use crate::readers::Readers;
use crate::writer::Writer;
use crate::{Result, file};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Log entries kept; the oldest that were handed over go first, then simply the oldest.
pub const LOG_ENTRIES_MAX: u64 = 1_000_000;
/// How often, in entries, the log is cut back.
const LOG_PRUNE_EVERY: u64 = 1_024;
/// Entries one query answers.
pub const LOG_PAGE_MAX: u32 = 1_000;

const MIGRATIONS: file::Migrations = &["
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL,
        session TEXT NOT NULL, at_ms INTEGER NOT NULL, value BLOB NOT NULL, uploaded INTEGER NOT NULL
    );
    CREATE INDEX log_waiting ON log (seq) WHERE uploaded = 0;
    CREATE INDEX log_session ON log (session, seq);
    CREATE INDEX log_stream ON log (stream, seq);
    CREATE TABLE frozen (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
"];

/// An entry for the log: uniquely named, so that merging is union (DESIGN § 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its name, unique in the cluster.
    pub id: String,
    /// Which log: `call`, `leg`, `journal`.
    pub stream: String,
    /// The Session-ID of its call, or empty.
    pub session: String,
    /// When it happened.
    pub at_ms: u64,
    /// The record as JSON.
    pub value: Vec<u8>,
}

/// An entry with its place in this member's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Its place.
    pub seq: u64,
    /// The entry.
    pub entry: LogEntry,
    /// True once the cluster server has it.
    pub uploaded: bool,
}

/// One step of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeWrite {
    /// Appends to the log; an id that is there already is left as it is.
    Append(LogEntry),
    /// Appends an entry that came from another member and goes no further.
    AppendGathered(LogEntry),
    /// The cluster server has these entries.
    MarkUploaded(Vec<String>),
    /// Keeps a frozen machine under its name, in place of the one before.
    Freeze {
        /// Whose state it is.
        name: String,
        /// The bytes to thaw.
        value: Vec<u8>,
    },
    /// Forgets a frozen machine.
    RemoveFrozen(String),
}

/// The store of what runs. Clones are handles to the same file.
#[derive(Clone)]
pub struct RuntimeStore {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Readers,
    writer: Writer,
}

impl RuntimeStore {
    /// Opens the store, making it when it never existed.
    ///
    /// # Errors
    /// As [`ConfigStore::open`](crate::ConfigStore::open).
    pub fn open(path: &Path) -> Result<RuntimeStore> {
        let durability = file::Durability::KillSafe;
        let opened = file::open(path, durability, MIGRATIONS)?;
        let readers = Readers::new(opened.path.clone());
        let writer = Writer::start(opened, durability)?;
        Ok(RuntimeStore { inner: Arc::new(Inner { readers, writer }) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.writer.path()
    }

    /// Writes a batch, all or nothing, and waits until `kill -9` cannot lose it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, batch: Vec<RuntimeWrite>) -> Result<()> {
        self.inner.writer.wait(move |db| write_all(db, batch))
    }

    /// As [`RuntimeStore::write`], telling `done`; never waits.
    pub fn write_then(&self, batch: Vec<RuntimeWrite>, done: impl FnOnce(Result<()>) + Send + 'static) {
        self.inner.writer.submit(move |db| write_all(db, batch), done);
    }

    /// Entries the cluster server does not have yet, oldest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn log_waiting(&self, limit: u32) -> Result<Vec<LogRow>> {
        self.select_log("WHERE uploaded = 0 ORDER BY seq LIMIT ?1", params![limit.min(LOG_PAGE_MAX)])
    }

    /// Entries of a stream, newest first, older than `before`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn log(&self, stream: &str, before: Option<u64>, limit: u32) -> Result<Vec<LogRow>> {
        let before = before.map_or(i64::MAX, u64::cast_signed);
        self.select_log(
            "WHERE stream = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            params![stream, before, limit.min(LOG_PAGE_MAX)],
        )
    }

    /// Entries of one call, oldest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn log_of_session(&self, session: &str) -> Result<Vec<LogRow>> {
        self.select_log("WHERE session = ?1 ORDER BY seq LIMIT ?2", params![session, LOG_PAGE_MAX])
    }

    /// A frozen machine.
    ///
    /// # Errors
    /// What the disk says.
    pub fn frozen(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.read(|db| {
            let mut select = db.prepare_cached("SELECT value FROM frozen WHERE name = ?1")?;
            select.query_row([name], |row| row.get(0)).optional()
        })
    }

    fn select_log(&self, clause: &str, values: impl rusqlite::Params) -> Result<Vec<LogRow>> {
        let sql = format!("SELECT seq, id, stream, session, at_ms, value, uploaded FROM log {clause}");
        self.read(|db| db.prepare_cached(&sql)?.query_map(values, log_row)?.collect())
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.inner.readers.read(|db| read(db).map_err(|error| Fault::from(error).at(self.path())))
    }

    /// The connections of readers, for a copy of the file.
    pub(crate) fn readers(&self) -> &Readers {
        &self.inner.readers
    }
}

fn log_row(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    Ok(LogRow {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        entry: LogEntry {
            id: row.get(1)?,
            stream: row.get(2)?,
            session: row.get(3)?,
            at_ms: row.get::<_, i64>(4)?.cast_unsigned(),
            value: row.get(5)?,
        },
        uploaded: row.get(6)?,
    })
}

fn write_all(db: &Connection, batch: Vec<RuntimeWrite>) -> std::result::Result<(), Fault> {
    for write in batch {
        write_one(db, write)?;
    }
    Ok(())
}

fn write_one(db: &Connection, write: RuntimeWrite) -> rusqlite::Result<()> {
    match write {
        RuntimeWrite::Append(entry) => append(db, &entry, false),
        RuntimeWrite::AppendGathered(entry) => append(db, &entry, true),
        RuntimeWrite::MarkUploaded(ids) => {
            let mut update = db.prepare_cached("UPDATE log SET uploaded = 1 WHERE id = ?1")?;
            ids.into_iter().try_for_each(|id| update.execute([id]).map(drop))
        }
        RuntimeWrite::Freeze { name, value } => db
            .prepare_cached(
                "INSERT INTO frozen (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![name, value])
            .map(drop),
        RuntimeWrite::RemoveFrozen(name) => {
            db.prepare_cached("DELETE FROM frozen WHERE name = ?1")?.execute([name]).map(drop)
        }
    }
}

fn append(db: &Connection, entry: &LogEntry, uploaded: bool) -> rusqlite::Result<()> {
    let added = db
        .prepare_cached(
            "INSERT INTO log (id, stream, session, at_ms, value, uploaded) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            entry.id,
            entry.stream,
            entry.session,
            entry.at_ms.cast_signed(),
            entry.value,
            uploaded
        ])?;
    let seq = db.last_insert_rowid().cast_unsigned();
    if added > 0 && seq.is_multiple_of(LOG_PRUNE_EVERY) && seq > LOG_ENTRIES_MAX {
        prune(db, seq - LOG_ENTRIES_MAX)?;
    }
    Ok(())
}

/// Entries that wait for the cluster server live twice as long as the others.
fn prune(db: &Connection, upto: u64) -> rusqlite::Result<()> {
    let oldest = upto.saturating_sub(LOG_ENTRIES_MAX);
    db.prepare_cached("DELETE FROM log WHERE seq <= ?1 AND (uploaded = 1 OR seq <= ?2)")?
        .execute([upto.cast_signed(), oldest.cast_signed()])
        .map(drop)
}
