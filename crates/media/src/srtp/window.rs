//! Where a source stands: the highest index so far, and which of those before it have been there (RFC 3711 § 3.3.2).

use serde::{Deserialize, Serialize};

/// How far back a packet may come late. RFC 3711 asks for 64 at least.
const WINDOW_BITS: u64 = 128;
/// Sequence numbers of one round.
const ROUND: u64 = 1 << 16;
/// Indices end here; a key is used up then (RFC 3711 § 9.2).
const INDEX_MAX: u64 = (1 << 48) - 1;

/// The indices seen. Empty at first.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Window {
    highest: Option<u64>,
    /// Bit n: the index `highest - n` has been there.
    seen: u128,
    /// It goes on where a process before stood at least: how far that came is not known. All that lies before the first
    /// index of now counts as having been there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resumed: bool,
}

impl Window {
    /// One that goes on behind `highest`; of that and all before it nothing is taken again.
    pub(super) fn resumed(highest: Option<u64>) -> Window {
        Window { highest, seen: u128::MAX, resumed: true }
    }

    /// The highest index so far.
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// The index that a sequence number most probably stands for (RFC 3711 § 3.3.1, appendix A).
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let sequence = u64::from(sequence);
        let Some(highest) = self.highest else { return Some(sequence) };
        let index = (highest & !(ROUND - 1)) | sequence;
        if index + ROUND / 2 < highest {
            Some(index + ROUND).filter(|index| *index <= INDEX_MAX)
        } else if index > highest + ROUND / 2 {
            index.checked_sub(ROUND)
        } else {
            Some(index)
        }
    }

    /// The index after the highest; 1 is the first of a sender's own count.
    pub(super) fn next(&self) -> u64 {
        self.highest.map_or(1, |highest| highest + 1)
    }

    /// Takes an index once. `None` when it has been there or is too old to know.
    pub(super) fn admit(&mut self, index: u64) -> Option<()> {
        let Some(highest) = self.highest.filter(|highest| index <= *highest) else {
            let ahead = self.highest.map_or(0, |highest| index - highest);
            self.seen = match std::mem::take(&mut self.resumed) {
                true => u128::MAX,
                false if ahead < WINDOW_BITS => self.seen << ahead | 1,
                false => 1,
            };
            self.highest = Some(index);
            return Some(());
        };
        let behind = highest - index;
        if behind >= WINDOW_BITS || self.seen >> behind & 1 == 1 {
            return None;
        }
        self.seen |= 1 << behind;
        Some(())
    }
}
