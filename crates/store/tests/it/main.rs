//! The store against real files, and against `kill -9`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests may fail as tests do; clippy.toml covers only the test functions"
)]

mod config;
mod files;
mod kill;
mod operations;
mod replica;
mod runtime;

use store::{Commit, ConfigStore};
use tempfile::TempDir;

/// A store in a folder that goes with the test.
fn fresh() -> (TempDir, ConfigStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ConfigStore::open(&dir.path().join("config.db")).unwrap();
    (dir, store)
}

/// A commit of one feature class.
fn class(key: &str, value: &str) -> Commit {
    Commit::new().put(model::Kind::FeatureClass, key, value)
}
