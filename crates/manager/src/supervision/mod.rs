//! Supervision: every claimed machine is asked for its state once a second, and the map is drawn of the answers
//! (ARC-05, DEP-45).
//!
//! An answer is kept with the time it came; when a machine falls silent its last words stay, shown with their
//! age, and after [`LOST_AFTER`] it counts as lost. Nothing here changes a machine.

pub mod map;
mod poller;

pub use poller::supervise;

use crate::machine::unix_ms;
use crate::machine::wire::State;
use crate::view::{LiveState, MachineSight, Reach};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A machine that did not answer for so long is lost.
pub const LOST_AFTER: Duration = Duration::from_secs(3);

/// What is known of one machine.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Whether it answers.
    pub reach: Reach,
    /// Since when, Unix time.
    pub since_ms: u64,
    /// Its last answer, its clock against ours, and when that was.
    pub last: Option<(Arc<State>, i64, Instant)>,
    /// Why the last attempt failed; empty when it did not.
    pub fault: String,
    /// When the first attempt was made that had no success since.
    trying_since: Instant,
}

impl Sight {
    /// The last answer, when it is fresh.
    #[must_use]
    pub fn fresh(&self) -> Option<&State> {
        match (self.reach, &self.last) {
            (Reach::Up, Some((state, _, _))) => Some(state),
            _ => None,
        }
    }

    fn new(now: Instant) -> Sight {
        Sight {
            reach: Reach::Unknown,
            since_ms: unix_ms(),
            last: None,
            fault: String::new(),
            trying_since: now,
        }
    }

    fn turn(&mut self, reach: Reach) -> bool {
        let changed = self.reach != reach;
        if changed {
            (self.reach, self.since_ms) = (reach, unix_ms());
        }
        changed
    }
}

/// What is known of all machines.
#[derive(Debug, Default)]
pub struct Sights(Mutex<BTreeMap<String, Sight>>);

impl Sights {
    /// What is known of one machine, if it was ever asked.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<Sight> {
        self.table().get(key).cloned()
    }

    /// The machine is gone from the topology.
    pub fn forget(&self, key: &str) {
        self.table().remove(key);
    }

    /// What a page shows of one machine.
    #[must_use]
    pub fn live(&self, key: &str) -> LiveState {
        let Some(sight) = self.of(key) else {
            return LiveState {
                reach: Reach::Unknown,
                age_ms: 0,
                since_ms: 0,
                sight: None,
                fault: String::new(),
            };
        };
        let age = sight.last.as_ref().map(|(_, _, at)| at.elapsed()).unwrap_or_default();
        LiveState {
            reach: sight.reach,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            since_ms: sight.since_ms,
            sight: sight.last.as_ref().map(|(state, offset, _)| machine_sight(state, *offset)),
            fault: sight.fault,
        }
    }

    /// The machine answered. True when something a person would see has changed.
    pub fn answered(&self, key: &str, state: State, clock_offset_ms: i64, now: Instant) -> bool {
        let mut table = self.table();
        let sight = table.entry(key.to_owned()).or_insert_with(|| Sight::new(now));
        let turned = sight.turn(Reach::Up);
        let differs = sight.last.as_ref().is_none_or(|(old, _, _)| !looks_the_same(old, &state));
        sight.last = Some((Arc::new(state), clock_offset_ms, now));
        sight.fault.clear();
        sight.trying_since = now;
        turned || differs
    }

    /// The machine did not answer. True when something a person would see has changed.
    pub fn failed(&self, key: &str, fault: String, now: Instant) -> bool {
        let mut table = self.table();
        let sight = table.entry(key.to_owned()).or_insert_with(|| Sight::new(now));
        let differs = sight.fault != fault;
        sight.fault = fault;
        let silent = now.duration_since(sight.trying_since) >= LOST_AFTER;
        (silent && sight.turn(Reach::Lost)) || differs
    }

    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Sight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Equal but for the clock, which differs each time.
fn looks_the_same(old: &State, new: &State) -> bool {
    *old == State { unix_ms: old.unix_ms, ..new.clone() }
}

fn machine_sight(state: &State, clock_offset_ms: i64) -> MachineSight {
    MachineSight {
        release: state.release.to_string(),
        role: state.role.clone(),
        state: state.state.clone(),
        node_number: state.node_number,
        revision: state.position.revision,
        digest: state.digest.clone(),
        subscribers: state.subscribers,
        bindings: state.bindings,
        calls: state.calls,
        clock_offset_ms,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn state(role: &str, word: &str) -> State {
        serde_json::from_value(serde_json::json!({
            "release": "R7.0", "dongle_id": "AAAA-1", "unix_ms": 1, "role": role, "state": word,
        }))
        .unwrap()
    }

    #[test]
    fn arc_05_a_silent_machine_is_lost_after_three_seconds_and_keeps_its_last_words() {
        let sights = Sights::default();
        let start = Instant::now();
        assert!(sights.answered("n1", state("node", "connected"), 0, start));
        assert!(!sights.answered("n1", state("node", "connected"), 0, start), "nothing new");
        assert!(sights.failed("n1", "no answer".to_owned(), start + Duration::from_secs(1)));
        assert_eq!(sights.live("n1").reach, Reach::Up);
        assert!(sights.failed("n1", "no answer".to_owned(), start + LOST_AFTER));
        let live = sights.live("n1");
        assert_eq!(live.reach, Reach::Lost);
        assert_eq!(live.sight.unwrap().state, "connected");
        assert!(sights.answered("n1", state("node", "connected"), 0, start + LOST_AFTER * 2));
        assert_eq!(sights.live("n1").reach, Reach::Up);
        assert_eq!(sights.live("n2").reach, Reach::Unknown);
    }
}
