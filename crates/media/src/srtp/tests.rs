//! RFC 3711 appendix B, the vectors every implementation is checked against, and what an attacker would try.

use super::*;
use proptest::prelude::*;

const MASTER: &str = "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6";
const RTP: &str = "800f1234decafbadcafebabeabababababababababababababababab";
const SRTP_80: &str = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb";
const RTCP: &str = "81c8000bcafebabeabababababababababababababababab";
const SRTCP: &str = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn context(suite: Suite) -> Context {
    Context::new(suite, MasterKey::new(bytes(MASTER).try_into().unwrap()))
}

type Work = fn(&mut Context, &mut Datagram<'_>) -> Result<(), SrtpError>;

/// What becomes of a packet.
fn done(context: &mut Context, work: Work, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = [0; 2_048];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut datagram = Datagram::new(&mut buffer, packet.len());
    work(context, &mut datagram)?;
    Ok(datagram.bytes().to_vec())
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut report = bytes(RTCP);
    report[4..8].copy_from_slice(&ssrc.to_be_bytes());
    report
}

fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let header = rtp::Header { marker: false, payload_type: 8, sequence, timestamp: 7, ssrc };
    header.packet(&[0xd5; 160])
}

#[test]
fn rfc3711_b2_the_key_stream() {
    let key: [u8; 16] = bytes("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
    let iv: [u8; 16] = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000").try_into().unwrap();
    let mut stream = [0; 48];
    key_stream(&Aes128::new(&key.into()), iv, &mut stream);
    let expected =
        "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0";
    assert_eq!(stream.to_vec(), bytes(expected));
}

#[test]
fn rfc3711_b3_the_session_keys() {
    let master = MasterKey::new(bytes(MASTER).try_into().unwrap());
    let of = |label, length| {
        let mut out = vec![0; length];
        derived(&master, label, &mut out);
        out
    };
    assert_eq!(of(0, 16), bytes("c61e7a93744f39ee10734afe3ff7a087"));
    assert_eq!(of(2, 14), bytes("30cbbc08863d8c85d49db34a9ae1"));
    assert_eq!(of(1, 20), bytes("cebe321f6ff7716b6fd4ab49af256a156d38baa4"));
}

#[test]
fn rfc3711_a_packet_is_protected_as_others_do_it_and_read_back() {
    let suite = Suite::AesCm128HmacSha1_80;
    let sealed = done(&mut context(suite), Context::protect_rtp, &bytes(RTP)).unwrap();
    assert_eq!(sealed, bytes(SRTP_80));
    assert_eq!(done(&mut context(suite), Context::unprotect_rtp, &sealed), Ok(bytes(RTP)));
    let sealed = done(&mut context(suite), Context::protect_rtcp, &bytes(RTCP)).unwrap();
    assert_eq!(sealed, bytes(SRTCP));
    assert_eq!(done(&mut context(suite), Context::unprotect_rtcp, &sealed), Ok(bytes(RTCP)));
}

#[test]
fn rfc4568_the_short_tag_is_on_rtp_alone() {
    let suite = Suite::AesCm128HmacSha1_32;
    let sealed = done(&mut context(suite), Context::protect_rtp, &bytes(RTP)).unwrap();
    assert_eq!(sealed, bytes(SRTP_80)[..32]);
    let sealed = done(&mut context(suite), Context::protect_rtcp, &bytes(RTCP)).unwrap();
    assert_eq!(sealed, bytes(SRTCP));
}

#[test]
fn rfc3711_the_roll_over_counter_goes_on_behind_65535() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sender, mut receiver) = (context(suite), context(suite));
    let mut again = context(suite);
    for sequence in (65_500..=65_535).chain(0..40) {
        let plain = packet(9, sequence);
        let sealed = done(&mut sender, Context::protect_rtp, &plain).unwrap();
        assert_eq!(done(&mut receiver, Context::unprotect_rtp, &sealed), Ok(plain.clone()));
        if sequence < 40 {
            // Who begins to listen now counts from zero and hears nothing: the counter is part of the proof.
            let late = done(&mut again, Context::unprotect_rtp, &sealed);
            assert_eq!(late, Err(SrtpError::Unauthentic));
        }
    }
    // One that came late, from before the turn.
    let (mut sender, mut receiver) = (context(suite), context(suite));
    let sealed: Vec<_> = [65_534, 65_535, 0, 1]
        .map(|sequence| done(&mut sender, Context::protect_rtp, &packet(9, sequence)).unwrap())
        .into();
    for at in [0, 2, 1, 3] {
        assert!(done(&mut receiver, Context::unprotect_rtp, &sealed[at]).is_ok());
    }
}

