//! Digits as packets (RFC 4733): each press is a run of packets with one timestamp and a growing duration.

use crate::PACKET_SAMPLES;

/// The last packet of an event is sent so often, so that its loss does not matter (RFC 4733 § 2.5.1.4).
const END_COPIES: usize = 3;
/// Loudness in -dBm0 written into events we send.
const VOLUME: u8 = 10;
/// The keys, by event code (RFC 4733 § 3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// Digits a collector keeps; later ones are dropped.
const DIGITS_KEPT_MAX: usize = 1_000;

/// The payload of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which event; 0 to 15 are keys.
    pub code: u8,
    /// True in the last packets of a press.
    pub end: bool,
    /// Loudness in -dBm0.
    pub volume: u8,
    /// How long the press lasts until now, in samples.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; none when it is shorter than an event.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Event> {
        let [code, flags, high, low] = *payload.first_chunk::<4>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Event { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// The payload's bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.end { 0x80 } else { 0 };
        [self.code, end | (self.volume & 0x3f), high, low]
    }

    /// The key, if the event is one.
    #[must_use]
    pub fn key(&self) -> Option<char> {
        KEYS.get(usize::from(self.code)).map(|key| char::from(*key))
    }
}

/// The payloads of one press, one for each 20 ms, the end in three copies. None for what is no key.
#[must_use]
pub fn press(key: char, packets: u16) -> Option<Vec<Event>> {
    let key = key.to_ascii_uppercase();
    let code = u8::try_from(KEYS.iter().position(|known| char::from(*known) == key)?).ok()?;
    let step = u16::try_from(PACKET_SAMPLES).ok()?;
    let event = |n: u16, end| Event { code, end, volume: VOLUME, duration: n.saturating_mul(step) };
    let mut run: Vec<Event> = (1..packets.max(2)).map(|n| event(n, false)).collect();
    run.extend(std::iter::repeat_n(event(packets.max(2), true), END_COPIES));
    Some(run)
}

/// Gathers the keys pressed from the packets that arrive, in whatever order and number.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    digits: String,
    last: Option<u32>,
}

impl Collector {
    /// Takes a packet; answers the key when a new press begins.
    pub fn take(&mut self, timestamp: u32, payload: &[u8]) -> Option<char> {
        let key = Event::parse(payload)?.key()?;
        // All packets of a press carry the timestamp of its beginning (RFC 4733 § 2.3).
        if self.last == Some(timestamp) || self.digits.len() >= DIGITS_KEPT_MAX {
            return None;
        }
        self.last = Some(timestamp);
        self.digits.push(key);
        Some(key)
    }

    /// The keys so far.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 4733 § 2.3 and § 2.5.1: the form on the wire and the run of one press.
    #[test]
    fn rfc_4733_a_press_grows_and_ends_three_times() {
        let run = press('#', 4).unwrap();
        let durations: Vec<_> = run.iter().map(|event| (event.duration, event.end)).collect();
        assert_eq!(
            durations,
            [(160, false), (320, false), (480, false), (640, true), (640, true), (640, true)]
        );
        assert_eq!(run[5].bytes(), [11, 0x8a, 0x02, 0x80]);
        assert_eq!(press('x', 4), None);
    }

    #[test]
    fn lost_and_doubled_packets_make_no_digit_more_or_less() {
        let mut collector = Collector::default();
        for (timestamp, key, skip) in [(100, '1', 0), (900, '1', 2), (1700, 'd', 5)] {
            for event in press(key, 4).unwrap().into_iter().skip(skip) {
                collector.take(timestamp, &event.bytes());
            }
        }
        assert_eq!(collector.digits(), "11D");
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..8)) {
            if let Some(event) = Event::parse(&bytes) {
                prop_assert_eq!(Event::parse(&event.bytes()), Some(event));
            }
        }
    }
}
