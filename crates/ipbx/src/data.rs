//! Brings the stored data of a machine into agreement with its role, at each start and at each role change.
//!
//! It is idempotent, so that a crash between writing the role and changing the data is mended by the next start:
//!
//! | role | store | done |
//! | --- | --- | --- |
//! | owner (independent, cluster server) | of another cluster, or a replica | cluster records go, a new history begins |
//! | owner | its own | the epoch rises: one activation more |
//! | node | of another cluster, or its own | cluster records go; the cluster server sends all of them |
//! | node | a replica of this cluster | kept, so that it serves its phones before the link is up |
//!
//! An owner always has a cluster record, a feature class `default` and the general-purpose subscriber (DEP-21,
//! DEP-39), whose number is [`GENERAL_PURPOSE`]. A node gets its cluster server's with the first snapshot (DEP-41).

use crate::role::{ClusterSettings, Role};
use model::object::{Cluster, FeatureClass, Object, ObjectError, Subscriber};
use model::{Kind, MemberNumber, Position};
use store::{Commit, ConfigStore, StoreError};

/// The number of the general-purpose subscriber: 0000 is in no numbering plan in use, and short.
pub const GENERAL_PURPOSE: &str = "0000";
/// The feature class every system has; it bars nothing.
pub const DEFAULT_CLASS: &str = "default";

/// The data cannot be brought into agreement.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A first record cannot be: our own fault or a role with odd settings.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// See the module. Returns where the data stand.
///
/// # Errors
/// What the store says; then the machine must not serve.
pub fn agree(store: &ConfigStore, role: &Role) -> Result<Position, DataError> {
    let settings = role.cluster();
    let same_cluster = stored_cluster(store)?.is_none_or(|stored| stored.id == settings.id);
    let replica = store.is_replica()?;
    match role {
        Role::Node { .. } => {
            if !replica || !same_cluster {
                store.leave_cluster()?;
            }
        }
        Role::Independent { .. } | Role::ClusterServer { .. } => {
            if replica || !same_cluster {
                store.leave_cluster()?;
            }
            if store.position()?.history == 0 {
                store.new_history(1)?;
            } else {
                store.activate()?;
            }
            first_records(store, settings)?;
        }
    }
    Ok(store.position()?)
}

fn stored_cluster(store: &ConfigStore) -> Result<Option<Cluster>, DataError> {
    let record = store.get(Kind::Cluster, Cluster::KEY)?;
    Ok(record.and_then(|record| Cluster::from_json(&record.key, &record.value).ok()))
}

fn first_records(store: &ConfigStore, settings: &ClusterSettings) -> Result<(), DataError> {
    let cluster = Cluster {
        id: settings.id.clone(),
        name: settings.name.clone(),
        domain: settings.domain.clone(),
        site_number: settings.site_number,
    };
    cluster.validate(Cluster::KEY)?;
    let mut commit = Commit::new();
    if stored_cluster(store)?.as_ref() != Some(&cluster) {
        commit = commit.put(Kind::Cluster, Cluster::KEY, cluster.to_json()?);
    }
    if store.get(Kind::FeatureClass, DEFAULT_CLASS)?.is_none() {
        let class = FeatureClass { description: "bars nothing".to_owned(), ..FeatureClass::default() };
        commit = commit.put(Kind::FeatureClass, DEFAULT_CLASS, class.to_json()?);
    }
    if !has_general_purpose(store)? {
        let subscriber = Subscriber {
            name: "General purpose".to_owned(),
            feature_class: DEFAULT_CLASS.to_owned(),
            home: MemberNumber::CLUSTER_SERVER,
            general_purpose: true,
            credentials: None,
        };
        commit = commit.put(Kind::Subscriber, GENERAL_PURPOSE, subscriber.to_json()?);
    }
    if !commit.operations.is_empty() {
        store.commit(commit)?;
    }
    Ok(())
}

fn has_general_purpose(store: &ConfigStore) -> Result<bool, DataError> {
    let all = store.list(Kind::Subscriber)?;
    Ok(all.iter().any(|record| {
        Subscriber::from_json(&record.key, &record.value).is_ok_and(|subscriber| subscriber.general_purpose)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Membership;

    fn settings(id: &str) -> ClusterSettings {
        ClusterSettings {
            id: id.parse().unwrap(),
            name: id.to_owned(),
            domain: "pleiad.test".to_owned(),
            site_number: 1,
        }
    }

    fn membership() -> Membership {
        Membership { certificate_pem: String::new(), authority_pem: String::new(), sip_certificate_pem: None }
    }

    fn node(id: &str) -> Role {
        Role::Node {
            cluster: settings(id),
            membership: membership(),
            number: "1".parse().unwrap(),
            cs_address: "127.0.0.1:1".to_owned(),
        }
    }

    fn server(id: &str) -> Role {
        Role::ClusterServer { cluster: settings(id), membership: membership() }
    }

    fn store() -> (tempfile::TempDir, ConfigStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = ConfigStore::open(&dir.path().join("config.db")).unwrap();
        (dir, store)
    }

    #[test]
    fn dep_21_a_new_system_has_the_general_purpose_subscriber_and_no_other() {
        let (_dir, store) = store();
        agree(&store, &Role::Independent { cluster: settings("s-1") }).unwrap();
        let subscribers = store.list(Kind::Subscriber).unwrap();
        assert_eq!(subscribers.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(), [GENERAL_PURPOSE]);
    }

    #[test]
    fn a_restart_keeps_the_history_and_raises_the_epoch() {
        let (_dir, store) = store();
        let first = agree(&store, &server("c-1")).unwrap();
        let second = agree(&store, &server("c-1")).unwrap();
        assert_eq!((second.history, second.revision), (first.history, first.revision));
        assert_eq!(second.epoch, first.epoch + 1);
    }

    #[test]
    fn dep_34_a_machine_that_becomes_a_node_forgets_its_own_records() {
        let (_dir, store) = store();
        agree(&store, &Role::Independent { cluster: settings("s-1") }).unwrap();
        let position = agree(&store, &node("c-1")).unwrap();
        assert_eq!(position, Position::default());
        assert!(store.list(Kind::Subscriber).unwrap().is_empty());
    }

    #[test]
    fn a_node_that_restarts_while_cut_off_keeps_what_it_received() {
        let (_dir, store) = store();
        agree(&store, &node("c-1")).unwrap();
        let position = Position { history: 7, epoch: 1, revision: 9 };
        let value = br#"{"feature_class":"default","home":1,"credentials":null}"#.to_vec();
        let record = model::Record { kind: Kind::Subscriber, key: "2101".to_owned(), revision: 9, value };
        store.apply_snapshot(position, vec![record]).unwrap();
        assert_eq!(agree(&store, &node("c-1")).unwrap(), position);
        assert_eq!(store.list(Kind::Subscriber).unwrap().len(), 1);
    }
}