#[test]
fn threat_14_a_forged_or_repeated_packet_is_dropped_and_teaches_nothing() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sender, mut receiver) = (context(suite), context(suite));
    let first = done(&mut sender, Context::protect_rtp, &packet(9, 1)).unwrap();
    assert!(done(&mut receiver, Context::unprotect_rtp, &first).is_ok());
    assert_eq!(done(&mut receiver, Context::unprotect_rtp, &first), Err(SrtpError::Replayed));
    // A jump ahead without the key must not move the window.
    let mut forged = done(&mut sender, Context::protect_rtp, &packet(9, 30_000)).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(done(&mut receiver, Context::unprotect_rtp, &forged), Err(SrtpError::Unauthentic));
    let mut sender = context(suite);
    let second = done(&mut sender, Context::protect_rtp, &packet(9, 2)).unwrap();
    assert!(done(&mut receiver, Context::unprotect_rtp, &second).is_ok());
    let report = done(&mut sender, Context::protect_rtcp, &bytes(RTCP)).unwrap();
    assert!(done(&mut receiver, Context::unprotect_rtcp, &report).is_ok());
    assert_eq!(done(&mut receiver, Context::unprotect_rtcp, &report), Err(SrtpError::Replayed));
}

#[test]
fn a_key_stream_is_never_used_twice() {
    let mut sender = context(Suite::AesCm128HmacSha1_80);
    assert!(done(&mut sender, Context::protect_rtp, &packet(9, 5)).is_ok());
    assert_eq!(done(&mut sender, Context::protect_rtp, &packet(9, 5)), Err(SrtpError::Replayed));
    for ssrc in 1..u32::try_from(SOURCES_MAX).unwrap() {
        assert!(done(&mut sender, Context::protect_rtp, &packet(100 + ssrc, 5)).is_ok());
    }
    assert_eq!(done(&mut sender, Context::protect_rtp, &packet(7, 5)), Err(SrtpError::Sources));
}

#[test]
fn a_context_goes_on_after_a_restart_where_it_stood() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sender, mut receiver) = (context(suite), context(suite));
    for sequence in (65_530..=65_535).chain(0..3) {
        let sealed = done(&mut sender, Context::protect_rtp, &packet(9, sequence)).unwrap();
        done(&mut receiver, Context::unprotect_rtp, &sealed).unwrap();
    }
    let over = |context: &Context| -> Context {
        serde_json::from_slice(&serde_json::to_vec(context).unwrap()).unwrap()
    };
    let (mut sender, mut receiver) = (over(&sender), over(&receiver));
    let sealed = done(&mut sender, Context::protect_rtp, &packet(9, 3)).unwrap();
    assert!(done(&mut receiver, Context::unprotect_rtp, &sealed).is_ok());
    assert_eq!(done(&mut sender, Context::protect_rtp, &packet(9, 2)), Err(SrtpError::Replayed));
}

/// What is left of a context when its process is killed: the standing it told last.
fn killed(told: &Standing) -> Context {
    Context::resumed(&serde_json::from_slice(&serde_json::to_vec(told).unwrap()).unwrap())
}

/// Brings both into the fourth round: roll-over counter 3.
fn into_round_three(sender: &mut Context, receiver: &mut Context) {
    for step in 0..=13u32 {
        let plain = packet(9, u16::try_from(step * 16_000 % 65_536).unwrap());
        let sealed = done(sender, Context::protect_rtp, &plain).unwrap();
        done(receiver, Context::unprotect_rtp, &sealed).unwrap();
    }
    assert_eq!(sender.sources[0].rtp.highest(), Some(3 << 16 | 11_392));
}

#[test]
fn rfc3711_3_3_1_sound_goes_on_in_round_three_from_a_standing_of_32767_packets_ago() {
    let suite = Suite::AesCm128HmacSha1_80;
    for ahead in [1, 127, 128, 16_384, (1 << 15) - 1] {
        let (mut sender, mut receiver) = (context(suite), context(suite));
        into_round_three(&mut sender, &mut receiver);
        let plain = packet(9, 11_392u16.wrapping_add(ahead));
        // The side that was killed seals: who has heard all of it understands.
        let (told, heard) = (sender.standing(), receiver.standing());
        let mut again = killed(&told);
        again.leap();
        let sealed = done(&mut again, Context::protect_rtp, &plain).unwrap();
        assert_eq!(done(&mut receiver, Context::unprotect_rtp, &sealed), Ok(plain.clone()));
        // The side that was killed hears: it understands who went on.
        let sealed = done(&mut sender, Context::protect_rtp, &plain).unwrap();
        let mut again = killed(&heard);
        assert_eq!(done(&mut again, Context::unprotect_rtp, &sealed), Ok(plain));
        assert_eq!(done(&mut again, Context::unprotect_rtp, &sealed), Err(SrtpError::Replayed));
    }
}

