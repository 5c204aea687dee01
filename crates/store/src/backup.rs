//! A copy of an open store: one consistent state, while writers and readers go on.

use crate::readers::Readers;
use crate::{ConfigStore, Result, RuntimeStore, StoreError};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl ConfigStore {
    /// Copies the store to `target`, which appears only when it is whole and on the disk.
    ///
    /// # Errors
    /// What either disk says; the target is then as it was.
    pub fn backup(&self, target: &Path) -> Result<()> {
        copy(&self.inner.readers, target)
    }
}

impl RuntimeStore {
    /// As [`ConfigStore::backup`].
    ///
    /// # Errors
    /// As [`ConfigStore::backup`].
    pub fn backup(&self, target: &Path) -> Result<()> {
        copy(self.readers(), target)
    }
}

fn copy(readers: &Readers, target: &Path) -> Result<()> {
    let partial = partial(target);
    let opening =
        |error: std::io::Error| StoreError::Open { file: target.to_owned(), source: Arc::new(error) };
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(opening)?;
    }
    readers.read(|source| fill(source, &partial).map_err(|error| StoreError::of(&partial, error)))?;
    std::fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(opening)?;
    std::fs::rename(&partial, target).map_err(opening)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(opening)
}

/// All pages in one step: the source is read in one transaction, so commits meanwhile do not restart it.
fn fill(source: &Connection, partial: &Path) -> rusqlite::Result<()> {
    let mut copy = Connection::open(partial)?;
    {
        let backup = Backup::new(source, &mut copy)?;
        while backup.step(-1)? != StepResult::Done {
            std::thread::yield_now();
        }
    }
    // A single file that can be carried away: no log beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")
}

fn partial(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
