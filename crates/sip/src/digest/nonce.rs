//! Nonces: made without memory, and the small memory of what one user has used.
//!
//! A nonce carries its time and number under a keyed hash with the peer's address, so a flood of requests without
//! credentials costs no memory. Only what a user *used rightly* is remembered, with its last count, and that with
//! the user: nobody's flood pushes out what another one used.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::time::Duration;

/// How long a nonce may be used after it was given out.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);

/// Nonces of one user whose counts are remembered: each of its phones uses one for registering and one for calls.
/// When full the oldest is forgotten, and it and all older ones are stale.
const REMEMBERED_MAX: usize = 16;

/// How far a count may be ahead of the last one: requests may be lost, a phone does not lose a thousand.
const COUNT_AHEAD_MAX: u32 = 1_000;

/// Which nonce: when it was given out (ms since the epoch), and its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
        Duration::from_millis(self.at_ms) <= now && now < self.stale_from()
    }

    fn stale_from(self) -> Duration {
        Duration::from_millis(self.at_ms).saturating_add(LIFETIME + Duration::from_nanos(1))
    }
}

/// What one user has used: serde data, 40 bytes and 16 more for each nonce but the first, to be kept with the user. Losing
/// it would let a captured request be played again; who loses it takes a new key for its [`super::Challenger`] as well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedNonces {
    #[serde(with = "frozen")]
    used: SmallVec<[Used; 1]>,
    /// Nonces up to this one are not taken any more.
    floor: NonceId,
}

/// A nonce and its last count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    at_ms: u64,
    number: u32,
    count: u32,
}

impl Used {
    fn id(self) -> NonceId {
        NonceId { at_ms: self.at_ms, number: self.number }
    }
}

impl UsedNonces {
    /// True when it remembers nothing and nothing would change if it were dropped.
    #[must_use]
    pub fn is_empty(&self, now: Duration) -> bool {
        self.empty_at().is_none_or(|at| at <= now)
    }

    /// From when on it will remember nothing, unless more is used.
    #[must_use]
    pub fn empty_at(&self) -> Option<Duration> {
        let youngest = self.used.iter().map(|used| used.id()).fold(self.floor, NonceId::max);
        (youngest != NonceId::default()).then(|| youngest.stale_from())
    }

    /// Marks a nonce as used up to `count`; false when that was done before or cannot be known any more.
    pub(super) fn take(&mut self, now: Duration, id: NonceId, count: u32) -> bool {
        if !id.is_fresh(now) || id <= self.floor {
            return false;
        }
        match self.used.iter_mut().find(|known| known.id() == id) {
            Some(known) if count <= known.count || count - known.count > COUNT_AHEAD_MAX => return false,
            Some(known) => known.count = count,
            None if count == 0 || count > COUNT_AHEAD_MAX => return false,
            None => self.remember(now, id, count),
        }
        true
    }

    /// What is too old goes, then the oldest; the floor rises over them.
    fn remember(&mut self, now: Duration, id: NonceId, count: u32) {
        let gone = self.used.iter().map(|used| used.id()).filter(|id| !id.is_fresh(now)).max();
        self.floor = self.floor.max(gone.unwrap_or_default());
        self.used.retain(|used| used.id().is_fresh(now));
        if self.used.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.used.iter().map(|used| used.id()).min()
        {
            self.used.retain(|used| used.id() != oldest);
            self.floor = self.floor.max(oldest);
        }
        self.used.push(Used { at_ms: id.at_ms, number: id.number, count });
    }
}

/// A short list as any list.
mod frozen {
    use super::{SmallVec, Used};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        used: &SmallVec<[Used; 1]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        used.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SmallVec<[Used; 1]>, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into())
    }
}
