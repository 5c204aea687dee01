//! The brake on guessing passwords. It holds a source and a user together, and a source that tries many users; never
//! a user alone, so nobody can lock out a phone that calls from elsewhere.
//!
//! | what was wrong | what follows |
//! | --- | --- |
//! | one user, from one source | the pair is refused unheard, each time twice as long |
//! | many users, from one source | so is the source, but for phones that are registered from there |
//! | one user, from many sources | a further source has one try before its pair is braked |
//!
//! A source is an IPv4 address or an IPv6 network of 64 bits: who has one address of it has them all.

use crate::settings::{
    BRAKE, BRAKE_EMERGENCY_TRY, BRAKE_ENTRIES_MAX, BRAKE_LONGEST, BRAKE_MEMORY, WRONG_PASSWORDS_FOR_USER_MAX,
    WRONG_PASSWORDS_MAX, WRONG_PASSWORDS_OF_SOURCE_MAX,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Whom a brake holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// Where it is: an IPv4 address, or the first of an IPv6 network of 64 bits.
    pub source_ip: IpAddr,
    /// Who it says it is; everybody who is not registered from there when there is no user.
    #[serde(default)]
    pub user: Option<String>,
}

/// A brake that holds, for operators to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who is refused.
    #[serde(flatten)]
    pub suspect: Suspect,
    /// Wrong passwords in a row.
    pub wrong: u32,
    /// Until when it is refused unheard.
    pub until: Duration,
}

/// Who tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) source_ip: IpAddr,
    pub(crate) user: &'a str,
    /// A phone of this user is registered from this source.
    pub(crate) is_at_home: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Brake {
    pairs: Table<(IpAddr, String)>,
    sources: Table<IpAddr>,
    users: Table<String>,
}

impl Brake {
    /// True while this attempt is refused unheard.
    pub(crate) fn holds(&self, now: Duration, attempt: Attempt<'_>) -> bool {
        let source = network_of(attempt.source_ip);
        self.pairs.holds(now, &(source, attempt.user.to_owned()))
            || (!attempt.is_at_home && self.sources.holds(now, &source))
    }

    /// True when somebody who is braked is heard because it calls for help. A phone in need has the right password
    /// at the first try; a guesser gains one try in [`BRAKE_EMERGENCY_TRY`].
    pub(crate) fn hears_emergency(&mut self, now: Duration, attempt: Attempt<'_>) -> bool {
        let pair = (network_of(attempt.source_ip), attempt.user.to_owned());
        let tries = self.pairs.tries(now, &pair);
        let heard = now >= tries.heard + BRAKE_EMERGENCY_TRY;
        if heard {
            tries.heard = now;
        }
        heard
    }

    /// A wrong password. Returns how many there were when a brake closes with it.
    pub(crate) fn wrong(&mut self, now: Duration, attempt: Attempt<'_>) -> Option<u32> {
        let source = network_of(attempt.source_ip);
        let user = attempt.user.to_owned();
        let for_user = self.users.count(now, &user);
        let allowed = if for_user > WRONG_PASSWORDS_FOR_USER_MAX { 1 } else { WRONG_PASSWORDS_MAX };
        let pair = self.pairs.wrong(now, &(source, user), allowed);
        let of_source = self.sources.wrong(now, &source, WRONG_PASSWORDS_OF_SOURCE_MAX);
        pair.or(of_source)
    }

    /// The right password: the pair begins anew. The source does not, or a guesser with an account of its own would
    /// go on for ever.
    pub(crate) fn right(&mut self, attempt: Attempt<'_>) {
        self.pairs.forget(&(network_of(attempt.source_ip), attempt.user.to_owned()));
    }

    /// What is refused unheard now.
    pub(crate) fn bans(&self, now: Duration) -> Vec<Ban> {
        let ban = |source_ip: IpAddr, user: Option<String>, tries: &Tries| Ban {
            suspect: Suspect { source_ip, user },
            wrong: tries.wrong,
            until: tries.held_until,
        };
        let pairs =
            self.pairs.held(now).map(|((source, user), tries)| ban(*source, Some(user.clone()), tries));
        let sources = self.sources.held(now).map(|(source, tries)| ban(*source, None, tries));
        pairs.chain(sources).collect()
    }

