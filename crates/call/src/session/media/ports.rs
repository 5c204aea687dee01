//! The ports of anchored media: pairs of an even port and the odd one above it (RFC 3550 § 11), drawn in an order that
//! nobody outside can foresee, and left alone for a while after use, so that the last packets of one call are not the
//! first of another.

use serde::{Deserialize, Serialize};
use sip::Tokens;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How long a pair rests after use.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(30);

/// The ports media may use, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Default for PortRange {
    fn default() -> PortRange {
        PortRange { first: 20_000, last: 29_999 }
    }
}

impl PortRange {
    /// The even ports that have their odd neighbour in the range too.
    fn pairs(self) -> impl Iterator<Item = u16> {
        let first = self.first.saturating_add(self.first % 2);
        (first..self.last).step_by(2)
    }
}

/// The free pairs of one shard: the shards of an edge divide the range among them.
#[derive(Debug)]
pub(crate) struct Ports {
    free: Vec<u16>,
    resting: VecDeque<(Duration, u16)>,
}

impl Ports {
    /// The share of shard `part` of `parts`, without what is `used` already.
    pub(crate) fn new(range: PortRange, (part, parts): (u8, u8), used: &BTreeSet<u16>) -> Ports {
        let pairs = range.pairs().skip(usize::from(part)).step_by(usize::from(parts.max(1)));
        Ports { free: pairs.filter(|port| !used.contains(port)).collect(), resting: VecDeque::new() }
    }

    /// One pair, by its even port.
    pub(crate) fn draw(&mut self, now: Duration, tokens: &mut Tokens) -> Option<u16> {
        while let Some((_, port)) = self.resting.pop_front_if(|(until, _)| *until <= now) {
            self.free.push(port);
        }
        let count = u32::try_from(self.free.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(tokens.number(count)).ok()?;
        Some(self.free.swap_remove(at))
    }

    /// A pair is not used any more.
    pub(crate) fn give_back(&mut self, now: Duration, port: u16) {
        self.resting.push_back((now + QUARANTINE, port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(range: PortRange, share: (u8, u8), seed: u8) -> Vec<u16> {
        let mut tokens = Tokens::new([seed; 32]);
        let mut ports = Ports::new(range, share, &BTreeSet::new());
        std::iter::from_fn(|| ports.draw(Duration::ZERO, &mut tokens)).collect()
    }

    #[test]
    fn threat_14_ports_are_even_within_the_range_and_in_no_order_to_foresee() {
        let range = PortRange { first: 20_001, last: 20_102 };
        let (one, other) = (drawn(range, (0, 1), 1), drawn(range, (0, 1), 2));
        assert_eq!(one.len(), 50);
        assert!(one.iter().all(|port| port % 2 == 0 && (20_002..=20_100).contains(port)));
        assert!(!one.is_sorted() && one != other);
    }

    #[test]
    fn shards_never_share_a_port() {
        let range = PortRange::default();
        let shares: Vec<Vec<u16>> = (0..4).map(|part| drawn(range, (part, 4), 1)).collect();
        let all: BTreeSet<u16> = shares.iter().flatten().copied().collect();
        assert_eq!((all.len(), shares.iter().map(Vec::len).sum::<usize>()), (5_000, 5_000));
    }

    #[test]
    fn a_used_port_rests_before_it_is_drawn_again() {
        let mut tokens = Tokens::new([1; 32]);
        let mut ports =
            Ports::new(PortRange { first: 20_000, last: 20_003 }, (0, 1), &BTreeSet::from([20_002]));
        let mut draw = |ports: &mut Ports, s| ports.draw(Duration::from_secs(s), &mut tokens);
        assert_eq!((draw(&mut ports, 0), draw(&mut ports, 0)), (Some(20_000), None));
        ports.give_back(Duration::from_secs(5), 20_000);
        assert_eq!((draw(&mut ports, 34), draw(&mut ports, 35)), (None, Some(20_000)));
    }
}
