//! Digests of sets of records: what proves that two members hold the same data (DESIGN § 5.2).
//!
//! The digest of a set is the sum, modulo 2^256, of the SHA-256 of its entries. It does not depend on order,
//! and one change costs one subtraction and one addition whatever the size of the set. It is a guard against
//! faults, not against forgers: who could forge entries already holds a member's key.

use model::{Change, Kind, Record};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// The digest of a set of records: a number of 256 bits, least significant limb first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Digest([u64; 4]);

impl Digest {
    /// The digest of the empty set.
    pub const EMPTY: Digest = Digest([0; 4]);

    /// The digest of the set that holds just this record. Lengths go in front so that no two records are
    /// written alike.
    #[must_use]
    pub fn of(record: &Record) -> Digest {
        let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX).to_be_bytes();
        let mut hash = Sha256::new();
        hash.update(record.kind.number().to_be_bytes());
        hash.update(length(record.key.len()));
        hash.update(record.key.as_bytes());
        hash.update(record.revision.to_be_bytes());
        hash.update(length(record.value.len()));
        hash.update(&record.value);
        Digest::from_bytes(&hash.finalize().into())
    }

    /// The digest of the union of two sets that share nothing.
    #[must_use]
    pub fn plus(self, other: Digest) -> Digest {
        let mut carry = false;
        let mut sum = self;
        for (limb, addend) in sum.0.iter_mut().zip(other.0) {
            let (partial, first) = limb.overflowing_add(addend);
            let (whole, second) = partial.overflowing_add(u64::from(carry));
            (*limb, carry) = (whole, first || second);
        }
        sum
    }

    /// The digest of what stays when a subset is taken away.
    #[must_use]
    pub fn minus(self, other: Digest) -> Digest {
        let mut borrow = false;
        let mut rest = self;
        for (limb, subtrahend) in rest.0.iter_mut().zip(other.0) {
            let (partial, first) = limb.overflowing_sub(subtrahend);
            let (whole, second) = partial.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (whole, first || second);
        }
        rest
    }

    /// The number in 32 bytes, most significant first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// The number of these 32 bytes, most significant first.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Digest {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *limb = chunk.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        }
        Digest(limbs)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a member holds, as far as digests need it: the digest of each record, and their sums.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    entries: BTreeMap<(Kind, String), Digest>,
    sums: BTreeMap<Kind, Digest>,
}

impl Inventory {
    /// The inventory of these records. Of two with one name the later counts.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Inventory {
        let mut inventory = Inventory::default();
        for record in records {
            inventory.put(record);
        }
        inventory
    }

    /// Takes a change into account. Taking the same one twice changes nothing.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Put(record) => self.put(record),
            Change::Delete { kind, key, .. } => self.remove(*kind, key),
        }
    }

    /// The digest of everything held.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.sums.values().fold(Digest::EMPTY, |sum, digest| sum.plus(*digest))
    }

    /// The digest of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> Digest {
        self.sums.get(&kind).copied().unwrap_or_default()
    }

    /// Records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, record: &Record) {
        let digest = Digest::of(record);
        let old = self.entries.insert((record.kind, record.key.clone()), digest).unwrap_or_default();
        let sum = self.sums.entry(record.kind).or_default();
        *sum = sum.minus(old).plus(digest);
    }

    fn remove(&mut self, kind: Kind, key: &str) {
        if let Some(old) = self.entries.remove(&(kind, key.to_owned())) {
            let sum = self.sums.entry(kind).or_default();
            *sum = sum.minus(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: u8, revision: u64, value: Vec<u8>) -> Record {
        let kind = if key.is_multiple_of(2) { Kind::Subscriber } else { Kind::FeatureClass };
        Record { kind, key: key.to_string(), revision, value }
    }

    proptest! {
        #[test]
        fn syn_01_the_digest_of_a_history_is_the_digest_of_its_outcome(
            steps in prop::collection::vec((0u8..12, any::<bool>(), prop::collection::vec(any::<u8>(), 0..4)), 0..60)
        ) {
            let mut held = BTreeMap::new();
            let mut inventory = Inventory::default();
            for (revision, (key, delete, value)) in (1u64..).zip(steps) {
                let record = record(key, revision, value);
                let change = if delete {
                    held.remove(&key);
                    Change::Delete { kind: record.kind, key: record.key, revision }
                } else {
                    held.insert(key, record.clone());
                    Change::Put(record)
                };
                inventory.apply(&change);
                inventory.apply(&change);
            }
            let backwards: Vec<&Record> = held.values().rev().collect();
            prop_assert_eq!(inventory.root(), Inventory::of(backwards).root());
            prop_assert_eq!(inventory.len(), held.len());
        }

        #[test]
        fn the_sum_is_a_group(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
            let (a, b) = (Digest::from_bytes(&a), Digest::from_bytes(&b));
            prop_assert_eq!(a.plus(b), b.plus(a));
            prop_assert_eq!(a.plus(b).minus(b), a);
            prop_assert_eq!(Digest::EMPTY.minus(a).plus(a), Digest::EMPTY);
            prop_assert_eq!(Digest::from_bytes(&a.to_bytes()), a);
        }
    }

    #[test]
    fn carries_cross_all_limbs() {
        let all_ones = Digest::from_bytes(&[0xff; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        assert_eq!(all_ones.plus(Digest::from_bytes(&one)), Digest::EMPTY);
    }

    #[test]
    fn a_moved_byte_between_key_and_value_is_another_record() {
        let first = Record { kind: Kind::Cluster, key: "ab".into(), revision: 1, value: b"c".to_vec() };
        let second = Record { kind: Kind::Cluster, key: "a".into(), revision: 1, value: b"bc".to_vec() };
        assert_ne!(Digest::of(&first), Digest::of(&second));
    }
}
