//! Small files of the state folder: written whole or not at all, readable by their owner only.

use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file of the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refuses it.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its content is not what this program writes.
    #[error(
        "{path} is damaged: {source}; restore it from a backup, or start over with an empty state folder"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { doing, path, source }
}

/// Makes the state folder, for its owner only.
///
/// # Errors
/// When the system refuses.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(io_error("cannot make the folder", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(io_error("cannot protect", path))
}

/// Replaces a file by `bytes`, mode 0600: after a crash at any instant the old or the new content is there.
///
/// # Errors
/// When the system refuses; the old content then stands.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(io_error("cannot write", path))
}

/// Writes a value as JSON; see [`write_private`].
///
/// # Errors
/// When the system refuses; the old content then stands.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| FileError::Damaged { path: path.to_owned(), source })?;
    write_private(path, &bytes)
}

/// Reads a value that [`write_json`] wrote, if the file is there.
///
/// # Errors
/// When it is there and cannot be read or understood.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(io_error("cannot read", path)(fault)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| FileError::Damaged { path: path.to_owned(), source })
}

/// Removes a file; that it is not there is no fault.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(io_error("cannot remove", path)(fault)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_is_private_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        write_json(&path, &vec![1, 2, 3]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_taken_for_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("role.json");
        fs::write(&path, b"{").unwrap();
        assert!(read_json::<Vec<u32>>(&path).unwrap_err().to_string().contains("role.json is damaged"));
    }
}
