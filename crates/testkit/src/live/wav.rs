//! Tones written for a foreign phone to play, and found again in what another one recorded.

use anyhow::Context;
use std::path::Path;

/// Samples a second of everything here.
const RATE: u32 = 8_000;

/// Writes `seconds` of a tone as 16-bit mono WAV.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tone(path: &Path, hz: u32, seconds: u32) -> anyhow::Result<()> {
    let count = RATE * seconds;
    let data_bytes = count * 2;
    let mut file = Vec::with_capacity(usize::try_from(data_bytes)? + 44);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(data_bytes + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&[1, 0, 1, 0]);
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(&[2, 0, 16, 0]);
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_bytes.to_le_bytes());
    for index in 0..count {
        let phase = f64::from(hz) * f64::from(index) / f64::from(RATE) * std::f64::consts::TAU;
        #[expect(clippy::as_conversions, reason = "a sine times 8000 fits 16 bits; f64 has no checked way")]
        let sample = (phase.sin() * 8_000.0) as i16;
        file.extend_from_slice(&sample.to_le_bytes());
    }
    std::fs::write(path, file).with_context(|| path.display().to_string())
}

/// Bytes of the plainest WAV header.
const HEADER_BYTES: usize = 44;

/// Seconds of the recording in which a tone of `hz` holds at least 80 % of the energy.
///
/// The recording may still go on: linphone leaves room for the header and writes it at the end.
///
/// # Errors
/// When the file cannot be read.
pub fn heard_s(path: &Path, hz: u32) -> anyhow::Result<f64> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let head = bytes.get(..HEADER_BYTES.min(bytes.len())).unwrap_or_default();
    let at = head.windows(4).position(|word| word == b"data").map_or(HEADER_BYTES, |at| at + 8);
    let samples: Vec<f64> = bytes
        .get(at..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| {
            f64::from(i16::from_le_bytes([
                pair.first().copied().unwrap_or(0),
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .collect();
    tone_s(&samples, hz)
}

/// Seconds of these samples, 8,000 a second, in which a tone of `hz` holds at least 80 % of the energy.
///
/// # Errors
/// When there are more than can be counted.
pub(super) fn tone_s(samples: &[f64], hz: u32) -> anyhow::Result<f64> {
    let window = usize::try_from(RATE / 10)?;
    let tenths = samples.chunks_exact(window).filter(|chunk| holds_tone(chunk, hz)).count();
    Ok(f64::from(u32::try_from(tenths)?) / 10.0)
}

/// Goertzel's share of the energy at one frequency.
fn holds_tone(chunk: &[f64], hz: u32) -> bool {
    let factor = 2.0 * (std::f64::consts::TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut last, mut before, mut energy) = (0.0, 0.0, 0.0);
    for sample in chunk {
        (last, before) = (sample + factor * last - before, last);
        energy += sample * sample;
    }
    let count = f64::from(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
    let power = last * last + before * before - factor * last * before;
    (energy / count).sqrt() > 32.0 && 2.0 * power / (count * energy) >= 0.8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_tone_is_found_and_no_other() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("tone.wav");
        write_tone(&path, 523, 3)?;
        assert!(heard_s(&path, 523)? > 2.5);
        assert!(heard_s(&path, 660)? < 0.2);
        Ok(())
    }
}
