//! PBX_INFOS: a machine that has started, or has taken a role, announces itself (DEP-35); whoever deploys it
//! waits for that.
//!
//! A machine proves itself with the token it gave at its claim. Only a hash of the token is compared.

use super::Service;
use super::error::ServiceError;
use super::journal::Told;
use crate::machine::wire::Announcement;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Announcements a waiting deployment may be behind; it only ever waits for its own machine.
const BACKLOG_MAX: usize = 256;

/// An announcement, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The key of the machine.
    pub machine: String,
    /// What it said.
    pub said: Announcement,
}

/// Who may announce, and who listens.
#[derive(Debug)]
pub struct Announcements {
    tokens: Mutex<BTreeMap<[u8; 32], String>>,
    sender: broadcast::Sender<Arc<Heard>>,
}

impl Default for Announcements {
    fn default() -> Announcements {
        Announcements { tokens: Mutex::default(), sender: broadcast::Sender::new(BACKLOG_MAX) }
    }
}

impl Announcements {
    /// From now on this token is that of the machine `key`.
    pub fn know(&self, key: &str, token: &str) {
        self.forget(key);
        self.tokens().insert(web::secret::hashed(token), key.to_owned());
    }

    /// The machine `key` has no token any more.
    pub fn forget(&self, key: &str) {
        self.tokens().retain(|_, machine| machine != key);
    }

    /// The machine this token belongs to.
    #[must_use]
    pub fn owner(&self, token: &str) -> Option<String> {
        self.tokens().get(&web::secret::hashed(token)).cloned()
    }

    /// Tells those who wait.
    pub fn hear(&self, heard: Heard) {
        // Without anybody waiting there is nobody to tell.
        let _unheard = self.sender.send(Arc::new(heard));
    }

    /// Announcements from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Heard>> {
        self.sender.subscribe()
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<[u8; 32], String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// A machine has announced itself: the log says so, and whoever waits for it goes on.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn announced(&self, heard: Heard) -> Result<(), ServiceError> {
        let said = &heard.said;
        let number = said.node_number.map_or(String::new(), |number| format!(" {number}"));
        let detail = format!(
            "PBX_INFOS {}: {}{number}, release {}, {}",
            said.event, said.role, said.release, said.dongle_id
        );
        let who = heard.machine.clone();
        self.announcements().hear(heard);
        self.journal().record(&who, "announce", &who, async { Ok(Told::new((), detail)) }).await.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_one_machine_until_it_is_forgotten_or_replaced() {
        let announcements = Announcements::default();
        announcements.know("node-1", "old");
        announcements.know("node-1", "new");
        assert_eq!(announcements.owner("old"), None);
        assert_eq!(announcements.owner("new").as_deref(), Some("node-1"));
        announcements.forget("node-1");
        assert_eq!(announcements.owner("new"), None);
    }
}
