//! From where registered phones speak over UDP: whom a flood of others must not drown.
//!
//! It answers one question, and only while there is a flood: is a phone registered from exactly this address and port? So it
//! holds a keyed number of each and until when, some twenty bytes a phone, and forgets what has lapsed when it must grow. It is
//! no proof: who forges the address of a phone is heard as that phone is, at its rate.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

/// Flows it remembers; that of a further phone is not known until others have lapsed.
const FLOWS_MAX: usize = 2 * call::settings::BINDINGS_MAX;
/// Flows it holds before it looks for what has lapsed.
const FLOWS_FEW: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct KnownFlows {
    key: RandomState,
    /// Until when each is good, in seconds of the steady clock.
    until: HashMap<u64, u64>,
    /// So many there may be before it is swept.
    sweep_at: usize,
}

impl KnownFlows {
    /// A phone is registered from there until then.
    pub(super) fn note(&mut self, now: Duration, remote: SocketAddr, until: Duration) {
        let flow = self.key.hash_one(remote);
        if self.until.len() >= self.sweep_at.max(FLOWS_FEW) && !self.until.contains_key(&flow) {
            self.until.retain(|_, until| *until >= now.as_secs());
            self.sweep_at = self.until.len() * 2;
        }
        if self.until.len() < FLOWS_MAX {
            self.until.insert(flow, until.as_secs());
        }
    }

    /// True when a phone is registered from there.
    pub(super) fn knows(&self, now: Duration, remote: SocketAddr) -> bool {
        self.until.get(&self.key.hash_one(remote)).is_some_and(|until| *until >= now.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    fn phone(number: u32) -> SocketAddr {
        SocketAddr::from((std::net::Ipv4Addr::from(number), 5060))
    }

    #[test]
    fn threat_13_a_registered_phone_is_known_by_address_and_port_until_it_lapses() {
        let mut known = KnownFlows::default();
        known.note(at(0), phone(1), at(60));
        assert!(known.knows(at(60), phone(1)) && !known.knows(at(61), phone(1)));
        assert!(!known.knows(at(0), SocketAddr::from(([0, 0, 0, 1], 5061))));
        known.note(at(61), phone(1), at(120));
        assert!(known.knows(at(61), phone(1)));
    }

    #[test]
    fn threat_13_flows_that_have_lapsed_make_room() {
        let mut known = KnownFlows::default();
        for minute in 0..100_u32 {
            let begin = u64::from(minute) * 60;
            for number in 0..1_000 {
                known.note(at(begin), phone(minute * 1_000 + number), at(begin + 59));
            }
        }
        assert!(known.until.len() <= 3 * FLOWS_FEW, "{}", known.until.len());
        assert!(known.knows(at(99 * 60), phone(99_999)));
    }
}
