//! Commits: one counter, guards, limits, order, and neighbours in a group.

use crate::{class, fresh};
use model::{Change, Kind};
use std::sync::mpsc::channel;
use store::{Commit, Since, StoreError};

#[test]
fn a_commit_is_read_back_with_its_revision() {
    let (_dir, store) = fresh();
    let done = store.commit(class("1", r#"{"a":1}"#).put(Kind::BarredNumbers, "b", "{}")).unwrap();
    assert_eq!((done.revision, done.changes.len()), (1, 2));
    assert_eq!(store.position().unwrap().revision, 1);
    let record = store.get(Kind::FeatureClass, "1").unwrap().unwrap();
    assert_eq!((record.revision, record.value.as_slice()), (1, br#"{"a":1}"#.as_slice()));
    assert_eq!(store.list(Kind::BarredNumbers).unwrap().len(), 1);
}

#[test]
fn a_guard_that_does_not_hold_refuses_and_changes_nothing() {
    let (_dir, store) = fresh();
    let first = store.commit(class("1", "1").if_absent(Kind::FeatureClass, "1")).unwrap();
    let again = store.commit(class("1", "2").if_absent(Kind::FeatureClass, "1"));
    assert!(matches!(again, Err(StoreError::Conflict { expected: 0, found: 1, .. })), "{again:?}");
    store.commit(class("1", "3").if_at(Kind::FeatureClass, "1", first.revision)).unwrap();
    let late = store.commit(class("2", "4").if_at(Kind::FeatureClass, "1", first.revision));
    assert!(matches!(late, Err(StoreError::Conflict { expected: 1, found: 2, .. })), "{late:?}");
    assert_eq!(store.position().unwrap().revision, 2);
    assert_eq!(store.get(Kind::FeatureClass, "1").unwrap().unwrap().value, b"3");
    assert_eq!(store.get(Kind::FeatureClass, "2").unwrap(), None);
}

#[test]
fn the_limits_of_both_homes_are_kept() {
    let (_dir, store) = fresh();
    let many = (0..101).fold(Commit::new(), |commit, n| commit.put(Kind::FeatureClass, format!("{n}"), "1"));
    let large = class("1", &"x".repeat(256 * 1024 + 1));
    let heavy = (0..5).fold(Commit::new(), |commit, n| {
        commit.put(Kind::FeatureClass, format!("{n}"), vec![b'x'; 250 * 1024])
    });
    let long_key = class(&"k".repeat(257), "1");
    for commit in [many, large, heavy, long_key] {
        let answer = store.commit(commit);
        assert!(matches!(answer, Err(StoreError::Limit { .. })), "{answer:?}");
    }
    assert_eq!(store.position().unwrap().revision, 0);
}

#[test]
fn deleting_what_is_absent_takes_no_revision() {
    let (_dir, store) = fresh();
    let done = store.commit(Commit::new().delete(Kind::FeatureClass, "1")).unwrap();
    assert_eq!((done.revision, done.changes), (0, vec![]));
    store.commit(class("1", "1")).unwrap();
    let done = store.commit(Commit::new().delete(Kind::FeatureClass, "1")).unwrap();
    assert_eq!(done.changes, [Change::Delete { kind: Kind::FeatureClass, key: "1".into(), revision: 2 }]);
}

#[test]
fn local_kinds_do_not_move_the_position_of_the_cluster() {
    let (_dir, store) = fresh();
    let local = store.commit(Commit::new().put(Kind::Account, "admin", "{}")).unwrap();
    assert_eq!((local.revision, local.position.revision), (1, 0));
    let mixed = store.commit(class("1", "1").put(Kind::Account, "b", "{}"));
    assert!(matches!(mixed, Err(StoreError::MixedScopes)), "{mixed:?}");
    assert_eq!(store.changes_since(0).unwrap(), Since::Changes { position: local.position, changes: vec![] });
    assert_eq!(store.snapshot().unwrap().records, []);
    assert_eq!(store.everything().unwrap().records.len(), 1);
}

#[test]
fn acknowledgements_come_in_the_order_of_revisions_and_a_refused_job_fails_alone() {
    let (_dir, store) = fresh();
    store.commit(class("taken", "1")).unwrap();
    let (sender, answers) = channel();
    for n in 0..500 {
        let sender = sender.clone();
        let commit = class(&n.to_string(), "1");
        let commit = if n % 3 == 0 { commit.if_absent(Kind::FeatureClass, "taken") } else { commit };
        store.commit_then(commit, move |answer| sender.send((n, answer)).unwrap());
    }
    drop(sender);
    let mut revision = 1;
    for (n, (asked, answer)) in answers.iter().enumerate() {
        assert_eq!(n, asked);
        match answer {
            Ok(done) => {
                revision += 1;
                assert_eq!(done.revision, revision);
            }
            Err(StoreError::Conflict { .. }) => assert_eq!(n % 3, 0),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(store.position().unwrap().revision, 1 + 333);
    assert_eq!(store.list(Kind::FeatureClass).unwrap().len(), 1 + 333);
}

#[test]
fn changes_since_lead_from_any_revision_to_now() {
    let (_dir, store) = fresh();
    store.commit(class("1", "a")).unwrap();
    store.commit(class("2", "b")).unwrap();
    store.commit(class("1", "c")).unwrap();
    store.commit(Commit::new().delete(Kind::FeatureClass, "2")).unwrap();
    let Since::Changes { position, changes } = store.changes_since(1).unwrap() else { panic!("compacted") };
    assert_eq!(position.revision, 4);
    let seen: Vec<_> = changes.iter().map(|change| (change.subject().1, change.revision())).collect();
    assert_eq!(seen, [("1", 3), ("2", 4)]);
    assert!(matches!(&changes[0], Change::Put(record) if record.value == b"c"));
    assert!(matches!(&changes[1], Change::Delete { .. }));
    assert_eq!(store.changes_since(5).unwrap(), Since::Compacted);
}

#[test]
fn settings_are_kept_and_are_no_records() {
    let (dir, store) = fresh();
    store.set_setting("role", &("node", 7)).unwrap();
    store.set_setting("gone", &1).unwrap();
    store.remove_setting("gone").unwrap();
    assert_eq!(store.position().unwrap().revision, 0);
    drop(store);
    let store = store::ConfigStore::open(&dir.path().join("config.db")).unwrap();
    assert_eq!(store.setting("role").unwrap(), Some(("node".to_owned(), 7)));
    assert_eq!(store.setting::<u8>("gone").unwrap(), None);
    assert!(matches!(store.setting::<u8>("role"), Err(StoreError::Unreadable { .. })));
}
