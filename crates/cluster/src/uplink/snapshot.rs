//! A snapshot on its way in: applied whole or not at all.

use crate::digest::{Digest, Inventory};
use model::{Position, Record};

/// Records that have come so far.
#[derive(Debug)]
pub(super) struct Assembly {
    position: Position,
    announced: u64,
    records: Vec<Record>,
}

/// A whole snapshot.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) position: Position,
    pub(super) records: Vec<Record>,
    pub(super) inventory: Inventory,
}

/// Why a snapshot is not one. The cluster server's fault, or the line's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotWhole {
    #[error("a snapshot of {announced} records brought {came}")]
    Count { announced: u64, came: usize },
    #[error("a snapshot's digest is not that of its records")]
    Digest,
}

impl Assembly {
    pub(super) fn new(position: Position, announced: u64) -> Assembly {
        Assembly { position, announced, records: Vec::new() }
    }

    /// Takes some records; more than were announced are refused before they fill the memory.
    pub(super) fn add(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), NotWhole> {
        self.records.extend(records);
        if count(&self.records) > self.announced { Err(self.miscounted()) } else { Ok(()) }
    }

    /// The end was said: this is all, or there is no snapshot.
    pub(super) fn finish(self, digest: Digest) -> Result<Whole, NotWhole> {
        if count(&self.records) != self.announced {
            return Err(self.miscounted());
        }
        let inventory = Inventory::of(&self.records);
        if inventory.root() != digest {
            return Err(NotWhole::Digest);
        }
        Ok(Whole { position: self.position, records: self.records, inventory })
    }

    fn miscounted(&self) -> NotWhole {
        NotWhole::Count { announced: self.announced, came: self.records.len() }
    }
}

fn count(records: &[Record]) -> u64 {
    u64::try_from(records.len()).unwrap_or(u64::MAX)
}
