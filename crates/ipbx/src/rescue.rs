//! What the rescue console changes in the state folder of a machine that does not run.

use crate::config::Config;
use crate::machine::{ADMIN, MachineError};
use crate::service::accounts::Accounts;
use std::sync::Arc;
use store::ConfigStore;
use web::{Auth, Role};

/// Gives the account `admin` a new random password, which must be changed at the next login.
///
/// # Errors
/// When the store cannot be opened or written.
pub async fn reset_admin_password(config: &Config) -> Result<String, MachineError> {
    let store = ConfigStore::open(&config.dir.join("config.db"))?;
    let auth = Auth::new(Arc::new(Accounts::new(store)));
    Ok(auth.create(ADMIN, Role::Administrator).await?)
}