#[test]
fn rfc3711_3_3_2_a_killed_receiver_takes_nothing_from_before_its_first_packet() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sender, mut receiver) = (context(suite), context(suite));
    let sealed: Vec<_> =
        (1..40).map(|number| done(&mut sender, Context::protect_rtp, &packet(9, number)).unwrap()).collect();
    for packet in &sealed[..10] {
        done(&mut receiver, Context::unprotect_rtp, packet).unwrap();
    }
    let report = done(&mut sender, Context::protect_rtcp, &bytes(RTCP)).unwrap();
    done(&mut receiver, Context::unprotect_rtcp, &report).unwrap();
    let mut receiver = killed(&receiver.standing());
    assert!(done(&mut receiver, Context::unprotect_rtp, &sealed[30]).is_ok());
    for packet in &sealed[..31] {
        assert_eq!(done(&mut receiver, Context::unprotect_rtp, packet), Err(SrtpError::Replayed));
    }
    assert_eq!(done(&mut receiver, Context::unprotect_rtcp, &report), Err(SrtpError::Replayed));
    // From now on disorder is as harmless as ever.
    for at in [33, 31, 32] {
        assert!(done(&mut receiver, Context::unprotect_rtp, &sealed[at]).is_ok());
    }
}

#[test]
fn a_standing_is_due_at_first_and_then_each_16384_packets_or_1024_reports() {
    let mut sender = context(Suite::AesCm128HmacSha1_80);
    assert!(!sender.is_past(None), "nothing has been said");
    done(&mut sender, Context::protect_rtp, &packet(9, 100)).unwrap();
    assert!(sender.is_past(None));
    let told = sender.standing();
    for (number, due) in [(101, false), (100 + 16_383, false), (100 + 16_384, true)] {
        done(&mut sender, Context::protect_rtp, &packet(9, number)).unwrap();
        assert_eq!(sender.is_past(Some(&told)), due, "{number}");
    }
    for ssrc in [9, 10] {
        let told = sender.standing();
        done(&mut sender, Context::protect_rtcp, &report(ssrc)).unwrap();
        assert!(sender.is_past(Some(&told)), "the first report of {ssrc}");
        let told = sender.standing();
        for number in 1..=1_024 {
            done(&mut sender, Context::protect_rtcp, &report(ssrc)).unwrap();
            assert_eq!(sender.is_past(Some(&told)), number == 1_024, "{number}");
        }
    }
    let other = Context::new(Suite::AesCm128HmacSha1_80, MasterKey::new([1; 30]));
    assert!(!sender.is_past(Some(&sender.standing())) && sender.is_past(Some(&other.standing())));
}

#[test]
fn keys_are_not_shown() {
    let context = context(Suite::AesCm128HmacSha1_80);
    let shown = format!("{context:?} {:?}", MasterKey::new([0xab; 30]));
    assert!(!shown.contains("171") && !shown.contains("q6ur"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_dropped_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut context = context(Suite::AesCm128HmacSha1_80);
        prop_assert!(done(&mut context, Context::unprotect_rtp, &bytes).is_err());
        prop_assert!(done(&mut context, Context::unprotect_rtcp, &bytes).is_err());
    }

    /// Whatever is lost, doubled and reordered within the window: what arrives is what was sent, once.
    #[test]
    fn rfc3711_loss_and_disorder_are_survived(
        start: u16,
        lost in prop::collection::vec(prop::bool::weighted(0.2), 300),
        swaps in prop::collection::vec(0..60usize, 40),
    ) {
        let suite = Suite::AesCm128HmacSha1_80;
        let (mut sender, mut receiver) = (context(suite), context(suite));
        let mut sealed = Vec::new();
        for (step, lost) in (0u16..).zip(&lost) {
            let plain = packet(9, start.wrapping_add(step));
            let packet = done(&mut sender, Context::protect_rtp, &plain).unwrap();
            if !lost || step == 0 {
                sealed.push((plain, packet));
            }
        }
        // Within sixty packets order is anybody's guess.
        for (at, swap) in (1..sealed.len()).step_by(5).zip(swaps) {
            let other = (at / 60 * 60 + swap).clamp(1, sealed.len() - 1);
            sealed.swap(at, other);
        }
        for (plain, packet) in &sealed {
            prop_assert_eq!(done(&mut receiver, Context::unprotect_rtp, packet), Ok(plain.clone()));
        }
    }
}
