//! Who wants to be woken when.
//!
//! A timer that is put off or dropped stays in the heap and is passed over when its time comes: most timers of
//! transactions are never reached, and taking each out of its place would cost more than all that are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Passed-over alarms that are tolerated before the heap is made anew, besides one for each sleeper.
const SLACK: usize = 1_024;

/// Which transaction, by the number of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sleeper {
    Client(u64),
    Server(u64),
}

/// What a sleeper notes of its own alarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Alarm {
    /// When it wants to be woken.
    pub(super) wake_at: Option<Duration>,
    /// The one of its alarms in the heap that counts; never later than `wake_at`.
    set_for: Option<Duration>,
}

impl Alarm {
    /// True when an alarm at `at` is the one that counts and its time is right.
    fn rings(&self, at: Duration) -> bool {
        self.set_for == Some(at) && self.wake_at == Some(at)
    }
}

/// Who knows the alarms by the names of their sleepers.
pub(super) trait Sleepers {
    fn alarm(&mut self, sleeper: Sleeper) -> Option<&mut Alarm>;
}

/// All alarms, the earliest first; of several at one time in the order of their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarms(BinaryHeap<Reverse<(Duration, Sleeper)>>);

impl Alarms {
    /// The earliest; exact after [`Alarms::tidy`].
    pub(super) fn next(&self) -> Option<Duration> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Sets, puts off or drops the alarm of a sleeper.
    pub(super) fn set(&mut self, sleeper: Sleeper, alarm: &mut Alarm, wake_at: Option<Duration>) {
        alarm.wake_at = wake_at;
        if let Some(at) = wake_at
            && alarm.set_for.is_none_or(|set_for| at < set_for)
        {
            alarm.set_for = Some(at);
            self.0.push(Reverse((at, sleeper)));
        }
    }

    /// Takes the earliest alarm out when it is due; its sleeper may set the next.
    pub(super) fn due(&mut self, now: Duration, sleepers: &mut impl Sleepers) -> Option<Sleeper> {
        self.tidy(sleepers);
        let Reverse((_, sleeper)) = self.0.peek().copied().filter(|Reverse((at, _))| *at <= now)?;
        self.0.pop();
        if let Some(alarm) = sleepers.alarm(sleeper) {
            *alarm = Alarm::default();
        }
        Some(sleeper)
    }

    /// Takes out what does not ring any more, as far as it stands before the first that does.
    pub(super) fn tidy(&mut self, sleepers: &mut impl Sleepers) {
        while let Some(Reverse((at, sleeper))) = self.0.peek().copied() {
            let alarm = sleepers.alarm(sleeper);
            if alarm.as_ref().is_some_and(|alarm| alarm.rings(at)) {
                break;
            }
            self.0.pop();
            if let Some(alarm) = alarm.filter(|alarm| alarm.set_for == Some(at)) {
                alarm.set_for = None;
                let wake_at = alarm.wake_at;
                self.set(sleeper, alarm, wake_at);
            }
        }
    }

    /// True when most of the heap is of the past.
    pub(super) fn is_overgrown(&self, sleepers: usize) -> bool {
        self.0.len() > 2 * sleepers + SLACK
    }

    /// Forgets everything, to be set anew.
    pub(super) fn clear(&mut self) {
        self.0 = BinaryHeap::new();
    }
}
