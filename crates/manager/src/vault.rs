//! Secrets of the manager at rest: the keys of cluster authorities and the tokens of claimed machines, each in a
//! file of its own that only the owner may read (0600), in a folder only the owner may enter (0700).
//!
//! Files are replaced whole: written beside, synced, renamed. What is read here is never logged or shown; the
//! types have no `Debug` that tells.

use model::ClusterId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why a secret cannot be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The file does not hold what we wrote.
    #[error("{}: damaged: {source}; restore it from a backup", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
}

/// What a claimed machine and its manager prove themselves with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSecret {
    /// The manager's bearer token at the machine.
    pub token: String,
    /// The machine's bearer token at the manager.
    pub announce_token: String,
}

impl fmt::Debug for MachineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineSecret(…)")
    }
}

/// The authority of one cluster: whoever has this can make members.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthoritySecret {
    /// Its certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: String,
}

impl fmt::Debug for AuthoritySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthoritySecret(…)")
    }
}

/// The folder of secrets.
#[derive(Debug, Clone)]
pub struct Vault {
    dir: PathBuf,
}

impl Vault {
    /// Opens the folder, making it when it is not there.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn open(dir: &Path) -> Result<Vault, VaultError> {
        let dir = dir.join("secrets");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|source| VaultError::File { path: dir.clone(), source })?;
        Ok(Vault { dir })
    }

    /// Keeps the tokens of a machine.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn keep_machine(&self, key: &str, secret: &MachineSecret) -> Result<(), VaultError> {
        write_json(&self.machine_path(key), secret)
    }

    /// The tokens of a machine, none when it was never claimed.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn machine(&self, key: &str) -> Result<Option<MachineSecret>, VaultError> {
        read_json(&self.machine_path(key))
    }

    /// Forgets the tokens of a machine.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn forget_machine(&self, key: &str) -> Result<(), VaultError> {
        remove(&self.machine_path(key))
    }

    /// Keeps the authority of a cluster.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn keep_authority(&self, cluster: &ClusterId, secret: &AuthoritySecret) -> Result<(), VaultError> {
        write_json(&self.authority_path(cluster), secret)
    }

    /// The authority of a cluster, none when it was never made.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn authority(&self, cluster: &ClusterId) -> Result<Option<AuthoritySecret>, VaultError> {
        read_json(&self.authority_path(cluster))
    }

    /// Forgets the authority of a cluster.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn forget_authority(&self, cluster: &ClusterId) -> Result<(), VaultError> {
        remove(&self.authority_path(cluster))
    }

    /// Writes, syncs and removes a file: whether secrets can be kept now.
    ///
    /// # Errors
    /// [`VaultError::File`].
    pub fn probe(&self) -> Result<(), VaultError> {
        let path = self.dir.join("probe");
        write_private(&path, b"probe")?;
        remove(&path)
    }

    // Keys of machines are slugs and cluster ids are DNS labels: neither can leave the folder.
    fn machine_path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("machine-{key}.json"))
    }

    fn authority_path(&self, cluster: &ClusterId) -> PathBuf {
        self.dir.join(format!("authority-{cluster}.json"))
    }
}

/// Writes a file that only the owner may read, whole or not at all.
///
/// # Errors
/// [`VaultError::File`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let fault = |source| VaultError::File { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    remove(&beside)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(fault)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fault)?;
    std::fs::rename(&beside, path).map_err(fault)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), VaultError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| VaultError::Damaged { path: path.to_owned(), source })?;
    write_private(path, &text)
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VaultError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| VaultError::Damaged { path: path.to_owned(), source }),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::File { path: path.to_owned(), source }),
    }
}

fn remove(path: &Path) -> Result<(), VaultError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(VaultError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secrets_are_readable_by_their_owner_only_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let secret = MachineSecret { token: "t".to_owned(), announce_token: "a".to_owned() };
        assert_eq!(vault.machine("node-1").unwrap(), None);
        vault.keep_machine("node-1", &secret).unwrap();
        assert_eq!(vault.machine("node-1").unwrap().as_ref(), Some(&secret));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("secrets")), 0o700);
        assert_eq!(mode(&dir.path().join("secrets/machine-node-1.json")), 0o600);
        vault.forget_machine("node-1").unwrap();
        vault.forget_machine("node-1").unwrap();
        assert_eq!(vault.machine("node-1").unwrap(), None);
        assert!(!format!("{secret:?}").contains('t'.to_string().repeat(2).as_str()));
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        let path = dir.path().join("secrets/machine-x.json");
        std::fs::write(&path, "{").unwrap();
        let fault = vault.machine("x").unwrap_err().to_string();
        assert!(fault.contains("machine-x.json") && fault.contains("damaged"), "{fault}");
    }
}
