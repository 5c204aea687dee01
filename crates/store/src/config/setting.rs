//! Settings: small local values by name, as JSON (role, management token, session secret …). They are no
//! objects: no revision, never sent.

use super::ConfigStore;
use crate::{Result, StoreError};
use rusqlite::OptionalExtension;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

impl ConfigStore {
    /// Reads a setting.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when what is stored is no `T`.
    pub fn setting<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let text: Option<String> = self.read(|db| {
            let mut select = db.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
            Ok(select.query_row([key], |row| row.get(0)).optional()?)
        })?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(key, error))).transpose()
    }

    /// Writes a setting and waits until it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when `value` has no form as JSON, or what the disk says.
    pub fn set_setting<T: Serialize>(&self, key: &str, value: &T) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|error| unreadable(key, error))?;
        let key = key.to_owned();
        self.inner.writer.wait(move |db| {
            db.prepare_cached(
                "INSERT INTO settings (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?
            .execute([&key, &text])?;
            Ok(())
        })
    }

    /// Removes a setting, if it is there, and waits.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_setting(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.inner.writer.wait(move |db| {
            db.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([&key])?;
            Ok(())
        })
    }
}

fn unreadable(key: &str, error: serde_json::Error) -> StoreError {
    StoreError::Unreadable { what: format!("setting '{key}'"), source: Arc::new(error) }
}
