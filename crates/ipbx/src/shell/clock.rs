//! The steady clock: the time since the Unix epoch as this process read it once, carried on by the monotonic
//! clock. It never jumps, so no timer fires early because somebody set the wall clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The steady clock of this process. Copies tell the same time.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    epoch: Duration,
    started: Instant,
}

impl SteadyClock {
    /// Reads the wall clock, for the only time.
    #[must_use]
    pub fn start() -> SteadyClock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SteadyClock { epoch, started: Instant::now() }
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    /// The instant of the monotonic clock at which the steady clock shows `at`.
    #[must_use]
    pub fn instant(&self, at: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + at.saturating_sub(self.epoch))
    }
}

/// The wall clock as it is set now, for people and for comparing clocks with the manager (DCS-15).
#[must_use]
pub fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds of a duration, for JSON.
#[must_use]
pub fn ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}
