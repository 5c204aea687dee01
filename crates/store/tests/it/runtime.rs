//! What runs: the log with its upload mark, frozen machines.

use store::{LogEntry, RuntimeStore, RuntimeWrite};
use tempfile::TempDir;

fn fresh() -> (TempDir, RuntimeStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = RuntimeStore::open(&dir.path().join("runtime.db")).unwrap();
    (dir, store)
}

fn entry(id: &str, session: &str) -> LogEntry {
    LogEntry {
        id: id.into(),
        stream: "call".into(),
        session: session.into(),
        at_ms: 5,
        value: b"{}".to_vec(),
    }
}

#[test]
fn log_entries_wait_until_they_are_uploaded_and_merge_by_name() {
    let (_dir, store) = fresh();
    let append = |id, session| RuntimeWrite::Append(entry(id, session));
    store.write(vec![append("1", "s"), append("2", "s"), append("1", "changed"), append("3", "t")]).unwrap();
    store.write(vec![RuntimeWrite::AppendGathered(entry("far", "s"))]).unwrap();
    let waiting = |store: &RuntimeStore| -> Vec<String> {
        store.log_waiting(10).unwrap().into_iter().map(|row| row.entry.id).collect()
    };
    assert_eq!(waiting(&store), ["1", "2", "3"]);
    store.write(vec![RuntimeWrite::MarkUploaded(vec!["1".into(), "3".into()])]).unwrap();
    assert_eq!(waiting(&store), ["2"]);
    let session: Vec<_> = store.log_of_session("s").unwrap().into_iter().map(|row| row.entry.id).collect();
    assert_eq!(session, ["1", "2", "far"]);
    let newest = store.log("call", None, 2).unwrap();
    assert_eq!(newest.iter().map(|row| row.entry.id.as_str()).collect::<Vec<_>>(), ["far", "3"]);
    let before = newest.last().map(|row| row.seq);
    assert_eq!(store.log("call", before, 10).unwrap().len(), 2);
}

#[test]
fn a_frozen_machine_is_thawed_from_its_last_bytes() {
    let (_dir, store) = fresh();
    for value in [b"one".to_vec(), b"two".to_vec()] {
        store.write(vec![RuntimeWrite::Freeze { name: "edge".into(), value }]).unwrap();
    }
    assert_eq!(store.frozen("edge").unwrap(), Some(b"two".to_vec()));
    store.write(vec![RuntimeWrite::RemoveFrozen("edge".into())]).unwrap();
    assert_eq!(store.frozen("edge").unwrap(), None);
}

/// DESIGN § 5.1: kill-safe data are on the disk within a second. The main file alone, without the log beside it, is
/// what a checkpoint has synced.
#[test]
fn what_was_written_is_synced_within_a_second_without_another_write() {
    let (dir, store) = fresh();
    store.write(vec![RuntimeWrite::Append(entry("1", "s"))]).unwrap();
    let written = std::time::Instant::now();
    let copy = dir.path().join("copy.db");
    let synced = || {
        std::fs::copy(store.path(), &copy).unwrap();
        let copy = rusqlite::Connection::open(&copy).unwrap();
        let count = copy.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, u32>(0));
        count.is_ok_and(|count| count == 1)
    };
    while !synced() {
        assert!(written.elapsed() < std::time::Duration::from_secs(1), "not synced in time");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
