//! A stream as it is told: who sends what from where, and who hears it.

use super::*;
use crate::rtp::Header;
use crate::srtp::{Context, MasterKey, Suite};
use proptest::prelude::*;

mod killed;

const CALLER: &str = "192.0.2.1:4000";
const CALLED: &str = "192.0.2.2:5000";
const STRANGER: &str = "203.0.113.66:4000";
const RTP_OF_CALLER: (Side, Channel) = (Side::Caller, Channel::Rtp);
const RTP_OF_CALLED: (Side, Channel) = (Side::Called, Channel::Rtp);

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn remote(rtp: &str) -> Remote {
    let rtp = at(rtp);
    Remote { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1), learn_from: None }
}

fn end(local: &str, remote: Remote) -> End {
    End { local: at(local), remote: Some(remote), keys: None }
}

fn spec() -> Spec {
    Spec {
        caller: end("198.51.100.9:20000", remote(CALLER)),
        called: end("198.51.100.9:20002", remote(CALLED)),
        opaque: false,
    }
}

fn key(byte: u8) -> MasterKey {
    MasterKey::new([byte; 30])
}

fn rtp_of(ssrc: u32, sequence: u16) -> Vec<u8> {
    Header { marker: false, payload_type: 8, sequence, timestamp: 7, ssrc }.packet(&[0xd5; 160])
}

fn report_of(ssrc: u32) -> Vec<u8> {
    [[0x80, 201, 0, 1], ssrc.to_be_bytes()].concat()
}

/// Gives a packet to the relay: the verdict, and the packet as it leaves.
fn give(
    relay: &mut Relay,
    ms: u64,
    at_end: (Side, Channel),
    from: &str,
    packet: &[u8],
) -> (Verdict, Vec<u8>) {
    let mut buffer = [0; 2_048];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut datagram = Datagram::new(&mut buffer, packet.len());
    let verdict = relay.handle(Duration::from_millis(ms), at_end, at(from), &mut datagram);
    (verdict, datagram.bytes().to_vec())
}

fn new(spec: Spec) -> Relay {
    Relay::new(Duration::ZERO, spec)
}

#[test]
fn speech_digits_and_reports_pass_untouched_both_ways() {
    let mut relay = new(spec());
    for (sequence, payload_type) in [(1, 8), (2, 101), (3, 8)] {
        let header = Header { marker: false, payload_type, sequence, timestamp: 7, ssrc: 1 };
        let packet = header.packet(&[1, 0x80, 0, 160]);
        let heard = give(&mut relay, 20, RTP_OF_CALLER, CALLER, &packet);
        assert_eq!(heard, (Verdict::Forward(at(CALLED)), packet));
    }
    let packet = rtp_of(2, 700);
    assert_eq!(give(&mut relay, 20, RTP_OF_CALLED, CALLED, &packet).0, Verdict::Forward(at(CALLER)));
    let rtcp = (Side::Called, Channel::Rtcp);
    let heard = give(&mut relay, 20, rtcp, "192.0.2.2:5001", &report_of(2));
    assert_eq!(heard.0, Verdict::Forward(at("192.0.2.1:4001")));
    // Multiplexed (RFC 5761) it stays on its port.
    let heard = give(&mut relay, 20, RTP_OF_CALLED, CALLED, &report_of(2));
    assert_eq!(heard.0, Verdict::Forward(at(CALLER)));
    assert_eq!((relay.traffic().0.packets, relay.traffic().1.packets), (3, 3));
}

#[test]
fn threat_14_rtp_from_another_address_is_not_heard_and_not_answered() {
    let mut relay = new(spec());
    assert!(matches!(give(&mut relay, 0, RTP_OF_CALLER, CALLER, &rtp_of(1, 1)).0, Verdict::Forward(_)));
    for from in [STRANGER, "192.0.2.1:4002", "192.0.2.2:5000"] {
        let heard = give(&mut relay, 20, RTP_OF_CALLER, from, &rtp_of(1, 2)).0;
        assert_eq!(heard, Verdict::Drop(Why::Stranger));
    }
    // Nor does the called party's sound go anywhere else afterwards.
    let heard = give(&mut relay, 20, RTP_OF_CALLED, CALLED, &rtp_of(2, 1)).0;
    assert_eq!(heard, Verdict::Forward(at(CALLER)));
    assert_eq!(relay.traffic().0.dropped, BTreeMap::from([(Why::Stranger, 3)]));
}

