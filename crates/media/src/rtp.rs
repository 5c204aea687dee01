//! The RTP packet (RFC 3550 § 5.1): fixed header, contributing sources and extension skipped, padding removed.

/// Bytes of the fixed header.
const HEADER_BYTES: usize = 12;
/// The version in the first two bits.
const VERSION: u8 = 2;

/// Why bytes are no RTP packet. It is the sender's fault; the packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Shorter than the header says.
    #[error("the packet is shorter than its header says")]
    Truncated,
    /// Another version, or another protocol altogether (RTCP shares the version; STUN does not).
    #[error("version {0} is not RTP version 2")]
    Version(u8),
    /// The count of padding bytes is 0 or more than there are.
    #[error("the padding is longer than the packet")]
    Padding,
}

/// What the header says that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// The first packet after a silence, or of an event.
    pub marker: bool,
    /// Which format the payload has, as the description said; 0 to 127.
    pub payload_type: u8,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

/// A packet as it lies in the receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`RtpError`]; the packet is to be dropped.
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, RtpError> {
        let (header, length) = head(bytes)?;
        let rest = bytes.get(length..).ok_or(RtpError::Truncated)?;
        let padded = bytes.first().is_some_and(|first| first & 0x20 != 0);
        let payload = if padded { before_padding(rest)? } else { rest };
        Ok(Packet { header, payload })
    }
}

/// Reads the header alone, and how many bytes it has with contributing sources and extension. What follows may be
/// encrypted, its padding too.
///
/// # Errors
/// [`RtpError`]; the packet is to be dropped.
pub fn head(bytes: &[u8]) -> Result<(Header, usize), RtpError> {
    let (fixed, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(RtpError::Truncated)?;
    let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
    if first >> 6 != VERSION {
        return Err(RtpError::Version(first >> 6));
    }
    let header = Header {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7f,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
    };
    let rest = rest.get(usize::from(first & 0x0f) * 4..).ok_or(RtpError::Truncated)?;
    let rest = if first & 0x10 != 0 { after_extension(rest)? } else { rest };
    Ok((header, bytes.len() - rest.len()))
}

/// Who sent an RTCP packet (RFC 3550 § 6.4): `None` when it is none, or its first length is a lie.
#[must_use]
pub fn rtcp_sender(bytes: &[u8]) -> Option<u32> {
    let ([_, _, l0, l1, s0, s1, s2, s3], _) = bytes.split_first_chunk::<8>()?;
    let words = usize::from(u16::from_be_bytes([*l0, *l1])) + 1;
    (is_rtcp(bytes) && words >= 2).then(|| u32::from_be_bytes([*s0, *s1, *s2, *s3]))
}

fn after_extension(bytes: &[u8]) -> Result<&[u8], RtpError> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or(RtpError::Truncated)?;
    let [_, _, high, low] = *head;
    rest.get(usize::from(u16::from_be_bytes([high, low])) * 4..).ok_or(RtpError::Truncated)
}

fn before_padding(bytes: &[u8]) -> Result<&[u8], RtpError> {
    let count = usize::from(*bytes.last().ok_or(RtpError::Padding)?);
    let keep = bytes.len().checked_sub(count).filter(|_| count > 0).ok_or(RtpError::Padding)?;
    bytes.get(..keep).ok_or(RtpError::Padding)
}

impl Header {
    /// The packet's bytes.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        let marker = if self.marker { 0x80 } else { 0 };
        bytes.extend([VERSION << 6, marker | (self.payload_type & 0x7f)]);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

/// True for what may share the port with RTP but is RTCP (RFC 5761 § 4).
#[must_use]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes, [first, 192..=223, ..] if first >> 6 == VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sources_extension_and_padding_are_left_out() {
        let mut bytes = vec![0xb1, 0x88, 0, 7, 0, 0, 0, 9, 0, 0, 0, 1];
        bytes.extend([0, 0, 0, 5]); // one contributing source
        bytes.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // an extension of one word
        bytes.extend([0x11, 0x22, 0, 2]); // payload, padded by two
        let packet = Packet::parse(&bytes).unwrap();
        let header = Header { marker: true, payload_type: 8, sequence: 7, timestamp: 9, ssrc: 1 };
        assert_eq!(packet, Packet { header, payload: &[0x11, 0x22] });
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        assert_eq!(Packet::parse(&[0x80; 11]), Err(RtpError::Truncated));
        assert_eq!(Packet::parse(&[0x00; 12]), Err(RtpError::Version(0)));
        assert_eq!(Packet::parse(&[0x81; 12]), Err(RtpError::Truncated));
        let padded = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(Packet::parse(&padded), Err(RtpError::Padding));
        assert!(is_rtcp(&[0x80, 200, 0, 1]) && !is_rtcp(&[0x80, 8]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn a_packet_is_read_as_it_was_built(
            marker: bool, payload_type in 0..128u8, sequence: u16, timestamp: u32, ssrc: u32,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let bytes = header.packet(&payload);
            prop_assert_eq!(Packet::parse(&bytes), Ok(Packet { header, payload: &payload }));
        }
    }
}
