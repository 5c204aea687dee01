//! The brake on guessing passwords: after a few wrong ones a pair of source and user is refused unheard for a
//! while. The pair, not the user: the true phone, calling from elsewhere, is never locked out.

use crate::settings::{BRAKE, BRAKE_ENTRIES_MAX, WRONG_PASSWORDS_MAX};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub(crate) struct Brake {
    tries: BTreeMap<(IpAddr, String), Tries>,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    wrong: u32,
    last: Duration,
}

impl Brake {
    /// True while `user` from `source_ip` is refused unheard.
    pub(crate) fn holds(&self, now: Duration, source_ip: IpAddr, user: &str) -> bool {
        self.tries
            .get(&(source_ip, user.to_owned()))
            .is_some_and(|tries| tries.wrong >= WRONG_PASSWORDS_MAX && now < tries.last + BRAKE)
    }

    /// A wrong password. Returns the count when the brake closes with it.
    pub(crate) fn wrong(&mut self, now: Duration, source_ip: IpAddr, user: &str) -> Option<u32> {
        self.make_room(now);
        let tries = self.tries.entry((source_ip, user.to_owned())).or_insert(Tries { wrong: 0, last: now });
        if now >= tries.last + BRAKE {
            tries.wrong = 0;
        }
        tries.wrong += 1;
        tries.last = now;
        (tries.wrong == WRONG_PASSWORDS_MAX).then_some(tries.wrong)
    }

    /// The right password.
    pub(crate) fn right(&mut self, source_ip: IpAddr, user: &str) {
        self.tries.remove(&(source_ip, user.to_owned()));
    }

    fn make_room(&mut self, now: Duration) {
        if self.tries.len() < BRAKE_ENTRIES_MAX {
            return;
        }
        self.tries.retain(|_, tries| now < tries.last + BRAKE);
        if self.tries.len() >= BRAKE_ENTRIES_MAX {
            let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.last).map(|(pair, _)| pair.clone());
            oldest.map(|pair| self.tries.remove(&pair));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guesser_is_braked_and_the_true_phone_from_elsewhere_is_not() {
        let mut brake = Brake::default();
        let guesser = IpAddr::from([10, 0, 0, 66]);
        let phone = IpAddr::from([10, 0, 0, 1]);
        let at = Duration::from_secs;
        for second in 1..u64::from(WRONG_PASSWORDS_MAX) {
            assert_eq!(brake.wrong(at(second), guesser, "2101"), None);
            assert!(!brake.holds(at(second), guesser, "2101"));
        }
        assert_eq!(brake.wrong(at(9), guesser, "2101"), Some(WRONG_PASSWORDS_MAX));
        assert!(brake.holds(at(10), guesser, "2101"));
        assert!(!brake.holds(at(10), phone, "2101"));
        assert!(!brake.holds(at(9) + BRAKE, guesser, "2101"));
    }

    #[test]
    fn the_table_never_grows_over_its_limit() {
        let mut brake = Brake::default();
        let source = IpAddr::from([10, 0, 0, 66]);
        for number in 0..BRAKE_ENTRIES_MAX + 10 {
            brake.wrong(Duration::from_secs(1), source, &number.to_string());
        }
        assert!(brake.tries.len() <= BRAKE_ENTRIES_MAX);
    }
}
