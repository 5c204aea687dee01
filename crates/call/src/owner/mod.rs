//! The owners: what all calls of one subscriber share, in the shard that the subscriber's number hashes to (DESIGN § 3).
//!
//! | what | where |
//! |---|---|
//! | its bindings | `registrar`; what a REGISTER asks for: `asked` |
//! | what its phones have used of nonces | here |
//! | wrong passwords | [`Brake`] |
//! | how many calls it has begun | here |
//! | all owners of a shard, and when they want to be looked at | `table` |
//!
//! An owner is asked by words and answers by words; it knows no session and no transaction.

mod asked;
mod brake;
mod frozen;
mod registrar;
mod table;

pub(crate) use asked::Refusal;
pub(crate) use brake::{Attempt, Brake};
pub use brake::{Ban, Suspect};

use crate::binding::PackedBinding;
use crate::keyed::Key;
use crate::settings::CALLS_PER_CALLER_MAX;
use model::Extension;
use sip::digest::UsedNonces;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::Duration;
use table::Table;

/// One subscriber. It is small: there are a hundred thousand of them, and nearly all have one phone.
#[derive(Debug, Default)]
struct Owner {
    /// In the order of their devices.
    phones: SmallVec<[PackedBinding; 1]>,
    /// What its phones have used: a captured request is worth nothing after a thaw either.
    used: UsedNonces,
    /// Calls begun and not over.
    begun: u32,
    /// Its alarm in the table that counts.
    alarm: Option<Duration>,
}

impl Owner {
    /// When it has to be looked at: a binding runs out, or nothing is left of it but nonces that are too old.
    fn due(&self, now: Duration) -> Option<Duration> {
        let next = self.phones.iter().map(|phone| phone.read().until).min();
        next.or_else(|| self.used.empty_at().filter(|at| *at > now))
    }

    /// True when nothing would change if it were forgotten.
    fn is_nothing(&self, now: Duration) -> bool {
        self.phones.is_empty() && self.begun == 0 && self.used.is_empty(now)
    }
}

/// The owners of one shard.
#[derive(Debug)]
pub(crate) struct Owners {
    table: Table,
    /// Devices of all of them.
    bound: usize,
    /// Who has registered over which connection, until that closes.
    connections: BTreeMap<u64, SmallVec<[Extension; 1]>>,
}

impl Owners {
    /// None yet; the key spreads their numbers over the table.
    pub(crate) fn new(key: Key) -> Owners {
        Owners { table: Table::new(key), bound: 0, connections: BTreeMap::new() }
    }

    /// `extension` begins a call. False when it has as many as it may: an emergency call goes on all the same, so it is
    /// counted in any case, and its end has to be told.
    pub(crate) fn begins(&mut self, extension: &Extension) -> bool {
        let begun = self.table.change(extension, |owner| {
            owner.begun = owner.begun.saturating_add(1);
            owner.begun
        });
        usize::try_from(begun).is_ok_and(|begun| begun <= CALLS_PER_CALLER_MAX)
    }

    /// A call that `extension` had begun is over.
    pub(crate) fn over(&mut self, extension: &Extension) {
        let Some(owner) = self.table.find_mut(extension) else { return };
        owner.begun = owner.begun.saturating_sub(1);
        // One that has an alarm is looked at when it rings.
        if owner.alarm.is_none() && owner.is_nothing(Duration::MAX) {
            self.table.forget(extension);
        }
    }

    /// Lets `judge` look at what a subscriber's phones have used of nonces, and mark what is used rightly: then it says true.
    pub(crate) fn uses<T>(
        &mut self,
        now: Duration,
        extension: &Extension,
        judge: impl FnOnce(&mut UsedNonces) -> (T, bool),
    ) -> T {
        if let Some(owner) = self.table.find_mut(extension) {
            let (verdict, _) = judge(&mut owner.used);
            self.table.wind(now, extension);
            return verdict;
        }
        // Who guesses wrong leaves nothing behind.
        let mut used = UsedNonces::default();
        let (verdict, right) = judge(&mut used);
        if right {
            self.table.change(extension, |owner| owner.used = used);
            self.table.wind(now, extension);
        }
        verdict
    }
}
