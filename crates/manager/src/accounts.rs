//! The operators' accounts, as settings of the manager's store.

use std::sync::Arc;
use store::ConfigStore;
use web::{Account, AccountStore, ApiError};

/// Accounts in `config.db`.
#[derive(Debug)]
pub(crate) struct Accounts(pub(crate) Arc<ConfigStore>);

impl AccountStore for Accounts {
    fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
        self.0.setting(&setting(user)).map_err(|fault| ApiError::internal(fault.to_string()))
    }

    fn save(&self, user: &str, account: &Account) -> Result<(), ApiError> {
        self.0.set_setting(&setting(user), account).map_err(|fault| ApiError::internal(fault.to_string()))
    }
}

fn setting(user: &str) -> String {
    format!("operator/{user}")
}
