//! What the node tells of its live state (registrations, lines, watched lines): all of it once per connection,
//! then each change.
//!
//! It is produced when the line has room. An entry that changes ten times meanwhile is told once, so nothing
//! grows with the rate of changes.

use crate::link::{LiveBinding, LiveLine};
use crate::wire::{Binding, Line, Lines, Live, Watch};
use model::Extension;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Entries in one message.
const BATCH_MAX: usize = 50;
/// Bytes of the detail of an entry; more is left out.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// One kind of live state. See the module.
#[derive(Debug)]
pub(super) struct Publication<K, V> {
    held: BTreeMap<K, V>,
    changed: BTreeSet<K>,
    full: Option<Full<K>>,
}

/// Which device of which subscriber.
type Name = (Extension, String);
/// Registrations by subscriber and device, with what people are shown.
pub(super) type Registrations = Publication<Name, Vec<u8>>;
/// What lines do.
pub(super) type LineStates = Publication<Extension, Vec<u8>>;
/// Lines of other members that phones here watch.
pub(super) type Interest = Publication<Extension, ()>;

/// How far the full list has been told.
#[derive(Debug)]
enum Full<K> {
    Begin,
    After(K),
}

/// What goes into one message.
struct Batch<K, V> {
    first: bool,
    last: bool,
    held: Vec<(K, V)>,
    gone: Vec<K>,
}

impl<K, V> Default for Publication<K, V> {
    fn default() -> Publication<K, V> {
        Publication { held: BTreeMap::new(), changed: BTreeSet::new(), full: None }
    }
}

impl<K: Ord + Clone, V: Clone + PartialEq> Publication<K, V> {
    /// This is so from now on. What is so already is not told again.
    fn set(&mut self, key: K, value: V) {
        if self.held.get(&key) != Some(&value) {
            self.changed.insert(key.clone());
            self.held.insert(key, value);
        }
    }

    /// This is no more.
    fn remove(&mut self, key: K) {
        if self.held.remove(&key).is_some() {
            self.changed.insert(key);
        }
    }

    /// A new connection: tell all of it again.
    pub(super) fn restart(&mut self) {
        self.full = Some(Full::Begin);
        self.changed.clear();
    }

    /// What to tell next, if there is anything to tell.
    fn next_batch(&mut self) -> Option<Batch<K, V>> {
        match self.full.take() {
            Some(full) => Some(self.next_of_full(full)),
            None => self.next_changes(),
        }
    }

    fn next_of_full(&mut self, full: Full<K>) -> Batch<K, V> {
        let first = matches!(full, Full::Begin);
        let from = match full {
            Full::Begin => Bound::Unbounded,
            Full::After(key) => Bound::Excluded(key),
        };
        let rest = self.held.range((from, Bound::Unbounded)).take(BATCH_MAX);
        let held: Vec<(K, V)> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
        let last = held.len() < BATCH_MAX;
        if let (false, Some((key, _))) = (last, held.last()) {
            self.full = Some(Full::After(key.clone()));
        }
        Batch { first, last, held, gone: Vec::new() }
    }

    fn next_changes(&mut self) -> Option<Batch<K, V>> {
        let mut batch = Batch { first: false, last: false, held: Vec::new(), gone: Vec::new() };
        for _ in 0..BATCH_MAX {
            let Some(key) = self.changed.pop_first() else { break };
            match self.held.get(&key) {
                Some(value) => batch.held.push((key, value.clone())),
                None => batch.gone.push(key),
            }
        }
        (!batch.held.is_empty() || !batch.gone.is_empty()).then_some(batch)
    }
}

impl Registrations {
    pub(super) fn bound(&mut self, mut binding: LiveBinding) {
        if binding.detail.len() > DETAIL_BYTES_MAX {
            binding.detail.clear();
        }
        self.set((binding.extension, binding.device), binding.detail);
    }

    pub(super) fn unbound(&mut self, extension: Extension, device: String) {
        self.remove((extension, device));
    }

    pub(super) fn next_message(&mut self) -> Option<Live> {
        let said = |((extension, device), detail): (Name, Vec<u8>)| Binding {
            extension: extension.into(),
            device,
            detail,
        };
        let Batch { first, last, held, gone } = self.next_batch()?;
        let bound = held.into_iter().map(said).collect();
        let unbound = gone.into_iter().map(|name| said((name, Vec::new()))).collect();
        Some(Live { first, last, bound, unbound })
    }
}

impl LineStates {
    pub(super) fn say(&mut self, line: LiveLine) {
        match line.detail {
            Some(detail) if detail.len() <= DETAIL_BYTES_MAX => self.set(line.extension, detail),
            Some(_) => self.set(line.extension, Vec::new()),
            None => self.remove(line.extension),
        }
    }

    pub(super) fn next_message(&mut self) -> Option<Lines> {
        let Batch { first, last, held, gone } = self.next_batch()?;
        let line = |(extension, detail): (Extension, Vec<u8>)| Line { extension: extension.into(), detail };
        let lines = held.into_iter().map(line).collect();
        Some(Lines { first, last, lines, gone: gone.into_iter().map(Into::into).collect() })
    }
}

impl Interest {
    pub(super) fn begin(&mut self, extension: Extension) {
        self.set(extension, ());
    }

    pub(super) fn end(&mut self, extension: Extension) {
        self.remove(extension);
    }

    pub(super) fn next_message(&mut self) -> Option<Watch> {
        let Batch { first, last, held, gone } = self.next_batch()?;
        let begun = held.into_iter().map(|(extension, ())| extension.into()).collect();
        Some(Watch { first, last, begun, ended: gone.into_iter().map(Into::into).collect() })
    }
}
