//! The owners: what all calls of one subscriber share, in the shard that the subscriber's number hashes to (DESIGN § 3).
//!
//! | what | where |
//! |---|---|
//! | its bindings | [`Registrar`] |
//! | what its phones have used of nonces | here |
//! | wrong passwords | [`Brake`] |
//! | how many calls it has begun | here |
//!
//! An owner is asked by words and answers by words; it knows no session and no transaction.

mod asked;
mod brake;
mod registrar;

pub(crate) use asked::Refusal;
pub use brake::Ban;
pub(crate) use brake::{Attempt, Brake};
pub(crate) use registrar::Registrar;

use crate::settings::CALLS_PER_CALLER_MAX;
use model::Extension;
use serde::{Deserialize, Serialize};
use sip::digest::UsedNonces;
use std::collections::BTreeMap;

/// The owners of one shard, as far as they are kept through a freeze.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Owners {
    pub(crate) registrar: Registrar,
    /// Calls begun and not over, by who began them.
    begun: BTreeMap<Extension, usize>,
    /// What each subscriber's phones have used: a captured request is worth nothing after a thaw either.
    pub(crate) used: BTreeMap<Extension, UsedNonces>,
}

impl Owners {
    /// `extension` begins a call. False when it has as many as it may: an emergency call goes on all the same, so it is
    /// counted in any case, and its end has to be told.
    pub(crate) fn begins(&mut self, extension: &Extension) -> bool {
        let begun = self.begun.entry(extension.clone()).or_default();
        *begun += 1;
        *begun <= CALLS_PER_CALLER_MAX
    }

    /// A call that `extension` had begun is over.
    pub(crate) fn over(&mut self, extension: &Extension) {
        if let Some(begun) = self.begun.get_mut(extension) {
            *begun = begun.saturating_sub(1);
            if *begun == 0 {
                self.begun.remove(extension);
            }
        }
    }
}
