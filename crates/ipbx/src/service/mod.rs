//! What can be asked of a machine and done to it, one noun a file. The JSON API, the pages and the console call
//! these functions and no other; a handler never opens the store. Whoever changes something is a
//! [`Principal`](web::auth::Principal), and its role is checked here.

pub mod accounts;
pub mod bans;
pub mod calls;
pub mod enrolment;
pub mod lines;
pub mod metrics;
pub mod objects;
mod references;
pub mod state;

use crate::machine::Machine;
use crate::running::Running;
use crate::shell::engine::Stopped;
use std::sync::Arc;
use web::ApiError;

/// What runs, or the refusal while a role is being taken up.
pub(crate) fn running(machine: &Machine) -> Result<Arc<Running>, ApiError> {
    machine.running().ok_or_else(|| being_rebuilt(Stopped))
}

pub(crate) fn being_rebuilt(stopped: Stopped) -> ApiError {
    ApiError::unavailable("being-rebuilt", stopped.to_string()).next("ask again in a moment")
}

pub(crate) fn store_refusal(fault: store::StoreError) -> ApiError {
    use store::StoreError;
    let text = fault.to_string();
    match fault {
        StoreError::Conflict { .. } => ApiError::conflict("conflict", text),
        StoreError::Limit { .. } => ApiError::bad_request("limit", text),
        StoreError::NotOwner { .. } => ApiError::conflict("not-owner", text),
        StoreError::Busy { .. } | StoreError::DiskFull { .. } => ApiError::unavailable("store", text),
        _ => ApiError::internal(text),
    }
}

/// Runs what may wait for the disk where waiting is allowed.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(store_refusal),
        Err(_) => Err(ApiError::internal("the work was interrupted")),
    }
}
