//! The phone's voice and ear: packets to send each 20 ms, and what was heard in those that came.

use media::PACKET_SAMPLES;
use media::detector::{Detector, Heard};
use media::rtp::{Header, Packet};
use media::sdp::Negotiated;
use media::telephone_event::{self, Collector, Event};
use media::tone::Tone;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets of 20 ms of one press, and of the pause behind it.
const PRESS_PACKETS: u16 = 5;
const PAUSE_PACKETS: u8 = 5;

/// What waits to be sent in place of the tone.
#[derive(Debug)]
enum Digit {
    Packet { event: Event, first: bool },
    Pause,
}

/// Both directions of the phone's audio, over all its calls.
#[derive(Debug)]
pub struct Sound {
    tone: Tone,
    next: Header,
    /// The timestamp of the press that is being sent.
    press: u32,
    digits: VecDeque<Digit>,
    detector: Detector,
    collector: Collector,
    sent: u64,
    received: u64,
    last_packet: Option<Duration>,
    longest_gap: Duration,
}

/// What the ear has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Tones, the longest first.
    pub heard: Vec<Heard>,
    /// Keys pressed at the other side.
    pub digits: String,
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// The longest silence between two packets of one call.
    pub longest_gap: Duration,
}

impl Sound {
    /// A phone that will send `hz`, 0 for silence; `start` are random bytes for sequence, time and source.
    #[must_use]
    pub fn new(hz: u16, start: [u8; 10]) -> Sound {
        let [s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = start;
        let next = Header {
            marker: true,
            payload_type: 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Sound {
            tone: Tone::new(hz),
            next,
            press: 0,
            digits: VecDeque::new(),
            detector: Detector::new(),
            collector: Collector::default(),
            sent: 0,
            received: 0,
            last_packet: None,
            longest_gap: Duration::ZERO,
        }
    }

    /// Keys to press as soon as media flow.
    pub fn press(&mut self, keys: &str) {
        for events in keys.chars().filter_map(|key| telephone_event::press(key, PRESS_PACKETS)) {
            let packets = events.into_iter().enumerate();
            self.digits.extend(packets.map(|(n, event)| Digit::Packet { event, first: n == 0 }));
            self.digits.extend((0..PAUSE_PACKETS).map(|_| Digit::Pause));
        }
    }

    /// The packet of these 20 ms; none while we do not send.
    pub fn speak(&mut self, agreed: &Negotiated) -> Option<Vec<u8>> {
        let samples = self.tone.take(PACKET_SAMPLES);
        let audio_header = Header { payload_type: agreed.payload_type, ..self.next };
        self.next.timestamp = self.next.timestamp.wrapping_add(step());
        if !agreed.direction.sends() {
            self.next.marker = true;
            return None;
        }
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.marker = false;
        self.sent += 1;
        let digit =
            agreed.event_payload_type.and_then(|payload_type| Some((payload_type, self.digits.pop_front()?)));
        match digit {
            Some((payload_type, Digit::Packet { event, first })) => {
                if first {
                    self.press = audio_header.timestamp;
                }
                let header = Header { marker: first, payload_type, timestamp: self.press, ..audio_header };
                Some(header.packet(&event.bytes()))
            }
            Some((_, Digit::Pause)) | None => {
                Some(audio_header.packet(&agreed.codec.law().encode_all(&samples)))
            }
        }
    }

    /// A packet came.
    pub fn hear(&mut self, now: Duration, agreed: &Negotiated, bytes: &[u8]) {
        let Ok(packet) = Packet::parse(bytes) else { return };
        if media::rtp::is_rtcp(bytes) {
            return;
        }
        self.received += 1;
        if let Some(last) = self.last_packet.replace(now) {
            self.longest_gap = self.longest_gap.max(now.saturating_sub(last));
        }
        if Some(packet.header.payload_type) == agreed.event_payload_type {
            self.collector.take(packet.header.timestamp, packet.payload);
        } else if packet.header.payload_type == agreed.payload_type {
            self.detector.hear(&agreed.codec.law().decode_all(packet.payload));
        }
    }

    /// Media stopped or changed: the silence until the next packet is no gap.
    pub fn paused(&mut self) {
        self.last_packet = None;
        self.next.marker = true;
    }

    /// What was sent and heard until now.
    #[must_use]
    pub fn account(&self) -> Account {
        Account {
            heard: self.detector.heard(),
            digits: self.collector.digits().to_owned(),
            sent: self.sent,
            received: self.received,
            longest_gap: self.longest_gap,
        }
    }
}

fn step() -> u32 {
    u32::try_from(PACKET_SAMPLES).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use media::sdp::{Codec, Direction};

    #[test]
    fn what_one_phone_sends_another_hears() {
        let agreed = Negotiated {
            remote: "127.0.0.1:9".parse().unwrap(),
            codec: Codec::Pcma,
            payload_type: 8,
            event_payload_type: Some(101),
            direction: Direction::SendRecv,
        };
        let (mut mouth, mut ear) = (Sound::new(620, [0xff; 10]), Sound::new(0, [0; 10]));
        mouth.press("1#1");
        for n in 0..150 {
            let packet = mouth.speak(&agreed).unwrap();
            ear.hear(Duration::from_millis(20 * n), &agreed, &packet);
        }
        let account = ear.account();
        assert_eq!((account.digits.as_str(), account.received), ("1#1", 150));
        assert_eq!(account.heard[0].hz, 620);
        assert!(account.heard[0].time >= Duration::from_secs(2), "{:?}", account.heard);
        assert_eq!(account.longest_gap, Duration::from_millis(20));
        let held = Negotiated { direction: Direction::RecvOnly, ..agreed };
        assert_eq!(mouth.speak(&held), None);
    }
}
