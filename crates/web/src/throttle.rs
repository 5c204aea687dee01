//! Slows down whoever guesses passwords: per source and account, and per source alone.
//!
//! After [`FREE_ATTEMPTS`] failures each further attempt must wait twice as long as the one before, up to
//! [`WAIT_MAX`]. Other accounts and other sources are not touched, so nobody can lock an operator out from
//! elsewhere. The table is bounded; the entry that failed longest ago makes room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing, per source and account.
const FREE_ATTEMPTS: u32 = 5;
/// Failures that cost nothing, per source over all accounts.
const FREE_ATTEMPTS_OF_SOURCE: u32 = 30;
/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(300);
/// A failure is forgotten after this time.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Entries at a time.
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// The table of failures.
#[derive(Debug, Default)]
pub struct Throttle {
    table: Mutex<BTreeMap<(IpAddr, String), Failures>>,
}

impl Throttle {
    /// How long this source must still wait before it may try this account.
    ///
    /// # Errors
    /// The time to wait.
    pub fn check(&self, source: IpAddr, user: &str, now: Instant) -> Result<(), Duration> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let left = |user: &str, free: u32| {
            let failures = table.get(&(source, user.to_owned()))?;
            let over = failures.count.checked_sub(free)?;
            let wait = Duration::from_secs(1 << over.min(10)).min(WAIT_MAX);
            (failures.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())
        };
        match left(user, FREE_ATTEMPTS).max(left("", FREE_ATTEMPTS_OF_SOURCE)) {
            Some(wait) => Err(wait),
            None => Ok(()),
        }
    }

    /// Notes a failure.
    pub fn failed(&self, source: IpAddr, user: &str, now: Instant) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for name in [user, ""] {
            let failures = table.entry((source, name.to_owned())).or_insert(Failures { count: 0, last: now });
            let forgotten = now.duration_since(failures.last) > MEMORY;
            failures.count = if forgotten { 1 } else { failures.count.saturating_add(1) };
            failures.last = now;
        }
        while table.len() > ENTRIES_MAX {
            let oldest = table.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
            match oldest {
                Some(key) => table.remove(&key),
                None => break,
            };
        }
    }

    /// Forgets the failures of this account from this source.
    pub fn succeeded(&self, source: IpAddr, user: &str) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&(source, user.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_waits_longer_each_time_and_nobody_else_does() {
        let throttle = Throttle::default();
        let (here, there): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Instant::now();
        for _ in 0..FREE_ATTEMPTS {
            assert_eq!(throttle.check(here, "admin", now), Ok(()));
            throttle.failed(here, "admin", now);
        }
        assert_eq!(throttle.check(here, "admin", now), Err(Duration::from_secs(1)));
        throttle.failed(here, "admin", now);
        assert_eq!(throttle.check(here, "admin", now), Err(Duration::from_secs(2)));
        assert_eq!(throttle.check(there, "admin", now), Ok(()));
        assert_eq!(throttle.check(here, "other", now), Ok(()));
        assert_eq!(throttle.check(here, "admin", now + Duration::from_secs(2)), Ok(()));
        throttle.succeeded(here, "admin");
        assert_eq!(throttle.check(here, "admin", now), Ok(()));
    }

    #[test]
    fn a_source_that_tries_many_names_waits_on_all_of_them() {
        let throttle = Throttle::default();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let now = Instant::now();
        for i in 0..FREE_ATTEMPTS_OF_SOURCE {
            throttle.failed(here, &format!("user{i}"), now);
        }
        assert!(throttle.check(here, "admin", now).is_err());
    }
}
