//! A database file: its lock, its checks at the start, its schema.
//!
//! A file that was made once must be found again: beside `x.db` lies `x.db.lock`, held by the process that
//! writes, with a mark inside as soon as the database exists. When the database is gone but the mark is there,
//! the store refuses to start rather than begin empty.

use crate::{Result, StoreError};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes a database may have (DESIGN § 5.4: 2 GiB), in pages of 4 KiB.
const PAGES_MAX: u32 = 524_288;
/// `PLEI` in the file's header says that it is ours.
const APPLICATION_ID: i32 = 0x504c_4549;
/// Written into the lock file once the database exists.
const MARK: &[u8] = b"the database beside this file holds data\n";
/// How long a statement waits for a lock; only a backup or an operator's shell can hold one.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How much an acknowledgement promises (DESIGN § 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Fsynced before the acknowledgement.
    PowerSafe,
    /// Given to the operating system before the acknowledgement, fsynced within a second.
    KillSafe,
}

/// Which schema a file has: each entry brings it from one `user_version` to the next.
pub(crate) type Migrations = &'static [&'static str];

/// A database open for writing. Dropping it gives the lock free.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) db: Connection,
    pub(crate) lock: File,
}

/// Opens `path` for writing, making it when it never existed.
pub(crate) fn open(path: &Path, durability: Durability, migrations: Migrations) -> Result<Opened> {
    let mut lock = lock(path)?;
    let marked = is_marked(path, &mut lock)?;
    let exists = path.metadata().is_ok_and(|meta| meta.len() > 0);
    if marked && !exists {
        return Err(StoreError::Missing { file: path.to_owned(), mark: lock_path(path) });
    }
    let fault = |error| StoreError::of(path, error);
    let db = Connection::open(path).map_err(fault)?;
    check(path, &db)?;
    prepare(&db, durability).map_err(fault)?;
    migrate(path, &db, migrations)?;
    if !marked {
        lock.write_all(MARK).and_then(|()| lock.sync_all()).map_err(|error| opening(path, error))?;
    }
    Ok(Opened { path: path.to_owned(), db, lock })
}

/// Opens `path` for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let fault = |error| StoreError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(fault)?;
    db.busy_timeout(LOCK_WAIT).map_err(fault)?;
    Ok(db)
}

/// Removes a database with all that belongs to it: a TOTAL start. The store must be closed.
///
/// # Errors
/// [`StoreError::InUse`] while a process has it open, [`StoreError::Open`] when a file cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let held = lock(path)?;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let file = beside(path, suffix);
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(opening(&file, error)),
        }
    }
    drop(held);
    Ok(())
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn lock_path(path: &Path) -> PathBuf {
    beside(path, ".lock")
}

pub(crate) fn opening(path: &Path, error: std::io::Error) -> StoreError {
    StoreError::Open { file: path.to_owned(), source: Arc::new(error) }
}

pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = lock_path(path);
    let held = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&file)
        .map_err(|error| opening(&file, error))?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { file: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(opening(&file, error)),
    }
}

fn is_marked(path: &Path, lock: &mut File) -> Result<bool> {
    let mut found = Vec::new();
    lock.read_to_end(&mut found).map_err(|error| opening(path, error))?;
    Ok(found == MARK)
}

/// A damaged file is found before anything is served from it.
fn check(path: &Path, db: &Connection) -> Result<()> {
    let damaged = |detail: String| StoreError::Corrupt { file: path.to_owned(), detail };
    let fault = |error| StoreError::of(path, error);
    db.busy_timeout(LOCK_WAIT).map_err(fault)?;
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(fault)?;
    if id != APPLICATION_ID && id != 0 {
        return Err(damaged("it is a database of another program".to_owned()));
    }
    Ok(())
}

fn prepare(db: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let synchronous = match durability {
        Durability::PowerSafe => "FULL",
        Durability::KillSafe => "NORMAL",
    };
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "max_page_count", PAGES_MAX)?;
    // What a savepoint may have to undo would be a file of its own each time.
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(path: &Path, db: &Connection, migrations: Migrations) -> Result<()> {
    let fault = |error| StoreError::of(path, error);
    let found: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fault)?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::Newer { file: path.to_owned(), found, known });
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for (version, step) in (1u32..).zip(migrations).skip(done) {
        let sql = format!(
            "BEGIN IMMEDIATE; {step}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        );
        db.execute_batch(&sql).map_err(fault)?;
    }
    Ok(())
}
