//! The wall against floods of datagrams: what one thread hears of an address that sends more than a phone has to say.
//!
//! ```text
//!   datagram ── its address within its rate, and strangers together within theirs ──► heard
//!          └─── else: a phone is registered from this address and port ── within its own rate ──► heard
//!                                                                   └── else dropped, unread
//! ```
//!
//! It costs two counters a datagram while there is no flood, and a dropped one costs no more than its reading from the socket. Nothing
//! is parsed, so it makes no difference what a flood pretends to be. Connections need no wall: who floods one waits for the
//! engine like every other (`inbox`).
//!
//! Addresses are counted in two rows of counters under secret keys, by the second. An innocent address suffers only when it shares both of
//! its counters with floods, which nobody can arrange; the memory is the same whoever sends.

use crate::config::FloodConfig;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Counters of a row: a power of two.
const COUNTERS: usize = 4_096;
/// Sources that are listed for operators; further ones are dropped likewise and only counted.
const LISTED_MAX: usize = 64;
/// How long a source stays listed after its last datagram that was dropped.
const LISTED_FOR: Duration = Duration::from_secs(60);

/// A source that sends too much, for operators to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooder {
    /// An IPv4 address, or the first of an IPv6 network of 64 bits.
    pub source_ip: IpAddr,
    /// Datagrams dropped since it was listed.
    pub dropped: u64,
    /// Until when it is listed if it sends no more.
    pub until: Duration,
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is read.
    Heard,
    /// It is dropped.
    Dropped,
    /// It is dropped, and its source was not listed yet: an operator should know.
    Begun(IpAddr),
}

/// See the module.
#[derive(Debug)]
pub struct Wall {
    config: FloodConfig,
    rows: [Row; 2],
    strangers: Counter,
    listed: BTreeMap<IpAddr, Listed>,
}

#[derive(Debug, Clone, Copy)]
struct Listed {
    last: Duration,
    dropped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    second: u64,
    count: u32,
}

