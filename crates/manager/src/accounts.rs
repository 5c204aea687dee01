//! The operators' accounts, as local objects of the manager's store.

use model::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Commit, ConfigStore, StoreError};
use web::{Account, AccountStore, ApiError};

/// Accounts in `config.db`.
#[derive(Debug, Clone)]
pub(crate) struct Accounts(pub(crate) Arc<ConfigStore>);

impl Accounts {
    /// Every account by its login name.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Account>, ApiError> {
        let records = self.0.list(Kind::Account).map_err(refusal)?;
        records.into_iter().map(|record| Ok((record.key, read(&record.value)?))).collect()
    }

    /// Removes an account.
    pub(crate) fn remove(&self, user: &str) -> Result<(), ApiError> {
        self.0.commit(Commit::new().delete(Kind::Account, user)).map(drop).map_err(refusal)
    }
}

impl AccountStore for Accounts {
    fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
        let record = self.0.get(Kind::Account, user).map_err(refusal)?;
        record.map(|record| read(&record.value)).transpose()
    }

    fn save(&self, user: &str, account: &Account) -> Result<(), ApiError> {
        let value = serde_json::to_vec(account).map_err(|fault| ApiError::internal(fault.to_string()))?;
        self.0.commit(Commit::new().put(Kind::Account, user, value)).map(drop).map_err(refusal)
    }
}

fn read(value: &[u8]) -> Result<Account, ApiError> {
    serde_json::from_slice(value).map_err(|_| ApiError::internal("an account cannot be read"))
}

fn refusal(fault: StoreError) -> ApiError {
    ApiError::internal(fault.to_string())
}
