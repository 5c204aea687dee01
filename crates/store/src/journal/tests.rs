//! The journal as a process meets it: closed, killed, cut short, damaged, full of dead records.

use super::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

fn journal() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("live.journal");
    (dir, path)
}

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(Shelf::BINDING, key.as_bytes(), value.as_bytes()).unwrap();
    batch
}

fn remove(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.remove(Shelf::BINDING, key.as_bytes()).unwrap();
    batch
}

fn bindings(journal: &Journal) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let kept = journal.read(Shelf::BINDING).unwrap();
    kept.into_iter().map(|kept| (text(kept.key), text(kept.value))).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn what_was_put_is_there_after_a_restart_and_what_was_removed_is_not() {
    let (_dir, path) = journal();
    let open = Journal::open(&path).unwrap();
    open.append(put("2101", "old")).unwrap();
    open.append(put("2102", "kept")).unwrap();
    open.append(put("2101", "new")).unwrap();
    open.append(put("2103", "gone")).unwrap();
    open.append(remove("2103")).unwrap();
    let mut other = Batch::default();
    other.put(Shelf::DIALOG, b"2101", b"a call").unwrap();
    open.append(other).unwrap();
    let expected = [pair("2102", "kept"), pair("2101", "new")];
    assert_eq!(bindings(&open), expected);
    drop(open);
    let open = Journal::open(&path).unwrap();
    assert_eq!(bindings(&open), expected);
    assert_eq!(open.read(Shelf::DIALOG).unwrap().len(), 1, "shelves are apart");
    open.clear(Shelf::BINDING).unwrap();
    assert!(bindings(&open).is_empty());
    assert_eq!(open.read(Shelf::DIALOG).unwrap().len(), 1);
}

#[test]
fn a_second_process_is_refused() {
    let (_dir, path) = journal();
    let _open = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path).err(), Some(StoreError::InUse { .. })));
}

#[test]
fn a_torn_end_is_cut_off_at_every_byte_and_the_rest_is_whole() {
    let (_dir, path) = journal();
    let open = Journal::open(&path).unwrap();
    open.append(put("2101", "first")).unwrap();
    let whole = open.size().unwrap().file_bytes;
    open.append(put("2102", "second")).unwrap();
    let end = open.size().unwrap().file_bytes;
    drop(open);
    let bytes = std::fs::read(&path).unwrap();
    for cut in whole..end {
        std::fs::write(&path, &bytes[..usize::try_from(cut).unwrap()]).unwrap();
        let open = Journal::open(&path).unwrap();
        assert_eq!(bindings(&open), [pair("2101", "first")], "cut at {cut}");
        open.append(put("2103", "after")).unwrap();
        drop(open);
        assert_eq!(bindings(&Journal::open(&path).unwrap()).len(), 2, "and goes on, cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_said_and_the_file_is_kept_aside() {
    let (dir, path) = journal();
    let open = Journal::open(&path).unwrap();
    open.append(put("2101", "first")).unwrap();
    let at = open.size().unwrap().file_bytes;
    open.append(put("2102", "second")).unwrap();
    open.append(put("2103", "third")).unwrap();
    drop(open);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"?", at + 20).unwrap();
    assert_eq!(bindings(&Journal::open(&path).unwrap()), [pair("2101", "first")]);
    assert!(dir.path().join("live.journal.damaged").exists());
}

#[test]
fn a_newer_journal_is_refused_and_a_foreign_file_is_kept_aside() {
    let (dir, path) = journal();
    std::fs::write(&path, b"PLEIJ\0\0\x02some newer bytes").unwrap();
    assert!(matches!(Journal::open(&path).err(), Some(StoreError::Newer { found: 2, known: 1, .. })));
    std::fs::write(&path, b"something else altogether").unwrap();
    assert!(bindings(&Journal::open(&path).unwrap()).is_empty());
    assert_eq!(std::fs::read(dir.path().join("live.journal.damaged")).unwrap(), b"something else altogether");
}

#[test]
fn the_file_stays_small_whatever_is_written_and_keeps_what_lives() {
    let (_dir, path) = journal();
    let open = Journal::open(&path).unwrap();
    let filler = "x".repeat(4_000);
    let (sender, answers) = channel();
    for round in 0..40 {
        for number in 0..200 {
            let sender = sender.clone();
            let batch = put(&format!("21{number:02}"), &format!("{round} {filler}"));
            open.append_then(batch, move |done| sender.send(done).unwrap());
        }
        (0..200).for_each(|_| answers.recv_timeout(Duration::from_secs(10)).unwrap().unwrap());
    }
    let size = open.size().unwrap();
    assert_eq!(size.records, 200);
    assert!(size.file_bytes < 12 * 1024 * 1024, "32 MB were written, the file has {}", size.file_bytes);
    assert!(size.live_bytes > 200 * 4_000 && size.live_bytes < size.file_bytes);
    drop(open);
    let after = bindings(&Journal::open(&path).unwrap());
    assert_eq!(after.len(), 200);
    assert!(after.iter().all(|(_, value)| value.starts_with("39 ")));
}

#[test]
fn batches_are_acknowledged_in_their_order_and_all_of_them_at_the_end() {
    let (_dir, path) = journal();
    let open = Journal::open(&path).unwrap();
    let (sender, answers) = channel();
    for number in 0..1_000 {
        let sender = sender.clone();
        open.append_then(put(&number.to_string(), "v"), move |done| sender.send((number, done)).unwrap());
    }
    drop(open);
    let numbers: Vec<i32> = (0..1_000)
        .map(|_| answers.recv_timeout(Duration::from_secs(10)).unwrap())
        .map(|(number, done)| done.map(|()| number).unwrap())
        .collect();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    assert_eq!(bindings(&Journal::open(&path).unwrap()).len(), 1_000);
}