#[test]
fn threat_14_behind_a_nat_the_source_is_learnt_once_from_the_signalling_host_alone() {
    let mut natted = spec();
    let host = at("198.51.100.77:1").ip();
    natted.caller.remote = Some(Remote { learn_from: Some(host), ..remote("10.0.0.5:4000") });
    let mut relay = new(natted.clone());
    // Nothing is sent to an address that means another machine here.
    assert_eq!(give(&mut relay, 0, RTP_OF_CALLED, CALLED, &rtp_of(2, 1)).0, Verdict::Drop(Why::NoWay));
    assert_eq!(give(&mut relay, 0, RTP_OF_CALLER, STRANGER, &rtp_of(1, 1)).0, Verdict::Drop(Why::Stranger));
    let noise = give(&mut relay, 0, RTP_OF_CALLER, "198.51.100.77:9", b"not a packet").0;
    assert_eq!(noise, Verdict::Drop(Why::Malformed));
    let first = give(&mut relay, 0, RTP_OF_CALLER, "198.51.100.77:33333", &rtp_of(1, 1)).0;
    assert_eq!(first, Verdict::Forward(at(CALLED)));
    let second = give(&mut relay, 0, RTP_OF_CALLER, "198.51.100.77:44444", &rtp_of(1, 2)).0;
    assert_eq!(second, Verdict::Drop(Why::Stranger));
    let heard = give(&mut relay, 0, RTP_OF_CALLED, CALLED, &rtp_of(2, 2)).0;
    assert_eq!(heard, Verdict::Forward(at("198.51.100.77:33333")));
    // Terms that say the same forget nothing.
    relay.alter(natted);
    let heard = give(&mut relay, 0, RTP_OF_CALLED, CALLED, &rtp_of(2, 3)).0;
    assert_eq!(heard, Verdict::Forward(at("198.51.100.77:33333")));
}

#[test]
fn before_the_answer_nobody_is_heard() {
    let mut early = spec();
    early.called.remote = None;
    let mut relay = new(early);
    assert_eq!(give(&mut relay, 0, RTP_OF_CALLED, CALLED, &rtp_of(2, 1)).0, Verdict::Drop(Why::TooEarly));
    assert_eq!(give(&mut relay, 0, RTP_OF_CALLER, CALLER, &rtp_of(1, 1)).0, Verdict::Drop(Why::NoWay));
}

#[test]
fn a_new_source_or_a_leap_needs_two_packets_unless_there_was_silence() {
    let mut relay = new(spec());
    let mut take = |ms, ssrc, sequence| {
        matches!(give(&mut relay, ms, RTP_OF_CALLER, CALLER, &rtp_of(ssrc, sequence)).0, Verdict::Forward(_))
    };
    assert!(take(0, 1, 10) && take(20, 1, 11));
    assert!(!take(30, 66, 5), "somebody else's packet with a forged address");
    assert!(take(40, 1, 12));
    assert!(!take(60, 2, 500) && take(80, 2, 501), "a true change of source");
    assert!(take(90, 1, 13), "digits and speech may take turns");
    assert!(!take(100, 1, 9_000) && take(110, 1, 9_001), "a leap");
    assert!(take(400, 3, 1), "after silence");
}

#[test]
fn rfc3550_loss_is_counted_and_disorder_is_not_loss() {
    let mut relay = new(spec());
    for sequence in [65_533, 65_535, 65_534, 1, 2, 4] {
        give(&mut relay, 20, RTP_OF_CALLER, CALLER, &rtp_of(1, sequence));
    }
    assert_eq!(relay.traffic().0.lost, 2);
    relay.alter(Spec { caller: end("198.51.100.9:20000", remote("192.0.2.7:4000")), ..spec() });
    give(&mut relay, 20, RTP_OF_CALLER, "192.0.2.7:4000", &rtp_of(1, 3_000));
    assert_eq!(relay.traffic().0.lost, 2);
}

