//! The gate for registrations: when more come than can be done, calls go first, and phones are told to come back.
//!
//! What is no REGISTER passes at once. REGISTERs wait in a line of their own, a few are taken in each turn, and when
//! the line is long or the disk is behind, the next one is answered 503 with Retry-After: it is not forgotten, since a phone
//! that is told so comes back, each at another time (RFC 3261 § 21.5.4). So an avalanche costs a phone some seconds and a call
//! nothing. One source fills at most half of the line.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// REGISTERs that may wait: at 20 µs each a fifth of the time after which a phone repeats its request.
pub(super) const LINE_MAX: usize = 4_096;
/// Of them from one source.
const LINE_PER_SOURCE_MAX: usize = LINE_MAX / 2;
/// REGISTERs taken in one turn, between two looks at the sockets.
pub(super) const TAKEN_PER_TURN: usize = 64;
/// Registrations that may wait for the disk.
pub(super) const UNWRITTEN_MAX: usize = 8_192;
/// Seconds after which a refused phone comes back, at the earliest and at the latest.
const RETRY_AFTER_S: (u32, u32) = (5, 25);

/// The line.
pub(super) struct Gate<T> {
    line: VecDeque<(IpAddr, T)>,
    sources: BTreeMap<IpAddr, usize>,
    refused: u32,
}

impl<T> Default for Gate<T> {
    fn default() -> Gate<T> {
        Gate { line: VecDeque::new(), sources: BTreeMap::new(), refused: 0 }
    }
}

/// A registration that is refused for now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ComeBack<T> {
    pub(super) item: T,
    pub(super) after_s: u32,
}

impl<T> Gate<T> {
    /// Lets a registration wait; `unwritten` others are with the disk.
    pub(super) fn enter(&mut self, source: IpAddr, item: T, unwritten: usize) -> Result<(), ComeBack<T>> {
        let of_source = self.sources.get(&source).copied().unwrap_or(0);
        if self.line.len() >= LINE_MAX || of_source >= LINE_PER_SOURCE_MAX || unwritten >= UNWRITTEN_MAX {
            return Err(ComeBack { item, after_s: self.later() });
        }
        self.sources.insert(source, of_source + 1);
        self.line.push_back((source, item));
        Ok(())
    }

    /// The next one, oldest first.
    pub(super) fn next(&mut self) -> Option<T> {
        let (source, item) = self.line.pop_front()?;
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        Some(item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Spread evenly: those refused together do not come back together.
    fn later(&mut self) -> u32 {
        let (first, last) = RETRY_AFTER_S;
        self.refused = self.refused.wrapping_add(1);
        // Steps of 7 through 21 values would meet only 3 of them; 8 meets all.
        first + self.refused.wrapping_mul(8) % (last - first + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn threat_12_one_source_fills_half_of_the_line_and_others_still_enter() {
        let mut gate = Gate::default();
        for number in 0..LINE_PER_SOURCE_MAX {
            gate.enter(ONE, number, 0).unwrap();
        }
        assert!(gate.enter(ONE, 0, 0).is_err());
        assert!(gate.enter(OTHER, 1_000_000, 0).is_ok());
        assert_eq!(gate.next(), Some(0));
        assert!(gate.enter(ONE, 7, 0).is_ok());
        assert_eq!(std::iter::from_fn(|| gate.next()).count(), LINE_PER_SOURCE_MAX + 1);
        assert!(gate.is_empty() && gate.sources.is_empty());
    }

    #[test]
    fn phones_that_are_refused_come_back_at_different_times() {
        let mut gate = Gate::default();
        let times: BTreeSet<u32> =
            (0..21).map(|item| gate.enter(ONE, item, UNWRITTEN_MAX).unwrap_err().after_s).collect();
        assert_eq!((times.len(), times.first(), times.last()), (21, Some(&5), Some(&25)));
        assert!(gate.is_empty());
    }
}
