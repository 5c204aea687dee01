//! The tables of `config.db`. A step that has been released is never edited; a new one is added below it.

use crate::file::Migrations;
use model::Position;
use rusqlite::Connection;

pub(crate) const MIGRATIONS: Migrations = &["
    CREATE TABLE records (
        kind INTEGER NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE changes (
        revision INTEGER NOT NULL, kind INTEGER NOT NULL, key TEXT NOT NULL,
        PRIMARY KEY (revision, kind, key)
    ) WITHOUT ROWID;
    CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE operations (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        target TEXT NOT NULL, outcome TEXT NOT NULL, duration_ms INTEGER NOT NULL, next TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX operations_target ON operations (target, id);
    -- compacted: the changes up to this revision are gone. replica: 1 = the cluster kinds are another member's.
    CREATE TABLE meta (
        one INTEGER PRIMARY KEY CHECK (one = 1), history INTEGER NOT NULL, epoch INTEGER NOT NULL,
        revision INTEGER NOT NULL, compacted INTEGER NOT NULL, local_revision INTEGER NOT NULL,
        replica INTEGER NOT NULL
    );
    INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0)
"];

/// The one row that says where the store stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) position: Position,
    pub(crate) compacted: u64,
    pub(crate) local_revision: u64,
    pub(crate) replica: bool,
}

impl Meta {
    pub(crate) fn read(db: &Connection) -> rusqlite::Result<Meta> {
        db.prepare_cached(
            "SELECT history, epoch, revision, compacted, local_revision, replica FROM meta WHERE one = 1",
        )?
        .query_row([], |row| {
            let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Meta {
                position: Position { history: number(0)?, epoch: number(1)?, revision: number(2)? },
                compacted: number(3)?,
                local_revision: number(4)?,
                replica: row.get(5)?,
            })
        })
    }

    pub(crate) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let Position { history, epoch, revision } = self.position;
        db.prepare_cached(
            "UPDATE meta SET history = ?1, epoch = ?2, revision = ?3, compacted = ?4, local_revision = ?5,
             replica = ?6 WHERE one = 1",
        )?
        .execute(rusqlite::params![
            history.cast_signed(),
            epoch.cast_signed(),
            revision.cast_signed(),
            self.compacted.cast_signed(),
            self.local_revision.cast_signed(),
            self.replica,
        ])
        .map(drop)
    }
}
