//! Everything an operator can do, as functions: the pages, the JSON API and through it `pleiad ctl` all call
//! these and nothing below. Who may do what is decided here.
//!
//! The topology is kept in memory as one immutable value beside the store; an edit is planned on the value,
//! committed, and only then swapped in. One edit at a time, one deployment a machine at a time.

pub mod deployment;
pub mod error;
pub mod journal;
pub mod objects;
pub mod operators;
pub mod topology;

mod announce;
mod configure;
mod state;

pub use announce::{Announcements, Heard};
pub use error::ServiceError;
pub use journal::{Journal, Told};
pub use state::Topology;

use crate::machine::Machine;
use crate::machine::wire::ManagerContact;
use crate::supervision::Sights;
use crate::vault::Vault;
use crate::view::Operation;
use model::topology as domain;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::{ConfigStore, OperationQuery};
use web::{ApiError, Auth, Fingerprint, Hub, Principal};

/// Everything the service stands on.
#[derive(Debug)]
pub struct Foundation {
    /// Topology, settings, operations log.
    pub store: Arc<ConfigStore>,
    /// Keys and tokens.
    pub vault: Vault,
    /// Open pages and programs.
    pub hub: Hub,
    /// What machines are told at the claim.
    pub contact: ManagerContact,
    /// Who may log in.
    pub auth: Auth,
    /// When the manager's web certificate ends, Unix time.
    pub certificate_ends_ms: Option<u64>,
}

/// The service; clones share it.
#[derive(Debug, Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<ConfigStore>,
    vault: Vault,
    hub: Hub,
    contact: ManagerContact,
    auth: Auth,
    certificate_ends_ms: Option<u64>,
    journal: Journal,
    topology: RwLock<Arc<Topology>>,
    editing: tokio::sync::Mutex<()>,
    busy: Mutex<BTreeSet<String>>,
    connections: Mutex<BTreeMap<String, Connection>>,
    announcements: Announcements,
    sights: Sights,
}

impl Service {
    /// Loads the topology and opens the log.
    ///
    /// # Errors
    /// What the disk says, or a stored object that is damaged.
    pub fn open(on: Foundation) -> Result<Service, ServiceError> {
        let topology = Topology::load(&on.store)?;
        let journal = Journal::open(on.store.clone(), on.hub.clone())?;
        let announcements = Announcements::default();
        for key in topology.machines.keys() {
            if let Some(secret) = on.vault.machine(key)? {
                announcements.know(key, &secret.announce_token);
            }
        }
        let inner = Inner {
            store: on.store,
            vault: on.vault,
            hub: on.hub,
            contact: on.contact,
            auth: on.auth,
            certificate_ends_ms: on.certificate_ends_ms,
            journal,
            topology: RwLock::new(Arc::new(topology)),
            editing: tokio::sync::Mutex::default(),
            busy: Mutex::default(),
            connections: Mutex::default(),
            announcements,
            sights: Sights::default(),
        };
        Ok(Service { inner: Arc::new(inner) })
    }

    /// The topology as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Topology> {
        self.inner.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What supervision sees.
    #[must_use]
    pub fn sights(&self) -> &Sights {
        &self.inner.sights
    }

    /// Who tells open pages.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// The manager's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.contact.name
    }

    pub(crate) fn contact(&self) -> &ManagerContact {
        &self.inner.contact
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.inner.auth
    }

    pub(crate) fn certificate_ends(&self) -> Option<u64> {
        self.inner.certificate_ends_ms
    }

    pub(crate) fn store(&self) -> &Arc<ConfigStore> {
        &self.inner.store
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    pub(crate) fn announcements(&self) -> &Announcements {
        &self.inner.announcements
    }

    /// The last entries of the operations log, newest first; `before` and `target` page and filter.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn operations(&self, query: OperationQuery) -> Result<Vec<Operation>, ServiceError> {
        self.inner.journal.last(query).await
    }

    /// A claimed machine, ready to be asked.
    ///
    /// # Errors
    /// When it is not in the topology or not claimed yet.
    pub fn machine(&self, key: &str) -> Result<Machine, ServiceError> {
        let topology = self.snapshot();
        let machine = topology.machine(key)?;
        self.connect(key, machine)
    }

    pub(crate) fn connect(&self, key: &str, machine: &domain::Machine) -> Result<Machine, ServiceError> {
        let early = || model::deploy::Refusal::TooEarly { needed: "claimed" };
        let fingerprint = machine.progress.fingerprint().ok_or_else(early)?;
        let fingerprint: Fingerprint = fingerprint.parse().map_err(|_| early())?;
        let mut connections = self.connections();
        if let Some(known) = connections.get(key)
            && (&known.address, known.fingerprint) == (&machine.address, fingerprint)
        {
            return Ok(known.machine.clone());
        }
        let secret = self.inner.vault.machine(key)?.ok_or_else(early)?;
        let address = machine.address.clone();
        let machine = Machine::new(&address, fingerprint, &secret.token)?;
        connections.insert(key.to_owned(), Connection { address, fingerprint, machine: machine.clone() });
        Ok(machine)
    }

    /// The machine has other tokens from now on, or is gone.
    pub(crate) fn disconnect(&self, key: &str) {
        self.connections().remove(key);
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Connection>> {
        self.inner.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans an edit on the present topology, commits it, and swaps it in; one at a time.
    pub(crate) async fn edit<T>(
        &self,
        plan: impl FnOnce(&Topology) -> Result<(store::Commit, Topology, T), ServiceError>,
    ) -> Result<T, ServiceError> {
        let _turn = self.inner.editing.lock().await;
        let (commit, next, value) = plan(&self.snapshot())?;
        let store = self.inner.store.clone();
        blocking(move || Ok(store.commit(commit)?)).await?;
        *self.inner.topology.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.inner.hub.changed("topology");
        Ok(value)
    }

    /// Keeps all other deployments away from a machine until the turn is dropped.
    pub(crate) fn take_turn(&self, key: &str) -> Result<Turn, ServiceError> {
        let mut busy = self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(key.to_owned()) {
            return Err(ServiceError::Busy { key: key.to_owned() });
        }
        Ok(Turn { service: self.clone(), key: key.to_owned() })
    }
}

/// A kept connection, and what it was made for.
#[derive(Debug)]
struct Connection {
    address: domain::HostPort,
    fingerprint: Fingerprint,
    machine: Machine,
}

/// The right to deploy one machine.
#[derive(Debug)]
pub(crate) struct Turn {
    service: Service,
    key: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.service.inner.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Refuses who may only look.
pub(crate) fn administrator(who: &Principal) -> Result<(), ServiceError> {
    who.administrator().map_err(ServiceError::Forbidden)
}

/// Runs what touches the disk where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(ServiceError::Ours(ApiError::internal("a task ended early"))),
    }
}