    /// An operator knows better: the tries of the suspect are forgotten, as with the right password.
    pub(crate) fn lift(&mut self, suspect: &Suspect) {
        let source = network_of(suspect.source_ip);
        match &suspect.user {
            Some(user) => self.pairs.forget(&(source, user.clone())),
            None => self.sources.forget(&source),
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => IpAddr::V4(mapped),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        },
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    wrong: u32,
    /// How often the brake has closed.
    rounds: u32,
    last: Duration,
    held_until: Duration,
    /// When it was heard though braked.
    heard: Duration,
}

/// Tries by what they have in common, and the same by age.
#[derive(Debug, Clone)]
struct Table<K> {
    tries: BTreeMap<K, Tries>,
    ages: BTreeSet<(Duration, K)>,
}

impl<K> Default for Table<K> {
    fn default() -> Table<K> {
        Table { tries: BTreeMap::new(), ages: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Table<K> {
    fn holds(&self, now: Duration, key: &K) -> bool {
        self.tries.get(key).is_some_and(|tries| now < tries.held_until)
    }

    fn held(&self, now: Duration) -> impl Iterator<Item = (&K, &Tries)> {
        self.tries.iter().filter(move |(_, tries)| now < tries.held_until)
    }

    /// The tries of `key`, which becomes the youngest; what is too old, and the oldest when full, is forgotten.
    fn tries(&mut self, now: Duration, key: &K) -> &mut Tries {
        while let Some((last, oldest)) = self.ages.first()
            && (*last + BRAKE_LONGEST + BRAKE_MEMORY <= now || self.ages.len() >= BRAKE_ENTRIES_MAX)
        {
            self.tries.remove(oldest);
            self.ages.pop_first();
        }
        let tries = self.tries.entry(key.clone()).or_default();
        self.ages.remove(&(tries.last, key.clone()));
        if now >= tries.held_until.max(tries.last) + BRAKE_MEMORY {
            *tries = Tries::default();
        }
        self.ages.insert((now, key.clone()));
        tries.last = now;
        tries
    }

    fn count(&mut self, now: Duration, key: &K) -> u32 {
        let tries = self.tries(now, key);
        tries.wrong = tries.wrong.saturating_add(1);
        tries.wrong
    }

    fn wrong(&mut self, now: Duration, key: &K, allowed: u32) -> Option<u32> {
        let tries = self.tries(now, key);
        tries.wrong = tries.wrong.saturating_add(1);
        // After a brake there is one try before the next one.
        if tries.wrong < allowed && tries.rounds == 0 {
            return None;
        }
        let doubled = BRAKE.saturating_mul(1_u32 << tries.rounds.min(16));
        tries.held_until = now + doubled.min(BRAKE_LONGEST);
        tries.rounds = tries.rounds.saturating_add(1);
        Some(tries.wrong)
    }

    fn forget(&mut self, key: &K) {
        if let Some(tries) = self.tries.remove(key) {
            self.ages.remove(&(tries.last, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8, user: &str) -> Attempt<'_> {
        Attempt { source_ip: IpAddr::from([10, 0, 0, last]), user, is_at_home: false }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn threat_04_a_guesser_is_braked_and_the_true_phone_from_elsewhere_is_not() {
        let mut brake = Brake::default();
        let (guesser, phone) = (from(66, "2101"), from(1, "2101"));
        for second in 1..u64::from(WRONG_PASSWORDS_MAX) {
            assert_eq!(brake.wrong(at(second), guesser), None);
            assert!(!brake.holds(at(second), guesser));
        }
        assert_eq!(brake.wrong(at(9), guesser), Some(WRONG_PASSWORDS_MAX));
        assert!(brake.holds(at(10), guesser));
        assert!(!brake.holds(at(10), phone));
        assert!(!brake.holds(at(9) + BRAKE, guesser));
        let ban = Ban {
            suspect: Suspect { source_ip: guesser.source_ip, user: Some("2101".into()) },
            wrong: WRONG_PASSWORDS_MAX,
            until: at(9) + BRAKE,
        };
        assert_eq!((brake.bans(at(10)), brake.bans(at(9) + BRAKE)), (vec![ban], vec![]));
    }

    #[test]
    fn threat_04_each_brake_lasts_twice_as_long_up_to_the_longest() {
        let mut brake = Brake::default();
        let guesser = from(66, "2101");
        let (mut now, mut guesses) = (at(0), 0);
        while now < at(24 * 3600) {
            if !brake.holds(now, guesser) {
                brake.wrong(now, guesser);
                guesses += 1;
            }
            now += Duration::from_secs(1);
        }
        assert!((20..40).contains(&guesses), "{guesses} guesses in a day");
        brake.right(guesser);
        assert!(!brake.holds(now, guesser) && brake.bans(now).is_empty());
    }

    #[test]
    fn threat_04_a_source_that_tries_many_users_is_braked_but_not_the_phones_registered_there() {
        let mut brake = Brake::default();
        let users: Vec<String> =
            (0..WRONG_PASSWORDS_OF_SOURCE_MAX).map(|n| (3_000 + n).to_string()).collect();
        let closed: Vec<u32> = users.iter().filter_map(|user| brake.wrong(at(1), from(66, user))).collect();
        assert_eq!(closed, [WRONG_PASSWORDS_OF_SOURCE_MAX]);
        let phone = Attempt { is_at_home: true, ..from(66, "2101") };
        assert!(brake.holds(at(2), from(66, "2102")));
        assert!(!brake.holds(at(2), phone) && !brake.holds(at(2), from(67, "2102")));
        assert_eq!(brake.bans(at(2)).len(), 1);
    }

    #[test]
    fn threat_04_a_user_tried_from_everywhere_leaves_each_further_source_one_guess() {
        let mut brake = Brake::default();
        for source in 0..=u8::try_from(WRONG_PASSWORDS_FOR_USER_MAX).unwrap() {
            brake.wrong(at(1), from(source, "2101"));
        }
        let next = from(200, "2101");
        assert!(!brake.holds(at(2), next), "the true phone needs one try");
        brake.wrong(at(2), next);
        assert!(brake.holds(at(3), next));
        assert!(!brake.holds(at(3), from(201, "2101")));
    }

    #[test]
    fn threat_04_what_an_operator_lifts_begins_anew_and_nothing_else_does() {
        let mut brake = Brake::default();
        for user in ["2101", "2102"] {
            for _ in 0..WRONG_PASSWORDS_OF_SOURCE_MAX {
                brake.wrong(at(1), from(66, user));
            }
        }
        let bans = brake.bans(at(2));
        assert_eq!(bans.len(), 3, "two pairs and their source");
        for ban in bans.iter().filter(|ban| ban.suspect.user.as_deref() != Some("2102")) {
            brake.lift(&ban.suspect);
        }
        assert!(!brake.holds(at(2), from(66, "2101")) && brake.holds(at(2), from(66, "2102")));
        assert_eq!(brake.wrong(at(3), from(66, "2101")), None, "it has its five tries again");
    }

    #[test]
    fn threat_35_who_is_braked_and_calls_for_help_is_heard_now_and_then() {
        let mut brake = Brake::default();
        let phone = from(66, "2101");
        for _ in 0..WRONG_PASSWORDS_MAX {
            brake.wrong(at(1), phone);
        }
        assert!(brake.holds(at(2), phone));
        assert!(brake.hears_emergency(at(2), phone));
        assert!(!brake.hears_emergency(at(3), phone));
        assert!(brake.hears_emergency(at(2) + BRAKE_EMERGENCY_TRY, phone));
        assert!(brake.holds(at(20), phone), "and is not let off for it");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let mut brake = Brake::default();
        let address = |last: &str| format!("2001:db8:0:1::{last}").parse().unwrap();
        let attempt = |source_ip| Attempt { source_ip, user: "2101", is_at_home: false };
        for last in ["1", "2", "3", "4", "5"] {
            brake.wrong(at(1), attempt(address(last)));
        }
        assert!(brake.holds(at(2), attempt(address("77"))));
        assert!(!brake.holds(at(2), attempt("2001:db8:0:2::1".parse().unwrap())));
    }

    #[test]
    fn the_tables_never_grow_over_their_limit() {
        let mut brake = Brake::default();
        for number in 0..BRAKE_ENTRIES_MAX + 10 {
            brake.wrong(at(1), from(66, &number.to_string()));
        }
        for table in [brake.pairs.tries.len(), brake.pairs.ages.len(), brake.users.tries.len()] {
            assert!((1..=BRAKE_ENTRIES_MAX).contains(&table));
        }
        brake.wrong(at(1) + BRAKE_LONGEST + BRAKE_MEMORY, from(67, "2101"));
        assert_eq!(brake.pairs.tries.len(), 1, "and what is old is forgotten");
    }
}
