//! The only code that opens a database: records with one global revision, and what a process must find again.
//!
//! - [`ConfigStore`] (`config.db`, *power-safe*): the objects of the configuration, their bounded log of
//!   changes, local settings and the manager's operations log. An acknowledgement means fsynced.
//! - [`RuntimeStore`] (`runtime.db`, *kill-safe*): call and leg records, frozen machines. An acknowledgement means
//!   that `kill -9` cannot lose it; power can take the last second.
//! - [`Journal`] (`live.journal`, *kill-safe*): bindings and confirmed dialogs, an append-only file.
//!
//! They are files of their own, so that the churn of registrations never delays a commit of configuration.
//!
//! Each database has **one writer thread** that puts all waiting jobs in one transaction (group commit), each in a
//! savepoint of its own, so that a refused job does not fail its neighbours. Every write comes in two forms:
//! `x(…)` waits, `x_then(…, done)` never does: it calls `done` on the writer's thread, *after* the commit and in
//! the order of the commits. `done` must not block: send on a channel and return.
//!
//! Readers have read-only connections of their own and never wait for the writer.
//!
//! It is not a query engine for calls: what a process decides on is in memory (`model::tables`).

pub mod backup;
pub mod config;
pub mod error;
mod file;
pub mod journal;
pub mod operation;
mod readers;
pub mod runtime;
mod writer;

pub use config::{Commit, Committed, ConfigStore, Guard, Operation, Since, Snapshot};
pub use error::StoreError;
pub use file::remove;
pub use journal::{Batch, Journal, JournalSize, Kept, Shelf};
pub use operation::{OperationEntry, OperationQuery, Outcome};
pub use runtime::{LogEntry, LogRow, RuntimeStore, RuntimeWrite};
pub use writer::{GROUP_JOBS_MAX, QUEUE_JOBS_MAX};

/// What a write hands to its caller.
pub type Result<T> = std::result::Result<T, StoreError>;
