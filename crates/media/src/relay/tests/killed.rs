//! A relay that is killed without a word and goes on from what it told last.

use super::*;

const SUITE: Suite = Suite::AesCm128HmacSha1_80;
/// The most that the numbers of a source may leap by without a second packet.
const LEAP: u16 = 2_900;

fn bridged() -> Spec {
    let mut bridged = spec();
    bridged.called.keys = Some(Keys { suite: SUITE, ours: key(1), theirs: Some(key(2)) });
    bridged
}

fn over(standing: &Standing) -> Standing {
    serde_json::from_slice(&serde_json::to_vec(standing).unwrap()).unwrap()
}

fn speech(sequence: u16, text: u64) -> Vec<u8> {
    let header = Header { marker: false, payload_type: 8, sequence, timestamp: 7, ssrc: 1 };
    header.packet(&text.to_be_bytes().repeat(4))
}

fn report(ssrc: u32, text: u64) -> Vec<u8> {
    [[0x80, 201, 0, 9].to_vec(), ssrc.to_be_bytes().to_vec(), text.to_be_bytes().repeat(4)].concat()
}

/// The member, what its disk holds, and the phones at its two sides, which know nothing of its deaths.
struct Scene {
    relay: Relay,
    kept: Standing,
    hears: Context,
    sends: Context,
    /// Each key stream that was used, and for what.
    used: BTreeMap<(Channel, Vec<u8>), Vec<u8>>,
    texts: u64,
}

impl Scene {
    fn new() -> Scene {
        let (hears, sends) = (Context::new(SUITE, key(1)), Context::new(SUITE, key(2)));
        let (relay, used) = (new(bridged()), BTreeMap::new());
        Scene { relay, kept: Standing::default(), hears, sends, used, texts: 0 }
    }

    fn text(&mut self) -> u64 {
        self.texts += 1;
        self.texts
    }

    fn round(&mut self) {
        if let Some(standing) = self.relay.stands() {
            self.kept = over(&standing);
        }
    }

    fn kill(&mut self) {
        self.relay = Relay::going_on(Duration::ZERO, bridged(), &self.kept);
        self.round();
    }

    /// True when the called phone understands it.
    fn caller_says(&mut self, channel: Channel, plain: &[u8]) -> bool {
        let (from, clear) = match channel {
            Channel::Rtp => (CALLER, 12),
            Channel::Rtcp => ("192.0.2.1:4001", 8),
        };
        let (verdict, mut sealed) = give(&mut self.relay, 20, (Side::Caller, channel), from, plain);
        let Verdict::Forward(_) = verdict else { return false };
        let stream = sealed.iter().zip(plain).skip(clear).map(|(sealed, plain)| sealed ^ plain).collect();
        let before = self.used.insert((channel, stream), plain.to_vec());
        assert!(before.is_none_or(|before| before == plain), "one key stream for two texts");
        let length = sealed.len();
        let mut datagram = Datagram::new(&mut sealed, length);
        let understood = match channel {
            Channel::Rtp => self.hears.unprotect_rtp(&mut datagram),
            Channel::Rtcp => self.hears.unprotect_rtcp(&mut datagram),
        };
        understood.is_ok() && datagram.bytes() == plain
    }

    /// True when the caller hears it.
    fn called_says(&mut self, plain: &[u8]) -> bool {
        let mut buffer = [0; 300];
        buffer[..plain.len()].copy_from_slice(plain);
        let mut datagram = Datagram::new(&mut buffer, plain.len());
        self.sends.protect_rtp(&mut datagram).unwrap();
        let sealed = datagram.bytes().to_vec();
        let (verdict, heard) = give(&mut self.relay, 20, RTP_OF_CALLED, CALLED, &sealed);
        matches!(verdict, Verdict::Forward(_)) && heard == plain
    }
}

