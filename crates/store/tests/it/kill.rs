//! `kill -9` under writes: what a client was told is there after the restart.
//!
//! The test runs itself as a child that writes and prints each acknowledgement; the parent keeps that log, kills
//! the child at a seeded instant, reads the pipe to its end, and looks for every line in the reopened store.

use model::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;
use store::{Batch, Commit, ConfigStore, Journal, LogEntry, RuntimeStore, RuntimeWrite, Shelf};

const CHILD_DIR: &str = "STORE_KILL_TEST_DIR";
const KILLS: u64 = 40;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = BTreeMap::new();
    let mut runtime = BTreeMap::new();
    let mut revision = 0;
    for round in 0..KILLS {
        let mut child = spawn_child(dir.path(), round);
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut lines = out.lines().map(Result::unwrap);
        assert!(lines.any(|line| line.trim_end().ends_with("ready")), "the child came up");
        std::thread::sleep(Duration::from_micros(split_mix(SEED ^ round) % 60_000));
        child.kill().unwrap();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["config", key, at] => drop(config.insert((*key).to_owned(), at.parse::<u64>().unwrap())),
                ["runtime", key, value] => drop(runtime.insert((*key).to_owned(), (*value).to_owned())),
                // A line may be cut short by the kill: its writer had not said it yet.
                _ => {}
            }
        }
        child.wait().unwrap();
        revision = check(dir.path(), &config, &runtime, revision);
    }
    assert!(config.len() > 200 && runtime.len() > 200, "{} and {} writes", config.len(), runtime.len());
}

/// Every acknowledged write is there, at its revision or a later one; the revision never goes back.
fn check(
    dir: &std::path::Path,
    config: &BTreeMap<String, u64>,
    runtime: &BTreeMap<String, String>,
    revision_before: u64,
) -> u64 {
    let store = ConfigStore::open(&dir.join("config.db")).unwrap();
    for (key, revision) in config {
        let record =
            store.get(Kind::FeatureClass, key).unwrap().unwrap_or_else(|| panic!("'{key}' was lost"));
        assert!(record.revision >= *revision, "'{key}' went back to {}", record.revision);
    }
    let revision = store.position().unwrap().revision;
    assert!(revision >= config.values().copied().max().unwrap_or(0).max(revision_before));
    let store = RuntimeStore::open(&dir.join("runtime.db")).unwrap();
    let journal = Journal::open(&dir.join("live.journal")).unwrap();
    let bindings: BTreeMap<_, _> = journal
        .read(Shelf::BINDING)
        .unwrap()
        .into_iter()
        .map(|kept| (kept.key, number(&kept.value)))
        .collect();
    let logged = logged(&store);
    for (name, value) in runtime {
        match name.strip_prefix("log-") {
            Some(id) => assert!(logged.contains(id), "log entry '{id}' was lost"),
            // What was written and not yet acknowledged may be there as well.
            None => assert!(
                bindings.get(name.as_bytes()) >= Some(&number(value.as_bytes())),
                "binding '{name}' lost {value}"
            ),
        }
    }
    revision
}

/// Long enough that the file is written anew every few rounds.
fn padded(number: &str) -> String {
    format!("{number:0>20000}")
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

fn logged(store: &RuntimeStore) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut before = None;
    loop {
        let page = store.log("call", before, 1_000).unwrap();
        let Some(last) = page.last() else { return found };
        before = Some(last.seq);
        found.extend(page.into_iter().map(|row| row.entry.id));
    }
}

fn spawn_child(dir: &std::path::Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .env("STORE_KILL_TEST_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: without the variable it has nothing to do.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let round = std::env::var("STORE_KILL_TEST_ROUND").unwrap();
    let config = ConfigStore::open(&std::path::Path::new(&dir).join("config.db")).unwrap();
    let runtime = RuntimeStore::open(&std::path::Path::new(&dir).join("runtime.db")).unwrap();
    let journal = Journal::open(&std::path::Path::new(&dir).join("live.journal")).unwrap();
    say("ready");
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (config, round) = (&config, &round);
            scope.spawn(move || write_config(config, &format!("{round}-{writer}")));
        }
        scope.spawn(|| write_log(&runtime, &round));
        scope.spawn(|| write_bindings(&journal, &round));
    });
}

fn write_config(store: &ConfigStore, name: &str) {
    for n in 0.. {
        let key = format!("{name}-{n}");
        let done = store.commit(Commit::new().put(Kind::FeatureClass, &key, "{}")).unwrap();
        say(&format!("config {key} {}", done.revision));
    }
}

/// Without waiting for each other: the acknowledgements come by callback, as in the daemon.
fn write_log(store: &RuntimeStore, round: &str) {
    for n in 0u64.. {
        let (sender, answer) = channel();
        for part in 0..4 {
            let (sender, id) = (sender.clone(), format!("{round}-{n}-{part}"));
            let (stream, session, value) = ("call".into(), String::new(), vec![]);
            let entry = LogEntry { id: id.clone(), stream, session, at_ms: n, value };
            store.write_then(vec![RuntimeWrite::Append(entry)], move |done| {
                done.unwrap();
                sender.send(id).unwrap();
            });
        }
        drop(sender);
        answer.iter().for_each(|id| say(&format!("runtime log-{id} {n}")));
    }
}

/// The same keys again and again, so that the journal is written anew under fire.
fn write_bindings(journal: &Journal, round: &str) {
    for n in 0u64.. {
        let (sender, answer) = channel();
        for part in 0..16 {
            let (sender, key) = (sender.clone(), format!("{round}-{part}"));
            let value = padded(&n.to_string());
            let mut batch = Batch::default();
            batch.put(Shelf::BINDING, key.as_bytes(), value.as_bytes()).unwrap();
            journal.append_then(batch, move |done| {
                done.unwrap();
                sender.send(key).unwrap();
            });
        }
        drop(sender);
        answer.iter().for_each(|key| say(&format!("runtime {key} {n}")));
    }
}

/// One write a line, so that a line is whole or absent in the pipe.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn split_mix(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