impl Counter {
    /// Counts one more in this second.
    fn count(&mut self, second: u64) -> u32 {
        if self.second != second {
            *self = Counter { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

#[derive(Debug)]
struct Row {
    key: RandomState,
    counters: Vec<Counter>,
}

impl Row {
    fn new() -> Row {
        Row { key: RandomState::new(), counters: vec![Counter::default(); COUNTERS] }
    }

    fn count<K: std::hash::Hash>(&mut self, second: u64, of: &K) -> u32 {
        let place = usize::try_from(self.key.hash_one(of)).unwrap_or_default() % COUNTERS;
        self.counters.get_mut(place).map_or(0, |counter| counter.count(second))
    }
}

impl Wall {
    /// A wall with these limits.
    #[must_use]
    pub fn new(config: FloodConfig) -> Wall {
        Wall {
            config,
            rows: [Row::new(), Row::new()],
            strangers: Counter::default(),
            listed: BTreeMap::new(),
        }
    }

    /// What becomes of a datagram from `remote`. `is_known` says whether a phone is registered from there.
    pub fn judge(&mut self, now: Duration, remote: SocketAddr, is_known: impl FnOnce() -> bool) -> Verdict {
        let FloodConfig { per_source, strangers } = self.config;
        let (second, source) = (now.as_secs(), network_of(remote.ip()));
        let within = |count: u32, limit: u32| limit == 0 || count <= limit;
        let has_room = within(self.count(second, &source), per_source)
            && within(self.strangers.count(second), strangers);
        if has_room || (is_known() && within(self.count(second, &remote), per_source)) {
            return Verdict::Heard;
        }
        self.list(now, source)
    }

    /// The lesser of its two counters: the other one counts somebody else too.
    fn count<K: std::hash::Hash>(&mut self, second: u64, of: &K) -> u32 {
        let [first, other] = &mut self.rows;
        first.count(second, of).min(other.count(second, of))
    }

    fn list(&mut self, now: Duration, source: IpAddr) -> Verdict {
        if let Some(listed) = self.listed.get_mut(&source) {
            let begins = listed.last + LISTED_FOR <= now;
            *listed =
                Listed { last: now, dropped: if begins { 1 } else { listed.dropped.saturating_add(1) } };
            return if begins { Verdict::Begun(source) } else { Verdict::Dropped };
        }
        if self.listed.len() >= LISTED_MAX {
            self.listed.retain(|_, listed| now < listed.last + LISTED_FOR);
        }
        if self.listed.len() >= LISTED_MAX {
            return Verdict::Dropped;
        }
        self.listed.insert(source, Listed { last: now, dropped: 1 });
        Verdict::Begun(source)
    }

    /// Who has sent too much in the last minute.
    pub fn flooders(&self, now: Duration) -> impl Iterator<Item = Flooder> {
        let lately = move |(_, listed): &(&IpAddr, &Listed)| now < listed.last + LISTED_FOR;
        self.listed.iter().filter(lately).map(|(source, listed)| Flooder {
            source_ip: *source,
            dropped: listed.dropped,
            until: listed.last + LISTED_FOR,
        })
    }
}

/// What counts as one source: an IPv4 address, or the IPv6 network one customer is given (a /64).
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FloodConfig = FloodConfig { per_source: 100, strangers: 1_000 };

    fn at(ms: u64) -> Duration {
        Duration::from_secs(1_000_000) + Duration::from_millis(ms)
    }

    fn from(source: &str, port: u16) -> SocketAddr {
        SocketAddr::new(source.parse().unwrap(), port)
    }

    fn heard(wall: &mut Wall, ms: u64, remote: SocketAddr, is_known: bool, sent: usize) -> usize {
        (0..sent).filter(|_| wall.judge(at(ms), remote, || is_known) == Verdict::Heard).count()
    }

    #[test]
    fn threat_13_a_source_is_heard_at_its_rate_and_the_phone_registered_there_beside_it() {
        let mut wall = Wall::new(LIMITS);
        let (flood, phone) = (from("192.0.2.1", 9), from("192.0.2.1", 5060));
        assert_eq!(heard(&mut wall, 0, flood, false, 5_000), 100);
        assert_eq!(heard(&mut wall, 10, phone, true, 50), 50);
        assert_eq!(heard(&mut wall, 10, phone, true, 5_000), 50, "but it is no door for a flood either");
        assert_eq!(heard(&mut wall, 10, from("192.0.2.2", 5060), false, 50), 50, "others notice nothing");
        assert_eq!(heard(&mut wall, 1_000, flood, false, 5_000), 100, "each second anew");
    }

    #[test]
    fn threat_13_forged_sources_together_have_a_limit_and_registered_phones_are_heard_beyond_it() {
        let mut wall = Wall::new(LIMITS);
        let forged = |n: u32| SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 5060));
        let passed =
            (0..50_000).filter(|n| wall.judge(at(0), forged(*n), || false) == Verdict::Heard).count();
        assert!((900..=1_000).contains(&passed), "{passed}");
        assert_eq!(heard(&mut wall, 1, from("192.0.2.9", 5060), false, 10), 0);
        assert!(heard(&mut wall, 1, from("192.0.2.9", 5061), true, 10) > 0);
        assert_eq!(wall.listed.len(), LISTED_MAX, "what is told of it is bounded");
    }

    #[test]
    fn threat_13_a_network_of_ipv6_is_one_source_and_zero_is_no_limit() {
        let mut wall = Wall::new(LIMITS);
        let passed = (0..500_u16)
            .filter(|n| {
                wall.judge(at(0), from(&format!("2001:db8::{n:x}"), 5060), || false) == Verdict::Heard
            })
            .count();
        assert_eq!(passed, 100);
        let mut open = Wall::new(FloodConfig { per_source: 0, strangers: 0 });
        assert_eq!(heard(&mut open, 0, from("192.0.2.1", 9), false, 50_000), 50_000);
    }

    #[test]
    fn threat_13_a_flood_is_told_once_and_listed_for_a_minute_after_it() {
        let mut wall = Wall::new(LIMITS);
        let flood = from("192.0.2.1", 9);
        heard(&mut wall, 0, flood, false, 100);
        assert_eq!(wall.judge(at(1), flood, || false), Verdict::Begun(flood.ip()));
        assert_eq!(wall.judge(at(2), flood, || false), Verdict::Dropped);
        let listed = Flooder { source_ip: flood.ip(), dropped: 2, until: at(2) + LISTED_FOR };
        assert_eq!(wall.flooders(at(3)).collect::<Vec<_>>(), [listed]);
        assert_eq!(wall.flooders(at(2) + LISTED_FOR).count(), 0);
        heard(&mut wall, 100_000, flood, false, 100);
        assert_eq!(wall.judge(at(100_001), flood, || false), Verdict::Begun(flood.ip()));
    }
}
