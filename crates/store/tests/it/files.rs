//! Files that are damaged, gone, foreign, in use or full; and their copies.

use crate::{class, fresh};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use store::{ConfigStore, RuntimeStore, StoreError};

#[test]
fn a_damaged_file_is_refused_by_name_and_left_as_it_is() {
    let (dir, store) = fresh();
    let path = dir.path().join("config.db");
    for n in 0..200 {
        store.commit(class(&n.to_string(), &"x".repeat(500))).unwrap();
    }
    drop(store);
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(8192)).unwrap();
    file.write_all(&[0xA5; 8192]).unwrap();
    let before = fs::read(&path).unwrap();
    let error = ConfigStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("config.db"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn text_in_the_place_of_a_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runtime.db");
    fs::write(&path, "this is no database, however long it is. ".repeat(100)).unwrap();
    let error = RuntimeStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_file_that_existed_is_never_replaced_by_an_empty_one() {
    let (dir, store) = fresh();
    let path = dir.path().join("config.db");
    store.commit(class("1", "1")).unwrap();
    drop(store);
    fs::write(&path, b"").unwrap();
    let error = ConfigStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(matches!(ConfigStore::open(&path).err(), Some(StoreError::Missing { .. })));
    store::remove(&path).unwrap();
    assert_eq!(ConfigStore::open(&path).unwrap().position().unwrap().revision, 0);
}

#[test]
fn a_second_process_cannot_open_the_store() {
    let (dir, store) = fresh();
    let path = dir.path().join("config.db");
    assert!(matches!(ConfigStore::open(&path).err(), Some(StoreError::InUse { .. })));
    assert!(matches!(store::remove(&path), Err(StoreError::InUse { .. })));
    drop(store);
    ConfigStore::open(&path).unwrap();
}

#[test]
fn a_file_of_a_newer_release_is_refused() {
    let (dir, store) = fresh();
    let path = dir.path().join("config.db");
    drop(store);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = ConfigStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 1, .. }), "{error}");
}

#[test]
fn a_backup_is_whole_while_writers_go_on() {
    let (dir, store) = fresh();
    let copy = dir.path().join("copy.db");
    std::thread::scope(|scope| {
        let writer = store.clone();
        scope.spawn(move || (0..300).for_each(|n| drop(writer.commit(class(&n.to_string(), "1")).unwrap())));
        while store.position().unwrap().revision < 50 {
            std::thread::yield_now();
        }
        store.backup(&copy).unwrap();
    });
    let restored = ConfigStore::open(&copy).unwrap();
    let snapshot = restored.snapshot().unwrap();
    assert!(snapshot.position.revision >= 50);
    assert_eq!(u64::try_from(snapshot.records.len()).unwrap(), snapshot.position.revision);
    store.backup(&dir.path().join("again.db")).unwrap();
    assert!(store.backup(&dir.path().join("no-such-folder/copy.db")).is_err());
}
