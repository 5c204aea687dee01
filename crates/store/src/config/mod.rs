//! `config.db`: the objects of the configuration, in the order the cluster server committed them.
//!
//! Every commit of cluster kinds gets the next `revision`, one counter for all of them (DESIGN § 5.2). Local
//! kinds ([`Scope::Local`]) have a counter of their own: a node's accounts must not move its position in the
//! cluster server's order. The log of changes names what changed, not the old values: [`ConfigStore::changes_since`]
//! leads from any kept revision to *now* in one step.
//!
//! Who writes the cluster kinds is a property of the file: a store that took a snapshot is a replica and
//! refuses [`ConfigStore::commit`] of them until [`ConfigStore::new_history`] makes it their owner.

mod read;
mod replica;
mod schema;
mod setting;

pub use read::{Since, Snapshot};

use crate::error::Fault;
use crate::readers::Readers;
use crate::writer::Writer;
use crate::{Result, StoreError, file};
use model::record::{COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX, RECORD_BYTES_MAX};
use model::{Change, Kind, Position, Record, Scope};
use rusqlite::{Connection, OptionalExtension, params};
use schema::Meta;
use std::path::Path;
use std::sync::Arc;

/// Revisions whose changes are kept; who is further behind takes a snapshot.
pub const CHANGES_REVISIONS_MAX: u64 = 100_000;
/// Old changes are removed each time the revision passes a multiple of this.
const PRUNE_EVERY: u64 = 1_000;
/// Bytes of a record's key.
pub const KEY_BYTES_MAX: usize = 256;

/// The store of the configuration. Clones are handles to the same file; see the crate's page for the two
/// forms of each write.
#[derive(Clone)]
pub struct ConfigStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
}

/// What must be true for a commit to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// There is no such record.
    Absent {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
    },
    /// The record was last written by this revision.
    At {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
        /// Its revision, as read.
        revision: u64,
    },
}

/// One step of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes a record, new or not.
    Put {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
        /// Its value as JSON text.
        value: Vec<u8>,
    },
    /// Removes a record; removing what is absent changes nothing.
    Delete {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
    },
}

/// Guards and operations that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// Done in this order.
    pub operations: Vec<Operation>,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Where the cluster kinds stand after it.
    pub position: Position,
    /// The revision of this commit, in the order of its own scope.
    pub revision: u64,
    /// What really changed, ready to be handed to the engine and the hub.
    pub changes: Vec<Change>,
}

impl Commit {
    /// A commit of nothing, to be filled.
    #[must_use]
    pub fn new() -> Commit {
        Commit::default()
    }

    /// Writes a record.
    #[must_use]
    pub fn put(mut self, kind: Kind, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Commit {
        self.operations.push(Operation::Put { kind, key: key.into(), value: value.into() });
        self
    }

    /// Removes a record.
    #[must_use]
    pub fn delete(mut self, kind: Kind, key: impl Into<String>) -> Commit {
        self.operations.push(Operation::Delete { kind, key: key.into() });
        self
    }

    /// Only if there is no such record.
    #[must_use]
    pub fn if_absent(mut self, kind: Kind, key: impl Into<String>) -> Commit {
        self.guards.push(Guard::Absent { kind, key: key.into() });
        self
    }

    /// Only if the record is still at this revision.
    #[must_use]
    pub fn if_at(mut self, kind: Kind, key: impl Into<String>, revision: u64) -> Commit {
        self.guards.push(Guard::At { kind, key: key.into(), revision });
        self
    }

    /// The limits of both homes (DESIGN § 5.4), and one scope of revisions.
    fn check(&self) -> Result<Order> {
        let mut bytes = 0;
        let mut order = None;
        limit("the number of operations", self.operations.len(), COMMIT_OPERATIONS_MAX)?;
        limit("the number of guards", self.guards.len(), COMMIT_OPERATIONS_MAX)?;
        for operation in &self.operations {
            let (kind, key, value) = operation.parts();
            limit("the length of a key", key.len(), KEY_BYTES_MAX)?;
            limit("the size of a record", value.len(), RECORD_BYTES_MAX)?;
            bytes += key.len() + value.len();
            let own = Order::of(kind);
            if *order.get_or_insert(own) != own {
                return Err(StoreError::MixedScopes);
            }
        }
        limit("the size of a commit", bytes, COMMIT_BYTES_MAX)?;
        Ok(order.unwrap_or(Order::Cluster))
    }
}

impl Operation {
    fn parts(&self) -> (Kind, &str, &[u8]) {
        match self {
            Operation::Put { kind, key, value } => (*kind, key, value),
            Operation::Delete { kind, key } => (*kind, key, &[]),
        }
    }
}

fn limit(what: &'static str, value: usize, limit: usize) -> Result<()> {
    if value > limit { Err(StoreError::Limit { what, value, limit }) } else { Ok(()) }
}

/// Which counter of revisions a kind belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The position of the cluster (or the manager's own order).
    Cluster,
    /// This member's alone.
    Local,
}

