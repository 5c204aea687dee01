//! Which tones were heard, and for how long: Goertzel's filter on blocks of 100 ms.
//!
//! A block counts for a tone when more than 60 % of its energy is at that one frequency, so speech, noise and
//! silence count for none. Frequencies are told apart by 10 Hz.

use crate::SAMPLE_RATE_HZ;
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Duration;

/// Samples looked at at once: 100 ms, which makes bins of 10 Hz.
const BLOCK_SAMPLES: usize = 800;
/// How long a block is.
const BLOCK: Duration = Duration::from_millis(100);
/// The telephone band, in bins of 10 Hz.
const BINS: std::ops::RangeInclusive<u16> = 20..=340;
/// Hertz of a bin.
const BIN_HZ: u16 = 10;
/// Mean square below which a block is silence.
const SILENCE: f64 = 10_000.0;
/// The part of a block's energy that must be at one frequency.
const PURITY: f64 = 0.6;

/// A tone that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its frequency, to 10 Hz.
    pub hz: u16,
    /// For how long, all in all.
    pub time: Duration,
}

/// Listens to samples as they come.
#[derive(Debug, Clone, Default)]
pub struct Detector {
    block: Vec<i16>,
    blocks_by_hz: BTreeMap<u16, u32>,
}

impl Detector {
    /// A detector that has heard nothing.
    #[must_use]
    pub fn new() -> Detector {
        Detector::default()
    }

    /// Takes the next samples.
    pub fn hear(&mut self, samples: &[i16]) {
        self.block.extend_from_slice(samples);
        while self.block.len() >= BLOCK_SAMPLES {
            let rest = self.block.split_off(BLOCK_SAMPLES);
            if let Some(hz) = tone_of(&self.block) {
                *self.blocks_by_hz.entry(hz).or_default() += 1;
            }
            self.block = rest;
        }
    }

    /// All tones heard, the longest first.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        let mut heard: Vec<Heard> =
            self.blocks_by_hz.iter().map(|(hz, blocks)| Heard { hz: *hz, time: BLOCK * *blocks }).collect();
        heard.sort_by_key(|heard| (std::cmp::Reverse(heard.time), heard.hz));
        heard
    }

    /// How long `hz` was heard, to within one bin.
    #[must_use]
    pub fn heard_for(&self, hz: u16) -> Duration {
        let near = hz.saturating_sub(BIN_HZ)..=hz.saturating_add(BIN_HZ);
        self.blocks_by_hz.range(near).map(|(_, blocks)| BLOCK * *blocks).sum()
    }
}

/// The one tone of a block, if it is one.
fn tone_of(block: &[i16]) -> Option<u16> {
    let count = f64::from(u32::try_from(block.len()).ok()?);
    let energy: f64 = block.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    if energy / count < SILENCE {
        return None;
    }
    let hertz = BINS.map(|bin| bin * BIN_HZ);
    let (hz, power) =
        hertz.map(|hz| (hz, power_at(block, hz))).max_by(|left, right| left.1.total_cmp(&right.1))?;
    // A pure sine of n samples has the power energy * n / 2 in its bin.
    (power > PURITY * energy * count / 2.0).then_some(hz)
}

/// Goertzel's algorithm: the squared magnitude of one bin.
fn power_at(block: &[i16], hz: u16) -> f64 {
    let factor = 2.0 * (TAU * f64::from(hz) / f64::from(SAMPLE_RATE_HZ)).cos();
    let (last, before) = block
        .iter()
        .fold((0.0, 0.0), |(last, before), sample| (f64::from(*sample) + factor * last - before, last));
    last * last + before * before - factor * last * before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Law;
    use crate::tone::Tone;

    #[test]
    fn a_tone_through_either_law_is_heard_for_its_time() {
        for law in [Law::A, Law::Mu] {
            for hz in [300, 440, 1000, 1980, 3400] {
                let mut detector = Detector::new();
                let mut tone = Tone::new(hz);
                for _ in 0..100 {
                    detector.hear(&law.decode_all(&law.encode_all(&tone.take(160))));
                }
                assert_eq!(detector.heard(), [Heard { hz, time: Duration::from_secs(2) }]);
                assert_eq!(detector.heard_for(hz), Duration::from_secs(2));
                assert_eq!(detector.heard_for(hz + 60), Duration::ZERO);
            }
        }
    }

    #[test]
    fn silence_noise_and_two_tones_at_once_are_no_tone() {
        let mut detector = Detector::new();
        detector.hear(&[3; 1600]);
        let mut state = 1u32;
        let noise: Vec<i16> = (0..1600)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                i16::try_from(state >> 17).unwrap() - 16_384
            })
            .collect();
        detector.hear(&noise);
        let (mut low, mut high) = (Tone::new(500), Tone::new(900));
        let both: Vec<i16> = low.take(1600).iter().zip(high.take(1600)).map(|(a, b)| a / 2 + b / 2).collect();
        detector.hear(&both);
        assert_eq!(detector.heard(), []);
    }
}
