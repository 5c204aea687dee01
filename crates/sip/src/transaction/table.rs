//! Transactions by name, each in a place of its own.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// A secret that spreads names over the table, so that nobody can choose names that fall together. The names are
/// hashes already: one multiplication is enough.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Spread(u64, u64);

impl Spread {
    /// From 16 random bytes.
    pub(super) fn of(key: [u8; 16]) -> Spread {
        let number = u128::from_le_bytes(key);
        let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
        Spread(half(number), half(number >> 64))
    }
}

/// For who has no enemies: tests and phones.
impl Default for Spread {
    fn default() -> Spread {
        Spread(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

impl BuildHasher for Spread {
    type Hasher = Spreading;
    fn build_hasher(&self) -> Spreading {
        Spreading { spread: *self, hash: 0 }
    }
}

pub(super) struct Spreading {
    spread: Spread,
    hash: u64,
}

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.hash ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(number ^ self.spread.0).wrapping_mul(u128::from(self.spread.1 | 1));
        let half = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
        self.hash = half(product) ^ half(product >> 64);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// Entries by the number of their name.
#[derive(Debug, Clone)]
pub(super) struct Table<E> {
    places: Vec<Option<Box<Placed<E>>>>,
    free: Vec<u32>,
    index: HashMap<u64, u32, Spread>,
    came: u64,
}

#[derive(Debug, Clone)]
struct Placed<E> {
    name: u64,
    /// How many came before it.
    came: u64,
    entry: E,
}

impl<E> Table<E> {
    pub(super) fn new(spread: Spread) -> Table<E> {
        Table { places: Vec::new(), free: Vec::new(), index: HashMap::with_hasher(spread), came: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn has(&self, name: u64) -> bool {
        self.index.contains_key(&name)
    }

    pub(super) fn find(&self, name: u64) -> Option<&E> {
        let place = usize::try_from(*self.index.get(&name)?).ok()?;
        self.places.get(place)?.as_ref().map(|placed| &placed.entry)
    }

    pub(super) fn find_mut(&mut self, name: u64) -> Option<&mut E> {
        let place = usize::try_from(*self.index.get(&name)?).ok()?;
        self.places.get_mut(place)?.as_mut().map(|placed| &mut placed.entry)
    }

    /// Puts an entry under a name that is not there yet.
    pub(super) fn put(&mut self, name: u64, entry: E) {
        let placed = Some(Box::new(Placed { name, came: self.came, entry }));
        self.came += 1;
        let place = self.free.pop().unwrap_or_else(|| u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        match usize::try_from(place).ok().and_then(|place| self.places.get_mut(place)) {
            Some(free) => *free = placed,
            None => self.places.push(placed),
        }
        self.index.insert(name, place);
    }

    pub(super) fn take(&mut self, name: u64) -> Option<E> {
        let place = self.index.remove(&name)?;
        self.free.push(place);
        let placed = self.places.get_mut(usize::try_from(place).ok()?)?.take();
        if self.index.is_empty() {
            // After a flood nothing is left of it.
            (self.places, self.free) = (Vec::new(), Vec::new());
            self.index.shrink_to_fit();
        }
        placed.map(|placed| placed.entry)
    }

    /// All of them, in the order they came.
    pub(super) fn in_order(&self) -> Vec<(u64, &E)> {
        let mut all: Vec<&Placed<E>> = self.places.iter().flatten().map(Box::as_ref).collect();
        all.sort_unstable_by_key(|placed| placed.came);
        all.into_iter().map(|placed| (placed.name, &placed.entry)).collect()
    }
}
