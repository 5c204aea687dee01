//! A node's copy: changes that follow, snapshots whole or not at all, histories and epochs.

use crate::{class, fresh};
use model::{Change, Kind, Position, Record};
use proptest::prelude::*;
use store::{Commit, ConfigStore, Since, StoreError};

fn owner() -> (tempfile::TempDir, ConfigStore) {
    let (dir, store) = fresh();
    store.new_history(1).unwrap();
    (dir, store)
}

#[test]
fn a_replica_follows_by_snapshot_and_changes_and_refuses_writes() {
    let ((_a, server), (_b, node)) = (owner(), fresh());
    node.commit(Commit::new().put(Kind::Account, "admin", "{}")).unwrap();
    node.commit(class("old", "before the cluster")).unwrap();
    server.commit(class("1", "a")).unwrap();
    let snapshot = server.snapshot().unwrap();
    node.apply_snapshot(snapshot.position, snapshot.records.clone()).unwrap();
    assert_eq!(node.snapshot().unwrap(), snapshot);
    assert!(node.get(Kind::Account, "admin").unwrap().is_some(), "local kinds stay");

    let refused = node.commit(class("1", "mine"));
    assert!(matches!(refused, Err(StoreError::NotOwner { kind: Kind::FeatureClass })), "{refused:?}");
    node.commit(Commit::new().put(Kind::Account, "second", "{}")).unwrap();

    server.commit(class("1", "b").delete(Kind::FeatureClass, "none")).unwrap();
    let own = node.position().unwrap();
    let Since::Changes { position, changes } = server.changes_since(own.revision).unwrap() else { panic!() };
    node.apply_changes(position, changes).unwrap();
    assert_eq!(node.snapshot().unwrap(), server.snapshot().unwrap());
    assert_eq!(node.changes_since(own.revision).unwrap(), Since::Compacted, "a replica keeps no log");
}

#[test]
fn changes_of_another_history_or_backwards_change_nothing() {
    let ((_a, server), (_b, node)) = (owner(), fresh());
    server.commit(class("1", "a")).unwrap();
    let snapshot = server.snapshot().unwrap();
    let at = snapshot.position;
    node.apply_snapshot(at, snapshot.records).unwrap();
    let change = || {
        vec![Change::Put(Record {
            kind: Kind::FeatureClass,
            key: "x".into(),
            revision: 2,
            value: b"1".to_vec(),
        })]
    };
    for wrong in [Position { history: at.history ^ 1, ..at }, Position { revision: 0, ..at }] {
        let answer = node.apply_changes(wrong, change());
        assert!(matches!(answer, Err(StoreError::OutOfOrder { .. })), "{answer:?}");
    }
    let answer = node.apply_changes(Position { epoch: at.epoch - 1, revision: 9, ..at }, change());
    assert!(matches!(answer, Err(StoreError::Fenced { .. })), "{answer:?}");
    let answer = node.apply_snapshot(Position { epoch: at.epoch - 1, ..at }, vec![]);
    assert!(matches!(answer, Err(StoreError::Fenced { .. })), "{answer:?}");
    assert_eq!(node.position().unwrap(), at);
    assert_eq!(node.get(Kind::FeatureClass, "x").unwrap(), None);
    assert_eq!(node.list(Kind::FeatureClass).unwrap().len(), 1);
}

#[test]
fn a_new_history_has_an_epoch_above_all_seen_and_forgets_the_log() {
    let (_dir, store) = owner();
    store.commit(class("1", "a")).unwrap();
    let active = store.activate().unwrap();
    let next = store.new_history(0).unwrap();
    assert_ne!(next.history, active.history);
    assert_eq!((next.epoch, next.revision), (active.epoch + 1, 1));
    assert_eq!(store.changes_since(0).unwrap(), Since::Compacted);
    assert_eq!(store.list(Kind::FeatureClass).unwrap().len(), 1, "the records stay");
    assert_eq!(store.new_history(40).unwrap().epoch, 40);
}

#[test]
fn dcs_21_leaving_a_cluster_forgets_its_records_and_keeps_local_ones() {
    let (_dir, node) = fresh();
    let at = Position { history: 5, epoch: 2, revision: 7 };
    let record = Record { kind: Kind::Subscriber, key: "2101".into(), revision: 7, value: b"{}".to_vec() };
    node.apply_snapshot(at, vec![record]).unwrap();
    node.commit(Commit::new().put(Kind::Account, "admin", "{}")).unwrap();
    node.leave_cluster().unwrap();
    assert_eq!(node.position().unwrap(), Position::default());
    let left = node.everything().unwrap().records;
    assert_eq!(left.iter().map(|record| record.kind).collect::<Vec<_>>(), [Kind::Account]);
    assert!(!node.is_replica().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was committed, and whenever the replica looks: it ends equal to the server.
    #[test]
    fn a_replica_that_catches_up_at_any_moments_ends_equal(
        steps in prop::collection::vec((0..6u8, any::<bool>(), any::<bool>()), 1..40),
    ) {
        let ((_a, server), (_b, node)) = (owner(), fresh());
        let first = server.snapshot().unwrap();
        node.apply_snapshot(first.position, first.records).unwrap();
        for (n, (key, put, look)) in steps.into_iter().enumerate() {
            let key = key.to_string();
            let commit = if put { class(&key, &n.to_string()) } else { Commit::new().delete(Kind::FeatureClass, key) };
            server.commit(commit).unwrap();
            if look {
                catch_up(&server, &node);
                prop_assert_eq!(node.snapshot().unwrap(), server.snapshot().unwrap());
            }
        }
        catch_up(&server, &node);
        prop_assert_eq!(node.snapshot().unwrap(), server.snapshot().unwrap());
    }
}

fn catch_up(server: &ConfigStore, node: &ConfigStore) {
    let own = node.position().unwrap().revision;
    match server.changes_since(own).unwrap() {
        Since::Changes { position, changes } => node.apply_changes(position, changes).unwrap(),
        Since::Compacted => panic!("the log reaches back to the start"),
    };
}