impl Order {
    fn of(kind: Kind) -> Order {
        if kind.scope() == Scope::Local { Order::Local } else { Order::Cluster }
    }
}

/// True for the kinds that travel from the cluster server to its nodes.
pub(crate) fn is_replicated(kind: Kind) -> bool {
    matches!(kind.scope(), Scope::Common | Scope::Subscriber)
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl ConfigStore {
    /// Opens the store, making it when it never existed.
    ///
    /// # Errors
    /// A file that is damaged, missing after it existed, of a newer release, in use or not writable is refused
    /// by name; it is never replaced by an empty one.
    pub fn open(path: &Path) -> Result<ConfigStore> {
        let durability = file::Durability::PowerSafe;
        let opened = file::open(path, durability, schema::MIGRATIONS)?;
        let readers = Readers::new(opened.path.clone());
        let writer = Writer::start(opened, durability)?;
        Ok(ConfigStore { inner: Arc::new(Inner { readers, writer }) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.writer.path()
    }

    /// Commits and waits until it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a guard does not hold, [`StoreError::Limit`], [`StoreError::NotOwner`] on a
    /// replica, or what the disk says. Nothing is changed then.
    pub fn commit(&self, commit: Commit) -> Result<Committed> {
        let order = commit.check()?;
        self.inner.writer.wait(move |db| apply(db, order, commit))
    }

    /// Commits; `done` hears of it after it is on the disk, in the order of the revisions.
    pub fn commit_then(&self, commit: Commit, done: impl FnOnce(Result<Committed>) + Send + 'static) {
        match commit.check() {
            Ok(order) => self.inner.writer.submit(move |db| apply(db, order, commit), done),
            Err(error) => done(Err(error)),
        }
    }
}

fn apply(db: &Connection, order: Order, commit: Commit) -> std::result::Result<Committed, Fault> {
    let mut meta = Meta::read(db)?;
    check_owner(&meta, &commit)?;
    for guard in &commit.guards {
        check_guard(db, guard)?;
    }
    let revision = 1 + match order {
        Order::Cluster => meta.position.revision,
        Order::Local => meta.local_revision,
    };
    let mut changes = Vec::with_capacity(commit.operations.len());
    for operation in commit.operations {
        changes.extend(operate(db, revision, operation)?);
    }
    if changes.is_empty() {
        return Ok(Committed { position: meta.position, revision: revision - 1, changes });
    }
    match order {
        Order::Local => meta.local_revision = revision,
        Order::Cluster => {
            meta.position.revision = revision;
            log(db, &changes)?;
            prune(db, &mut meta)?;
        }
    }
    meta.write(db)?;
    Ok(Committed { position: meta.position, revision, changes })
}

fn check_owner(meta: &Meta, commit: &Commit) -> Result<()> {
    let foreign =
        commit.operations.iter().map(|operation| operation.parts().0).find(|kind| is_replicated(*kind));
    match foreign {
        Some(kind) if meta.replica => Err(StoreError::NotOwner { kind }),
        _ => Ok(()),
    }
}

fn check_guard(db: &Connection, guard: &Guard) -> std::result::Result<(), Fault> {
    let (kind, key, expected) = match guard {
        Guard::Absent { kind, key } => (*kind, key, 0),
        Guard::At { kind, key, revision } => (*kind, key, *revision),
    };
    let found = db
        .prepare_cached("SELECT revision FROM records WHERE kind = ?1 AND key = ?2")?
        .query_row(params![kind.number(), key], |row| row.get::<_, i64>(0))
        .optional()?
        .map_or(0, i64::cast_unsigned);
    if found == expected {
        return Ok(());
    }
    Err(StoreError::Conflict { kind, key: key.clone(), expected, found }.into())
}

fn operate(db: &Connection, revision: u64, operation: Operation) -> rusqlite::Result<Option<Change>> {
    match operation {
        Operation::Put { kind, key, value } => {
            let record = Record { kind, key, revision, value };
            write_record(db, &record)?;
            Ok(Some(Change::Put(record)))
        }
        Operation::Delete { kind, key } => {
            let removed = delete_record(db, kind, &key)?;
            Ok(removed.then_some(Change::Delete { kind, key, revision }))
        }
    }
}

pub(crate) fn write_record(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO records (kind, key, revision, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, key) DO UPDATE SET revision = excluded.revision, value = excluded.value",
    )?
    .execute(params![record.kind.number(), record.key, record.revision.cast_signed(), record.value])
    .map(drop)
}

pub(crate) fn delete_record(db: &Connection, kind: Kind, key: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("DELETE FROM records WHERE kind = ?1 AND key = ?2")?
        .execute(params![kind.number(), key])
        .map(|rows| rows > 0)
}

fn log(db: &Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let mut insert =
        db.prepare_cached("INSERT OR IGNORE INTO changes (revision, kind, key) VALUES (?1, ?2, ?3)")?;
    for change in changes {
        let (kind, key) = change.subject();
        insert.execute(params![change.revision().cast_signed(), kind.number(), key])?;
    }
    Ok(())
}

fn prune(db: &Connection, meta: &mut Meta) -> rusqlite::Result<()> {
    let revision = meta.position.revision;
    if !revision.is_multiple_of(PRUNE_EVERY) || revision <= CHANGES_REVISIONS_MAX {
        return Ok(());
    }
    meta.compacted = meta.compacted.max(revision - CHANGES_REVISIONS_MAX);
    db.prepare_cached("DELETE FROM changes WHERE revision <= ?1")?.execute([meta.compacted.cast_signed()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit of pages plays the full disk: the database reports both by the same code.
    #[test]
    fn a_full_store_refuses_and_goes_on_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.db");
        let store = ConfigStore::open(&path).unwrap();
        let pages_max = |store: &ConfigStore, pages: u32| {
            let set = move |db: &Connection| Ok(db.pragma_update(None, "max_page_count", pages)?);
            store.inner.writer.wait(set).unwrap();
        };
        let class = |key: &str| Commit::new().put(Kind::FeatureClass, key, vec![b'x'; 4000]);
        pages_max(&store, 40);
        let mut acknowledged = 0;
        let refusal = loop {
            match store.commit(class(&acknowledged.to_string())) {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refusal, StoreError::DiskFull { .. }), "{refusal}");
        assert_eq!(store.list(Kind::FeatureClass).unwrap().len(), acknowledged);
        pages_max(&store, 400);
        store.commit(class("after")).unwrap();
        drop(store);
        let store = ConfigStore::open(&path).unwrap();
        assert_eq!(store.list(Kind::FeatureClass).unwrap().len(), acknowledged + 1);
    }
}
