//! The clients' own logs: what they tried, what they were told.

use super::phones::Line;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One object: the last number written into it that was tried, and that was acknowledged.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    tried: u64,
    acknowledged: u64,
}

/// The writers' log.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    entries: BTreeMap<(&'static str, String), Entry>,
    acknowledged: usize,
    refused: usize,
    revision: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub fn trying(&self, kind: &'static str, key: &str, number: u64) {
        lock(&self.book).entries.entry((kind, key.to_owned())).or_default().tried = number;
    }

    pub fn told(&self, kind: &'static str, key: &str, number: u64, revision: u64) {
        let mut book = lock(&self.book);
        book.acknowledged += 1;
        book.revision = book.revision.max(revision);
        book.entries.entry((kind, key.to_owned())).or_default().acknowledged = number;
    }

    pub fn refused(&self) {
        lock(&self.book).refused += 1;
    }

    pub fn acknowledged(&self) -> usize {
        lock(&self.book).acknowledged
    }

    /// The highest revision any writer was told.
    pub fn revision(&self) -> u64 {
        lock(&self.book).revision
    }

    /// What is not there as it was acknowledged: each object holds a number that was acknowledged or tried after.
    pub fn lost(&self, kind: &str, found: &BTreeMap<String, u64>) -> Vec<String> {
        let book = lock(&self.book);
        let ours = book.entries.iter().filter(|((own, _), _)| *own == kind);
        ours.filter_map(|((_, key), entry)| {
            let number = found.get(key).copied().unwrap_or(0);
            let stands = (entry.acknowledged..=entry.tried).contains(&number);
            (!stands).then(|| format!("{key}: {number} is there, {} was acknowledged", entry.acknowledged))
        })
        .collect()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = lock(&self.book);
        write!(
            f,
            "{} writes acknowledged, {} not, of {} objects",
            book.acknowledged,
            book.refused,
            book.entries.len()
        )
    }
}

/// The phones' log: what each was told last, and whether it asks for something at the moment.
#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    paused: bool,
    /// True = registered, false = not; absent = on its way.
    settled: BTreeMap<String, (Line, bool)>,
}

impl Desk {
    /// True when the phone may ask for something; from then on it is not settled.
    pub fn may_begin(&self, line: &Line) -> bool {
        let mut state = lock(&self.state);
        if !state.paused {
            state.settled.remove(&line.extension);
        }
        !state.paused
    }

    pub fn settle(&self, line: &Line, registered: bool) {
        lock(&self.state).settled.insert(line.extension.clone(), (line.clone(), registered));
    }

    /// No phone begins anything more; what is on its way stays so.
    pub fn pause(&self) {
        lock(&self.state).paused = true;
    }

    /// The phones that wait for nothing.
    pub fn settled(&self) -> Vec<(Line, bool)> {
        lock(&self.state).settled.values().cloned().collect()
    }

    pub fn resume(&self) {
        lock(&self.state).paused = false;
    }
}
