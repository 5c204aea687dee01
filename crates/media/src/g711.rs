//! G.711: A-law and µ-law (ITU-T G.711), one byte a sample.

/// Which law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Europe and most of the world; payload type 8.
    A,
    /// North America and Japan; payload type 0.
    Mu,
}

/// µ-law adds this before it looks for the segment.
const MU_BIAS: u16 = 132;
/// µ-law knows nothing louder.
const MU_CLIP: u16 = 32_635;
/// A-law sends every other bit turned, so that silence has edges for the line's clock.
const A_EVEN_BITS: u8 = 0x55;

impl Law {
    /// One sample as it is sent.
    #[must_use]
    pub fn encode(self, sample: i16) -> u8 {
        match self {
            Law::A => encode_a(sample),
            Law::Mu => encode_mu(sample),
        }
    }

    /// One sample as it is heard.
    #[must_use]
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Law::A => decode_a(byte),
            Law::Mu => decode_mu(byte),
        }
    }

    /// A packet's worth.
    #[must_use]
    pub fn encode_all(self, samples: &[i16]) -> Vec<u8> {
        samples.iter().map(|sample| self.encode(*sample)).collect()
    }

    /// A packet's worth.
    #[must_use]
    pub fn decode_all(self, bytes: &[u8]) -> Vec<i16> {
        bytes.iter().map(|byte| self.decode(*byte)).collect()
    }
}

fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = if sample >= 0 { (0x80, sample) } else { (0, !sample) };
    let magnitude = magnitude.unsigned_abs();
    let segment = segment_of(magnitude);
    let step = if segment == 0 { magnitude >> 4 } else { magnitude >> (segment + 3) };
    (sign | low_byte(segment << 4) | low_byte(step & 0x0f)) ^ A_EVEN_BITS
}

fn decode_a(byte: u8) -> i16 {
    let byte = byte ^ A_EVEN_BITS;
    let (segment, step) = ((byte >> 4) & 7, i16::from(byte & 0x0f) << 4);
    let magnitude = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    if byte & 0x80 == 0 { -magnitude } else { magnitude }
}

fn encode_mu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = sample.unsigned_abs().min(MU_CLIP) + MU_BIAS;
    let segment = segment_of(magnitude);
    !(sign | low_byte(segment << 4) | low_byte((magnitude >> (segment + 3)) & 0x0f))
}

fn decode_mu(byte: u8) -> i16 {
    let byte = !byte;
    let (segment, step) = ((byte >> 4) & 7, u16::from(byte & 0x0f) << 3);
    let magnitude = ((step + MU_BIAS) << segment) - MU_BIAS;
    let magnitude = i16::try_from(magnitude).unwrap_or(i16::MAX);
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The segment of the curve: 0 up to 255, then one for each doubling.
fn segment_of(magnitude: u16) -> u16 {
    15u16.saturating_sub(low_16(magnitude.leading_zeros())).saturating_sub(7)
}

fn low_byte(value: u16) -> u8 {
    let [low, _] = value.to_le_bytes();
    low
}

fn low_16(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ITU-T G.711 tables 1a and 2a: the decision values at both ends and around zero.
    #[test]
    fn g_711_known_values() {
        assert_eq!((Law::A.encode(0), Law::A.decode(0xd5), Law::A.decode(0x55)), (0xd5, 8, -8));
        assert_eq!((Law::A.encode(i16::MAX), Law::A.encode(i16::MIN)), (0xaa, 0x2a));
        assert_eq!((Law::A.decode(0xaa), Law::A.decode(0x2a)), (32_256, -32_256));
        assert_eq!((Law::Mu.encode(0), Law::Mu.decode(0xff), Law::Mu.decode(0x7f)), (0xff, 0, 0));
        assert_eq!((Law::Mu.encode(i16::MAX), Law::Mu.encode(i16::MIN)), (0x80, 0x00));
        assert_eq!((Law::Mu.decode(0x80), Law::Mu.decode(0x00)), (32_124, -32_124));
    }

    #[test]
    fn every_code_survives_the_way_there_and_back() {
        for law in [Law::A, Law::Mu] {
            for byte in 0..=u8::MAX {
                let again = law.encode(law.decode(byte));
                // µ-law has two zeros.
                assert!(again == byte || (law == Law::Mu && byte == 0x7f), "{law:?} {byte:#x} {again:#x}");
            }
        }
    }

    #[test]
    fn the_error_is_small_against_the_sample() {
        for law in [Law::A, Law::Mu] {
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                assert!(error <= i32::from(sample).abs() / 24 + 20, "{law:?} {sample}: {error}");
            }
        }
    }
}
