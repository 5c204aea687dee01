//! What can go wrong with a store, by who must act, with the next thing to do in the text.

use model::Kind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store did not do what it was asked. Nothing was changed by the refused job.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A guard did not hold: somebody else wrote first.
    #[error(
        "{kind} '{key}' was changed meanwhile: expected {expected}, found {found}; read it again and retry"
    )]
    Conflict {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
        /// The revision the guard asked for; 0 = absent.
        expected: u64,
        /// The revision that is there; 0 = absent.
        found: u64,
    },
    /// A commit is larger than both homes of the store allow (DESIGN § 5.4).
    #[error("{what} is {value}, the limit is {limit}; split the job into several commits")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How much it is.
        value: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// A commit mixes local kinds with kinds of the cluster, which have different orders of revisions.
    #[error("a commit holds local and cluster kinds at once; write them in two commits")]
    MixedScopes,
    /// These records are another member's: they come by `apply_changes` only (DESIGN § 5.1).
    #[error("{kind} is managed by the cluster server; write it there")]
    NotOwner {
        /// What was to be written.
        kind: Kind,
    },
    /// Changes do not follow the position the store is at.
    #[error(
        "changes of history {found:016x} at revision {revision} do not follow history {own:016x} at revision {own_revision}; ask for a snapshot"
    )]
    OutOfOrder {
        /// The store's history.
        own: u64,
        /// The store's revision.
        own_revision: u64,
        /// The history of the changes.
        found: u64,
        /// The revision they lead to.
        revision: u64,
    },
    /// An epoch below one already seen: a cluster server that was replaced (DESIGN § 5.5).
    #[error("epoch {found} is older than epoch {own} seen before; that cluster server has been replaced")]
    Fenced {
        /// The highest epoch seen.
        own: u64,
        /// The epoch refused.
        found: u64,
    },
    /// More writes wait than the queue holds.
    #[error("the store is overloaded: {waiting} writes wait; retry in a moment")]
    Busy {
        /// The queue's limit.
        waiting: usize,
    },
    /// The store is closed or its writer has ended.
    #[error("the store is closed")]
    Closed,
    /// No room on the disk, or the store is at its own limit.
    #[error("{}: no room left: free space on the disk (the store itself may have 2 GiB); nothing was written", file.display())]
    DiskFull {
        /// Which file.
        file: PathBuf,
    },
    /// The file or its folder may not be written.
    #[error("{}: cannot be written: give the pleiad user write permission on it and its folder, and remount the disk if it went read-only", file.display())]
    ReadOnly {
        /// Which file.
        file: PathBuf,
    },
    /// The file is damaged, or is no store.
    #[error("{}: damaged ({detail}): stop, keep a copy of the file, and restore the last backup; it is not started empty in its place", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What the check said.
        detail: String,
    },
    /// The file is gone although it had been made here.
    #[error("{}: is missing or empty, although data had been stored here: restore it from the last backup, or delete '{}' as well to begin empty", file.display(), mark.display())]
    Missing {
        /// Which file.
        file: PathBuf,
        /// The mark that tells that it had existed.
        mark: PathBuf,
    },
    /// A newer release has written the file.
    #[error("{}: was written by a newer release (schema {found}, this one knows {known}): install that release again or restore a backup", file.display())]
    Newer {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema of this release.
        known: u32,
    },
    /// Another process has the store open.
    #[error("{}: another pleiad process is using it: stop that one first", file.display())]
    InUse {
        /// Which file.
        file: PathBuf,
    },
    /// A write or sync failed; after that, nothing more is written until a restart (no silent retry).
    #[error("{}: the disk reported an error ({source}): writing has stopped; check the disk, then restart", file.display())]
    Disk {
        /// Which file.
        file: PathBuf,
        /// What was reported.
        source: Arc<rusqlite::Error>,
    },
    /// A write or sync of the journal failed; after that, nothing more is written until a restart.
    #[error("{}: the disk reported an error ({source}): writing has stopped; check the disk, then restart", file.display())]
    Write {
        /// Which file.
        file: PathBuf,
        /// What was reported.
        source: Arc<std::io::Error>,
    },
    /// The file cannot be opened or made.
    #[error("{}: {source}", file.display())]
    Open {
        /// Which file.
        file: PathBuf,
        /// What was reported.
        source: Arc<std::io::Error>,
    },
    /// A stored value is not what its reader expects.
    #[error("{what} cannot be read: {source}")]
    Unreadable {
        /// What was read.
        what: String,
        /// What the parser says.
        source: Arc<serde_json::Error>,
    },
    /// Our own fault: the database refused a statement.
    #[error("{}: {source}", file.display())]
    Statement {
        /// Which file.
        file: PathBuf,
        /// What it said.
        source: Arc<rusqlite::Error>,
    },
}

impl StoreError {
    /// Sorts an error of the database by who must act.
    pub(crate) fn of(file: &Path, source: rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode as Code;
        let file = file.to_owned();
        match source.sqlite_error_code() {
            Some(Code::DiskFull) => StoreError::DiskFull { file },
            Some(Code::ReadOnly | Code::PermissionDenied) => StoreError::ReadOnly { file },
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                StoreError::Corrupt { file, detail: source.to_string() }
            }
            Some(Code::DatabaseBusy) => StoreError::InUse { file },
            Some(Code::SystemIoFailure) => StoreError::Disk { file, source: Arc::new(source) },
            _ => StoreError::Statement { file, source: Arc::new(source) },
        }
    }

    /// True when the file can no longer be trusted to take writes: a failed sync may have lost pages that
    /// a later one reports as written.
    #[must_use]
    pub fn stops_writing(&self) -> bool {
        matches!(self, StoreError::Disk { .. } | StoreError::Write { .. } | StoreError::Corrupt { .. })
    }

    /// True when the caller may simply try again later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::Busy { .. } | StoreError::DiskFull { .. })
    }
}

/// An error inside a job: the database's, or already ours.
pub(crate) enum Fault {
    Database(rusqlite::Error),
    Refused(StoreError),
}

impl Fault {
    pub(crate) fn at(self, file: &Path) -> StoreError {
        match self {
            Fault::Database(error) => StoreError::of(file, error),
            Fault::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Database(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Refused(error)
    }
}
