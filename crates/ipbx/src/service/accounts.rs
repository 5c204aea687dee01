//! The web accounts of this machine: local objects, never sent anywhere.

use model::Kind;
use store::{Commit, ConfigStore};
use web::{Account, AccountStore, ApiError};

/// Accounts as they rest in the configuration.
#[derive(Clone)]
pub struct Accounts {
    store: ConfigStore,
}

impl Accounts {
    /// The accounts of this store.
    #[must_use]
    pub fn new(store: ConfigStore) -> Accounts {
        Accounts { store }
    }

    /// True when there is an account of this name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn exists(&self, user: &str) -> Result<bool, ApiError> {
        Ok(self.load(user)?.is_some())
    }
}

impl AccountStore for Accounts {
    fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
        let record = self.store.get(Kind::Account, user).map_err(super::store_refusal)?;
        record
            .map(|record| serde_json::from_slice(&record.value))
            .transpose()
            .map_err(|_| ApiError::internal("this account cannot be read"))
    }

    fn save(&self, user: &str, account: &Account) -> Result<(), ApiError> {
        let value =
            serde_json::to_vec(account).map_err(|_| ApiError::internal("this account cannot be written"))?;
        let commit = Commit::new().put(Kind::Account, user, value);
        self.store.commit(commit).map(drop).map_err(super::store_refusal)
    }
}
