//! A sine to send: the phone's voice in tests.

use crate::SAMPLE_RATE_HZ;
use std::f64::consts::TAU;

/// Half of full scale: loud, and far from clipping.
const AMPLITUDE: f64 = 16_000.0;

/// A tone that goes on for ever, sample by sample.
#[derive(Debug, Clone)]
pub struct Tone {
    step: f64,
    phase: f64,
}

impl Tone {
    /// A tone of `hz`; 0 is silence.
    #[must_use]
    pub fn new(hz: u16) -> Tone {
        Tone { step: TAU * f64::from(hz) / f64::from(SAMPLE_RATE_HZ), phase: 0.0 }
    }

    /// The next `count` samples.
    pub fn take(&mut self, count: usize) -> Vec<i16> {
        (0..count).map(|_| self.next_sample()).collect()
    }

    fn next_sample(&mut self) -> i16 {
        let sample = AMPLITUDE * self.phase.sin();
        self.phase = (self.phase + self.step) % TAU;
        to_sample(sample)
    }
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a float has no other way to an integer; it saturates"
)]
fn to_sample(value: f64) -> i16 {
    value as i16
}