#[test]
fn rfc3711_3_3_1_a_call_in_its_fourth_round_is_heard_both_ways_after_a_kill() {
    let mut scene = Scene::new();
    let mut sequence = 0u16;
    for _ in 0..80 {
        sequence = sequence.wrapping_add(LEAP);
        let text = scene.text();
        assert!(scene.caller_says(Channel::Rtp, &speech(sequence, text)));
        assert!(scene.called_says(&speech(sequence, text)));
        scene.round();
    }
    assert_eq!((80 * u32::from(LEAP)) >> 16, 3);
    scene.kill();
    for _ in 0..80 {
        sequence = sequence.wrapping_add(LEAP);
        let text = scene.text();
        assert!(scene.caller_says(Channel::Rtp, &speech(sequence, text)));
        assert!(scene.called_says(&speech(sequence, text)));
        scene.round();
    }
    // Without what was told nobody would understand a word.
    scene.kept = Standing::default();
    scene.kill();
    assert!(!scene.caller_says(Channel::Rtp, &speech(sequence.wrapping_add(1), 1)));
    assert!(!scene.called_says(&speech(sequence.wrapping_add(1), 1)));
}

#[test]
fn srtp_that_rests_and_returns_with_its_keys_goes_on_where_it_stood() {
    let mut scene = Scene::new();
    let mut sequence = 60_000u16;
    for turn in 0..6 {
        sequence = sequence.wrapping_add(LEAP);
        let text = scene.text();
        assert!(scene.caller_says(Channel::Rtp, &speech(sequence, text)), "{turn}");
        assert!(scene.called_says(&speech(sequence, text)), "{turn}");
        assert!(scene.caller_says(Channel::Rtcp, &report(1, text)), "{turn}");
        // Meanwhile both ends speak the same, and packets pass as they are.
        scene.relay.alter(spec());
        let plain = speech(sequence.wrapping_add(1), text);
        let heard = give(&mut scene.relay, 20, RTP_OF_CALLER, CALLER, &plain);
        assert_eq!(heard, (Verdict::Forward(at(CALLED)), plain));
        scene.round();
        if turn == 3 {
            scene.relay = Relay::going_on(Duration::ZERO, spec(), &scene.kept);
        }
        scene.relay.alter(bridged());
    }
}

#[test]
fn a_stream_without_srtp_has_nothing_to_keep() {
    let mut relay = new(spec());
    give(&mut relay, 0, RTP_OF_CALLER, CALLER, &rtp_of(1, 1));
    assert_eq!(relay.stands(), None);
    let mut relay = Relay::going_on(Duration::ZERO, spec(), &Standing::default());
    assert_eq!(relay.stands(), None);
    assert!(matches!(give(&mut relay, 0, RTP_OF_CALLER, CALLER, &rtp_of(1, 2)).0, Verdict::Forward(_)));
}

#[derive(Debug, Clone)]
enum Event {
    /// Speech both ways, so many numbers on.
    Speech(u16),
    /// The caller's last packet once more: networks do that.
    Again,
    /// A report of one of the caller's sources.
    Report(u32),
    Kill,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..LEAP).prop_map(Event::Speech),
        1 => Just(Event::Again),
        3 => (1..4u32).prop_map(Event::Report),
        1 => Just(Event::Kill),
    ]
}

proptest! {
    /// RFC 3711 § 9.1: the relay looks at where it stands every third packet only, and is killed at any.
    #[test]
    fn rfc3711_9_1_killed_at_any_packet_no_key_stream_is_used_for_two_texts_and_sound_goes_on(
        start: u16, events in prop::collection::vec(event(), 1..200),
    ) {
        let mut scene = Scene::new();
        let mut last = speech(start, scene.text());
        // A source is heard for a second before its member dies, or its first round would not be known.
        prop_assert!(scene.caller_says(Channel::Rtp, &last) && scene.called_says(&last));
        scene.round();
        let mut sequence = start;
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Speech(ahead) => {
                    sequence = sequence.wrapping_add(*ahead);
                    last = speech(sequence, scene.text());
                    prop_assert!(scene.caller_says(Channel::Rtp, &last), "not understood");
                    prop_assert!(scene.called_says(&last), "not heard");
                }
                Event::Again => drop(scene.caller_says(Channel::Rtp, &last)),
                Event::Report(ssrc) => {
                    let report = report(*ssrc, scene.text());
                    prop_assert!(scene.caller_says(Channel::Rtcp, &report), "a report is lost");
                }
                Event::Kill => scene.kill(),
            }
            if at % 3 == 0 {
                scene.round();
            }
        }
    }
}