#[test]
fn srtp_on_one_end_is_bridged_and_survives_a_restart() {
    let mut bridged = spec();
    let suite = Suite::AesCm128HmacSha1_80;
    bridged.called.keys = Some(Keys { suite, ours: key(1), theirs: Some(key(2)) });
    let mut relay = new(bridged);
    let (mut hears, mut sends) = (Context::new(suite, key(1)), Context::new(suite, key(2)));
    for sequence in (65_530..=65_535).chain(0..6) {
        if sequence == 2 {
            let kept = serde_json::to_vec(&relay).unwrap();
            relay = serde_json::from_slice(&kept).unwrap();
            relay.resumed(Duration::from_secs(1));
        }
        let plain = rtp_of(1, sequence);
        let (verdict, mut sealed) = give(&mut relay, 20, RTP_OF_CALLER, CALLER, &plain);
        assert_eq!(verdict, Verdict::Forward(at(CALLED)));
        let length = sealed.len();
        let mut datagram = Datagram::new(&mut sealed, length);
        hears.unprotect_rtp(&mut datagram).unwrap();
        assert_eq!(datagram.bytes(), plain);

        let mut buffer = [0; 300];
        let said = rtp_of(2, sequence);
        buffer[..said.len()].copy_from_slice(&said);
        let mut datagram = Datagram::new(&mut buffer, said.len());
        sends.protect_rtp(&mut datagram).unwrap();
        let sealed = datagram.bytes().to_vec();
        assert_eq!(
            give(&mut relay, 20, RTP_OF_CALLED, CALLED, &sealed),
            (Verdict::Forward(at(CALLER)), said.clone())
        );
        assert_eq!(give(&mut relay, 20, RTP_OF_CALLED, CALLED, &said).0, Verdict::Drop(Why::Unauthentic));
    }
    let (_, report) = give(&mut relay, 20, (Side::Caller, Channel::Rtcp), "192.0.2.1:4001", &report_of(1));
    assert_eq!(report.len(), 8 + 14);
}

#[test]
fn silence_is_measured_over_both_ends() {
    let mut relay = new(spec());
    assert_eq!(relay.silence(Duration::from_secs(30)), Duration::from_secs(30));
    give(&mut relay, 31_000, RTP_OF_CALLED, CALLED, &rtp_of(2, 1));
    give(&mut relay, 40_000, RTP_OF_CALLED, STRANGER, &rtp_of(2, 2));
    assert_eq!(relay.silence(Duration::from_secs(41)), Duration::from_secs(10));
}

proptest! {
    /// Whatever comes from a stranger, nothing leaves, and what the true phones hear stays the same.
    #[test]
    fn threat_14_no_packet_of_a_stranger_ever_leaves(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..60), any::<bool>(), any::<u16>()), 0..60),
    ) {
        let mut relay = new(spec());
        for (bytes, called, port) in packets {
            let side = if called { Side::Called } else { Side::Caller };
            let from = format!("203.0.113.66:{port}");
            let heard = give(&mut relay, 1, (side, Channel::Rtp), &from, &bytes).0;
            prop_assert_eq!(heard, Verdict::Drop(Why::Stranger));
        }
        let heard = give(&mut relay, 2, RTP_OF_CALLER, CALLER, &rtp_of(1, 1)).0;
        prop_assert_eq!(heard, Verdict::Forward(at(CALLED)));
    }

    #[test]
    fn any_bytes_from_the_true_phone_are_carried_or_dropped(
        bytes in prop::collection::vec(any::<u8>(), 0..200), sealed: bool,
    ) {
        let mut spec = spec();
        if sealed {
            spec.caller.keys = Some(Keys { suite: Suite::AesCm128HmacSha1_32, ours: key(1), theirs: Some(key(2)) });
        }
        let mut relay = new(spec);
        let verdict = give(&mut relay, 1, RTP_OF_CALLER, CALLER, &bytes).0;
        prop_assert!(!sealed || matches!(verdict, Verdict::Drop(_)));
    }
}
