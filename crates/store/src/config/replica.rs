//! What a node does with the cluster server's order, and how that order begins (DESIGN § 5.2).

use super::schema::Meta;
use super::{ConfigStore, delete_record, is_replicated, write_record};
use crate::error::Fault;
use crate::{Result, StoreError};
use model::{Change, Kind, Position, Record};
use rusqlite::Connection;

impl ConfigStore {
    /// Applies changes that lead from the present position to `position`, all or none, and waits.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] when they are of another history or lead backwards, [`StoreError::Fenced`]
    /// when they come from a replaced cluster server.
    pub fn apply_changes(&self, position: Position, changes: Vec<Change>) -> Result<Position> {
        self.inner.writer.wait(move |db| apply_changes(db, position, &changes))
    }

    /// As [`ConfigStore::apply_changes`], telling `done`.
    pub fn apply_changes_then(
        &self,
        position: Position,
        changes: Vec<Change>,
        done: impl FnOnce(Result<Position>) + Send + 'static,
    ) {
        self.inner.writer.submit(move |db| apply_changes(db, position, &changes), done);
    }

    /// Puts `records` in the place of all records of cluster kinds, all or none, and waits. Local kinds and
    /// settings stay. From here on the store is a replica.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the snapshot comes from a replaced cluster server of the same history.
    pub fn apply_snapshot(&self, position: Position, records: Vec<Record>) -> Result<Position> {
        self.inner.writer.wait(move |db| apply_snapshot(db, position, &records))
    }

    /// As [`ConfigStore::apply_snapshot`], telling `done`.
    pub fn apply_snapshot_then(
        &self,
        position: Position,
        records: Vec<Record>,
        done: impl FnOnce(Result<Position>) + Send + 'static,
    ) {
        self.inner.writer.submit(move |db| apply_snapshot(db, position, &records), done);
    }

    /// Begins a new history, by an operator's act: the store owns the cluster kinds from now on. The records
    /// stay; the epoch becomes `epoch` or one above all seen, whichever is higher.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new_history(&self, epoch: u64) -> Result<Position> {
        self.inner.writer.wait(move |db| {
            let mut meta = Meta::read(db)?;
            let history =
                db.query_row("SELECT random()", [], |row| row.get::<_, i64>(0))?.cast_unsigned().max(1);
            meta.position.history = history;
            meta.position.epoch = epoch.max(meta.position.epoch + 1);
            forget_changes(db, &mut meta)?;
            meta.replica = false;
            meta.write(db)?;
            Ok(meta.position)
        })
    }

    /// Raises the epoch: a cluster server becomes active in the history it has.
    ///
    /// # Errors
    /// What the disk says.
    pub fn activate(&self) -> Result<Position> {
        self.inner.writer.wait(|db| {
            let mut meta = Meta::read(db)?;
            meta.position.epoch += 1;
            meta.write(db)?;
            Ok(meta.position)
        })
    }

    /// Forgets the cluster: its records, position and history go, local kinds and settings stay (DCS-21, DEP-34).
    ///
    /// # Errors
    /// What the disk says.
    pub fn leave_cluster(&self) -> Result<()> {
        self.inner.writer.wait(|db| {
            let mut meta = Meta::read(db)?;
            clear_replicated(db)?;
            meta.position = Position::default();
            forget_changes(db, &mut meta)?;
            meta.replica = false;
            Ok(meta.write(db)?)
        })
    }
}

fn apply_changes(
    db: &Connection,
    position: Position,
    changes: &[Change],
) -> std::result::Result<Position, Fault> {
    let mut meta = Meta::read(db)?;
    check_follows(&meta, position)?;
    for change in changes {
        match change {
            Change::Put(record) => write_record(db, record)?,
            Change::Delete { kind, key, .. } => drop(delete_record(db, *kind, key)?),
        }
    }
    meta.position = position;
    meta.compacted = position.revision;
    meta.write(db)?;
    Ok(position)
}

fn check_follows(meta: &Meta, position: Position) -> Result<()> {
    let own = meta.position;
    if position.history != own.history || position.revision < own.revision {
        return Err(StoreError::OutOfOrder {
            own: own.history,
            own_revision: own.revision,
            found: position.history,
            revision: position.revision,
        });
    }
    check_epoch(own, position)
}

fn check_epoch(own: Position, position: Position) -> Result<()> {
    if position.history == own.history && position.epoch < own.epoch {
        return Err(StoreError::Fenced { own: own.epoch, found: position.epoch });
    }
    Ok(())
}

fn apply_snapshot(
    db: &Connection,
    position: Position,
    records: &[Record],
) -> std::result::Result<Position, Fault> {
    let mut meta = Meta::read(db)?;
    check_epoch(meta.position, position)?;
    clear_replicated(db)?;
    for record in records.iter().filter(|record| is_replicated(record.kind)) {
        write_record(db, record)?;
    }
    meta.position = position;
    meta.replica = true;
    forget_changes(db, &mut meta)?;
    meta.write(db)?;
    Ok(position)
}

fn clear_replicated(db: &Connection) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM records WHERE kind = ?1")?;
    for kind in Kind::ALL.iter().filter(|kind| is_replicated(**kind)) {
        delete.execute([kind.number()])?;
    }
    Ok(())
}

/// Nothing before the present revision can be asked for any more.
fn forget_changes(db: &Connection, meta: &mut Meta) -> rusqlite::Result<()> {
    meta.compacted = meta.position.revision;
    db.execute("DELETE FROM changes", []).map(drop)
}
