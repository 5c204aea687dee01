//! Reading the configuration: each call sees one commit, never half of one.

use super::schema::Meta;
use super::{ConfigStore, is_replicated};
use crate::Result;
use crate::error::Fault;
use model::{Change, Kind, Position, Record};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Subjects a chain of changes may touch before a snapshot is the shorter way.
const SINCE_SUBJECTS_MAX: usize = 100_000;

/// All records at one position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where they stand.
    pub position: Position,
    /// Ordered by kind and key.
    pub records: Vec<Record>,
}

/// The way from a revision to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// These changes, in the order of their revisions, lead to this position. A subject changed twice comes
    /// once, as it is now.
    Changes {
        /// Where they lead.
        position: Position,
        /// The last change of each subject.
        changes: Vec<Change>,
    },
    /// The log does not reach so far back, or that revision was never here: take a snapshot.
    Compacted,
}

impl ConfigStore {
    /// Where the cluster kinds stand.
    ///
    /// # Errors
    /// What the disk says.
    pub fn position(&self) -> Result<Position> {
        self.read(|db| Ok(Meta::read(db)?.position))
    }

    /// True when the cluster kinds are another member's and come by link only.
    ///
    /// # Errors
    /// What the disk says.
    pub fn is_replica(&self) -> Result<bool> {
        self.read(|db| Ok(Meta::read(db)?.replica))
    }

    /// One record.
    ///
    /// # Errors
    /// What the disk says.
    pub fn get(&self, kind: Kind, key: &str) -> Result<Option<Record>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT kind, key, revision, value FROM records WHERE kind = ?1 AND key = ?2",
            )?;
            Ok(select.query_row(params![kind.number(), key], record).optional()?.flatten())
        })
    }

    /// All records of a kind, ordered by key.
    ///
    /// # Errors
    /// What the disk says.
    pub fn list(&self, kind: Kind) -> Result<Vec<Record>> {
        self.read(|db| {
            let mut select = db.prepare_cached(
                "SELECT kind, key, revision, value FROM records WHERE kind = ?1 ORDER BY key",
            )?;
            let rows = select.query_map([kind.number()], record)?;
            Ok(rows.filter_map(rusqlite::Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// All records of the kinds that travel to nodes. This is what [`ConfigStore::apply_snapshot`] takes.
    ///
    /// # Errors
    /// What the disk says.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.read(|db| records(db, is_replicated))
    }

    /// Every record there is, local ones too: what an engine loads at its start.
    ///
    /// # Errors
    /// What the disk says.
    pub fn everything(&self) -> Result<Snapshot> {
        self.read(|db| records(db, |_| true))
    }

    /// What has changed after `revision`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn changes_since(&self, revision: u64) -> Result<Since> {
        self.read(|db| {
            let meta = Meta::read(db)?;
            if revision < meta.compacted || revision > meta.position.revision {
                return Ok(Since::Compacted);
            }
            let changes = changes(db, revision)?;
            Ok(changes
                .map_or(Since::Compacted, |changes| Since::Changes { position: meta.position, changes }))
        })
    }

    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.inner.readers.read(|db| read(db).map_err(|fault| fault.at(self.path())))
    }
}

fn records(db: &Connection, wanted: fn(Kind) -> bool) -> std::result::Result<Snapshot, Fault> {
    let position = Meta::read(db)?.position;
    let mut select =
        db.prepare_cached("SELECT kind, key, revision, value FROM records ORDER BY kind, key")?;
    let rows = select.query_map([], record)?;
    let mut records = Vec::new();
    for row in rows {
        records.extend(row?.filter(|record| wanted(record.kind)));
    }
    Ok(Snapshot { position, records })
}

/// A row as a record; none when this release does not know the kind (a newer one wrote it: it stays stored).
fn record(row: &Row<'_>) -> rusqlite::Result<Option<Record>> {
    let Some(kind) = Kind::from_number(row.get(0)?) else { return Ok(None) };
    let revision = row.get::<_, i64>(2)?.cast_unsigned();
    Ok(Some(Record { kind, key: row.get(1)?, revision, value: row.get(3)? }))
}

fn changes(db: &Connection, revision: u64) -> rusqlite::Result<Option<Vec<Change>>> {
    let mut select = db.prepare_cached(
        "SELECT c.kind, c.key, MAX(c.revision) AS last, r.value
         FROM changes c LEFT JOIN records r ON r.kind = c.kind AND r.key = c.key
         WHERE c.revision > ?1 GROUP BY c.kind, c.key ORDER BY last, c.kind, c.key",
    )?;
    let mut rows = select.query([revision.cast_signed()])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        if changes.len() >= SINCE_SUBJECTS_MAX {
            return Ok(None);
        }
        let Some(kind) = Kind::from_number(row.get(0)?) else { continue };
        let (key, revision) = (row.get(1)?, row.get::<_, i64>(2)?.cast_unsigned());
        changes.push(match row.get(3)? {
            Some(value) => Change::Put(Record { kind, key, revision, value }),
            None => Change::Delete { kind, key, revision },
        });
    }
    Ok(Some(changes))
}
