//! Accounts of people: a role and an argon2id hash.
//!
//! Hashing takes 20 MB and tens of milliseconds on purpose, so it runs on blocking threads and only
//! [`HASHES_AT_ONCE`] at a time: a storm of logins waits, it does not eat the machine.

use crate::error::ApiError;
use crate::secret;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Hashes computed at a time.
const HASHES_AT_ONCE: usize = 2;
/// Characters of the shortest password.
pub const PASSWORD_CHARACTERS_MIN: usize = 10;
/// Bytes of the longest password.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Bytes of the longest account name.
pub const USER_BYTES_MAX: usize = 64;

/// What a password is hashed with when there is no account to compare with.
const NOBODYS_SALT: &[u8] = b"nobody-nobody-no";

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Sees and changes everything.
    Administrator,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Administrator => "administrator",
        })
    }
}

/// An account as it rests. Its name is the key it rests under.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it may do.
    pub role: Role,
    /// The argon2id hash as a PHC string.
    pub password_hash: String,
    /// The password was given by us and must be replaced at the first login.
    pub must_change: bool,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("role", &self.role)
            .field("must_change", &self.must_change)
            .finish_non_exhaustive()
    }
}

/// Where accounts rest. Called on blocking threads only, so it may touch the disk.
pub trait AccountStore: Send + Sync + 'static {
    /// The account of this name.
    ///
    /// # Errors
    /// The store cannot be read.
    fn load(&self, user: &str) -> Result<Option<Account>, ApiError>;

    /// Writes it, durably.
    ///
    /// # Errors
    /// The store cannot be written.
    fn save(&self, user: &str, account: &Account) -> Result<(), ApiError>;
}

/// Hashes and verifies.
#[derive(Debug, Clone)]
pub struct Hasher {
    places: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Hasher {
        Hasher { places: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}

impl Hasher {
    /// The hash of a password that [`check_password`] accepts.
    ///
    /// # Errors
    /// The password is refused, or the system has no randomness.
    pub async fn hash(&self, password: &str) -> Result<String, ApiError> {
        check_password(password)?;
        let password = password.to_owned();
        self.run(move || hash(&password)).await?
    }

    /// True when the password belongs to the hash. Without a hash (unknown user) it takes the same time and is
    /// false.
    ///
    /// # Errors
    /// Only our own: a task that died.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, ApiError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
        self.run(move || verify(&password, hash.as_deref())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let place = self.places.clone().acquire_owned().await;
        let result = tokio::task::spawn_blocking(work).await;
        drop(place);
        result.map_err(|_| ApiError::internal("password hashing was interrupted"))
    }
}

/// Refuses passwords that are too short or absurdly long.
///
/// # Errors
/// 400 with the rule.
pub fn check_password(password: &str) -> Result<(), ApiError> {
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        let rule = format!("a password has at least {PASSWORD_CHARACTERS_MIN} characters");
        return Err(ApiError::bad_request("weak-password", rule));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let rule = format!("a password has at most {PASSWORD_BYTES_MAX} bytes");
        return Err(ApiError::bad_request("weak-password", rule));
    }
    Ok(())
}

/// The same hash as [`Hasher::hash`], on the calling thread: for a first start that has no runtime yet.
///
/// # Errors
/// See [`Hasher::hash`].
pub fn hash(password: &str) -> Result<String, ApiError> {
    let salt = secret::random::<16>()?;
    Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| ApiError::internal("the password cannot be hashed"))
}

fn verify(password: &str, hash: Option<&str>) -> bool {
    match hash.map(PasswordHash::new) {
        Some(Ok(hash)) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
        // Unknown user, unreadable hash: spend the time all the same.
        None | Some(Err(_)) => {
            let mut spent = [0_u8; 32];
            let _spent = Argon2::default().hash_password_into(password.as_bytes(), NOBODYS_SALT, &mut spent);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_verified_against_its_hash_only() {
        let hasher = Hasher::default();
        let hash = hasher.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(hasher.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct hors", Some(&hash)).await.unwrap());
        assert!(!hasher.verify("correct horse", None).await.unwrap());
        assert_eq!(hasher.hash("short").await.unwrap_err().code, "weak-password");
    }
}
