//! The whole topology as one value, and how it is read from the store.

use super::error::ServiceError;
use model::Kind;
use model::object::Object;
use model::topology::{Machine, MultiSite, Region};
use std::collections::BTreeMap;
use store::ConfigStore;

/// Regions, multi-sites and machines by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The regions.
    pub regions: BTreeMap<String, Region>,
    /// The multi-sites.
    pub multi_sites: BTreeMap<String, MultiSite>,
    /// The machines.
    pub machines: BTreeMap<String, Machine>,
}

impl Topology {
    pub(super) fn load(store: &ConfigStore) -> Result<Topology, ServiceError> {
        Ok(Topology {
            regions: read(store, Kind::Region)?,
            multi_sites: read(store, Kind::MultiSite)?,
            machines: read(store, Kind::Machine)?,
        })
    }

    /// The region of this key.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub fn region(&self, key: &str) -> Result<&Region, ServiceError> {
        self.regions.get(key).ok_or_else(|| missing("region", key))
    }

    /// The multi-site of this key.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub fn multi_site(&self, key: &str) -> Result<&MultiSite, ServiceError> {
        self.multi_sites.get(key).ok_or_else(|| missing("multi-site", key))
    }

    /// The machine of this key.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub fn machine(&self, key: &str) -> Result<&Machine, ServiceError> {
        self.machines.get(key).ok_or_else(|| missing("machine", key))
    }

    /// The machines as the rules of deployment take them.
    pub fn by_key(&self) -> impl Iterator<Item = (&str, &Machine)> + Clone {
        self.machines.iter().map(|(key, machine)| (key.as_str(), machine))
    }

    /// The nodes of a cluster server.
    pub fn nodes_of<'a>(
        &'a self,
        cluster_server: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Machine)> + Clone {
        self.by_key().filter(move |(_, machine)| machine.cluster_server() == Some(cluster_server))
    }

    /// The cluster server of the cluster with this identity, or of this machine key.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub fn cluster(&self, id: &str) -> Result<(&str, &Machine), ServiceError> {
        let named = |machine: &Machine| machine.cluster().is_some_and(|cluster| cluster.as_str() == id);
        self.by_key()
            .find(|(_, machine)| named(machine))
            .or_else(|| self.by_key().find(|(key, machine)| *key == id && machine.is_cluster_server()))
            .ok_or_else(|| missing("cluster", id))
    }

    /// The machine at the centre of this machine's cluster: itself, or its cluster server.
    #[must_use]
    pub fn centre_of<'a>(&'a self, key: &'a str, machine: &'a Machine) -> Option<(&'a str, &'a Machine)> {
        match machine.cluster_server() {
            None => Some((key, machine)),
            Some(centre) => self.machines.get(centre).map(|server| (centre, server)),
        }
    }
}

pub(super) fn missing(kind: &'static str, key: &str) -> ServiceError {
    ServiceError::NotFound { kind, key: key.to_owned() }
}

fn read<T: Object>(store: &ConfigStore, kind: Kind) -> Result<BTreeMap<String, T>, ServiceError> {
    store
        .list(kind)?
        .into_iter()
        .map(|record| Ok((record.key.clone(), T::from_json(&record.key, &record.value)?)))
        .collect()
}
