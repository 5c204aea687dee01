//! The operations log: who did what to which machine, with what outcome, and what to do next.
//!
//! An entry is appended when a step begins ([`Outcome::Running`]) or when it is over, and settled once. It lies
//! in `config.db`, because an administrator's act must not be forgotten by a power cut.

use crate::Result;
use crate::config::ConfigStore;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

/// Entries one query answers.
pub const OPERATIONS_PAGE_MAX: u32 = 1_000;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is still going on.
    Running,
    /// It did what it should.
    Done,
    /// A rule forbade it; nothing was changed.
    Refused,
    /// It was tried and did not work.
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Outcome::Running, Outcome::Done, Outcome::Refused, Outcome::Failed];

    /// The word in tables and files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEntry {
    /// Its place in the log; 0 before it is appended.
    #[serde(default)]
    pub id: u64,
    /// When it began, Unix time.
    pub at_ms: u64,
    /// The account that asked for it.
    pub who: String,
    /// The step, as a verb: `identify`, `configure`.
    pub what: String,
    /// What it was done to: the machine's or object's name.
    pub target: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub duration_ms: u64,
    /// What to do next; empty when nothing.
    pub next: String,
    /// The reason or result, in a sentence.
    pub detail: String,
}

/// Which entries to read, newest first.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Only entries older than this id: the last one of the page before.
    pub before: Option<u64>,
    /// Only entries about this target.
    pub target: Option<String>,
    /// At most so many; [`OPERATIONS_PAGE_MAX`] at most.
    pub limit: u32,
}

impl ConfigStore {
    /// Appends an entry and answers its id. `entry.id` is not looked at.
    ///
    /// # Errors
    /// What the disk says.
    pub fn append_operation(&self, entry: OperationEntry) -> Result<u64> {
        self.inner.writer.wait(move |db| {
            db.prepare_cached(
                "INSERT INTO operations (at_ms, who, what, target, outcome, duration_ms, next, detail)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                entry.at_ms.cast_signed(),
                entry.who,
                entry.what,
                entry.target,
                entry.outcome.word(),
                entry.duration_ms.cast_signed(),
                entry.next,
                entry.detail,
            ])?;
            Ok(db.last_insert_rowid().cast_unsigned())
        })
    }

    /// Writes the end of a running entry: outcome, duration, next and detail of `entry`, by its id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn settle_operation(&self, entry: OperationEntry) -> Result<()> {
        self.inner.writer.wait(move |db| {
            db.prepare_cached(
                "UPDATE operations SET outcome = ?2, duration_ms = ?3, next = ?4, detail = ?5
                 WHERE id = ?1 AND outcome = 'running'",
            )?
            .execute(params![
                entry.id.cast_signed(),
                entry.outcome.word(),
                entry.duration_ms.cast_signed(),
                entry.next,
                entry.detail,
            ])?;
            Ok(())
        })
    }

    /// Reads a page, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn operations(&self, query: &OperationQuery) -> Result<Vec<OperationEntry>> {
        let before = query.before.map_or(i64::MAX, u64::cast_signed);
        let limit = query.limit.min(OPERATIONS_PAGE_MAX);
        self.read(|db| {
            let columns = "id, at_ms, who, what, target, outcome, duration_ms, next, detail";
            let rows = match &query.target {
                None => db
                    .prepare_cached(&format!(
                        "SELECT {columns} FROM operations WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
                    ))?
                    .query_map(params![before, limit], entry)?
                    .collect::<rusqlite::Result<Vec<_>>>()?,
                Some(target) => db
                    .prepare_cached(&format!(
                        "SELECT {columns} FROM operations WHERE target = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2"
                    ))?
                    .query_map(params![before, limit, target], entry)?
                    .collect::<rusqlite::Result<Vec<_>>>()?,
            };
            Ok(rows)
        })
    }

    /// Settles what a process before this one left running: it is not known how far it came.
    ///
    /// # Errors
    /// What the disk says.
    pub fn settle_interrupted(&self) -> Result<usize> {
        self.inner.writer.wait(|db| {
            Ok(db.execute(
                "UPDATE operations SET outcome = 'failed', detail = 'interrupted by a restart of the manager',
                 next = 'look at the target''s state, then repeat the step' WHERE outcome = 'running'",
                [],
            )?)
        })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<OperationEntry> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let word: String = row.get(5)?;
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.word() == word).unwrap_or(Outcome::Failed);
    Ok(OperationEntry {
        id: number(0)?,
        at_ms: number(1)?,
        who: row.get(2)?,
        what: row.get(3)?,
        target: row.get(4)?,
        outcome,
        duration_ms: number(6)?,
        next: row.get(7)?,
        detail: row.get(8)?,
    })
}
