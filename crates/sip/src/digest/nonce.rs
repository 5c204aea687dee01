//! Nonces: made without memory, and the small memory of what one user has used.
//!
//! A nonce carries its time and number under a keyed hash with the peer's address, so a flood of requests without
//! credentials costs no memory. Only what a user *used rightly* is remembered, with its last count, and that with
//! the user: nobody's flood pushes out what another one used.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a nonce may be used after it was given out.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// Nonces of one user whose counts are remembered: each of its phones uses one for registering and one for calls.
/// When full the oldest is forgotten, and it and all older ones are stale.
const REMEMBERED_MAX: usize = 16;

/// How far a count may be ahead of the last one: requests may be lost, a phone does not lose a thousand.
const COUNT_AHEAD_MAX: u32 = 1_000;

/// Which nonce: when it was given out (ms since the epoch), and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct NonceId {
    pub(super) at_ms: u64,
    pub(super) number: u32,
}

impl NonceId {
    /// Bytes of a nonce's name: six of its time, four of its number.
    pub(super) const BYTES: usize = 10;

    pub(super) fn bytes(self) -> [u8; NonceId::BYTES] {
        let ([_, _, a, b, c, d, e, f], [g, h, i, j]) = (self.at_ms.to_be_bytes(), self.number.to_be_bytes());
        [a, b, c, d, e, f, g, h, i, j]
    }

    pub(super) fn of(bytes: [u8; NonceId::BYTES]) -> NonceId {
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        let at_ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        NonceId { at_ms, number: u32::from_be_bytes([g, h, i, j]) }
    }

    /// True while it may be used.
    pub(super) fn is_fresh(self, now: Duration) -> bool {
        let at = Duration::from_millis(self.at_ms);
        at <= now && now <= at + LIFETIME
    }
}

/// What one user has used: serde data of at most a few hundred bytes, to be kept with the user. Losing it would
/// let a captured request be played again; who loses it takes a new key for its [`super::Challenger`] as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedNonces {
    used: Vec<(NonceId, u32)>,
    /// Nonces up to this one are not taken any more.
    floor: Option<NonceId>,
}

impl UsedNonces {
    /// True when it remembers nothing and nothing would change if it were dropped.
    #[must_use]
    pub fn is_empty(&self, now: Duration) -> bool {
        self.floor.is_none_or(|floor| !floor.is_fresh(now))
            && self.used.iter().all(|(id, _)| !id.is_fresh(now))
    }

    /// Marks a nonce as used up to `count`; false when that was done before or cannot be known any more.
    pub(super) fn take(&mut self, now: Duration, id: NonceId, count: u32) -> bool {
        if !id.is_fresh(now) || self.floor.is_some_and(|floor| id <= floor) {
            return false;
        }
        match self.used.iter_mut().find(|(known, _)| *known == id) {
            Some((_, last)) if count <= *last || count - *last > COUNT_AHEAD_MAX => return false,
            Some((_, last)) => *last = count,
            None if count == 0 || count > COUNT_AHEAD_MAX => return false,
            None => self.remember(now, id, count),
        }
        true
    }

    /// What is too old goes, then the oldest; the floor rises over them.
    fn remember(&mut self, now: Duration, id: NonceId, count: u32) {
        let gone = self.used.iter().map(|(id, _)| *id).filter(|id| !id.is_fresh(now)).max();
        self.floor = self.floor.max(gone);
        self.used.retain(|(id, _)| id.is_fresh(now));
        if self.used.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.used.iter().map(|(id, _)| *id).min()
        {
            self.used.retain(|(id, _)| *id != oldest);
            self.floor = self.floor.max(Some(oldest));
        }
        self.used.push((id, count));
    }
}
