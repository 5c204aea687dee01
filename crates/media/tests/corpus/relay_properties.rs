//! What must hold for any packet at an anchored stream, and at SRTP. The fuzz targets `relay` and `srtp` use this file,
//! and the tests here replay their corpora.

use media::datagram::Datagram;
use media::relay::{Channel, End, Keys, Relay, Remote, Side, Spec, Standing, Traffic, Verdict, Why};
use media::srtp::{self, Context, GROWTH_BYTES_MAX, MasterKey, SrtpError, Suite};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const BUFFER_BYTES: usize = 512;

/// One step: what to do, and a packet.
struct Step<'a> {
    what: u8,
    packet: &'a [u8],
}

/// Steps follow one another: what to do, the length of the packet, the packet.
fn steps(bytes: &[u8]) -> impl Iterator<Item = Step<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let ([what, length], after) = rest.split_first_chunk::<2>()?;
        let (packet, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        Some(Step { what: *what, packet })
    })
}

/// A sender and a receiver with one key, who may be killed, and somebody between them. The first byte says the suite.
pub(crate) fn seal(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let suite = if first % 2 == 0 { Suite::AesCm128HmacSha1_80 } else { Suite::AesCm128HmacSha1_32 };
    let key = MasterKey::new([7; 30]);
    let fresh = Context::new(suite, key);
    let (mut sender, mut receiver) = (fresh.clone(), fresh.clone());
    let mut told: Option<[srtp::Standing; 2]> = None;
    let mut used: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for step in steps(rest) {
        let rtcp = step.what & 1 == 1;
        if sender.is_past(told.as_ref().map(|[of_sender, _]| of_sender)) {
            told = Some([sender.standing(), receiver.standing()]);
        }
        if step.what & 2 == 2 && step.packet.is_empty() {
            let resumed = told.as_ref().map(|told| told.each_ref().map(Context::resumed));
            [sender, receiver] = resumed.unwrap_or_else(|| [fresh.clone(), fresh.clone()]);
            sender.leap();
            continue;
        }
        if step.what & 2 == 0 {
            // Whoever has no key is not believed, and changes nothing. (A tag of 32 bits may be guessed.)
            let before = format!("{receiver:?}");
            let heard = opened(&mut receiver, rtcp, step.packet);
            assert!(heard.is_err() || suite == Suite::AesCm128HmacSha1_32);
            assert!(heard.is_ok() || format!("{receiver:?}") == before, "it has learnt from a stranger");
            continue;
        }
        let Ok(sealed) = sealed(&mut sender, rtcp, step.packet) else { continue };
        assert!(sealed.len() > step.packet.len() && sealed.len() <= step.packet.len() + GROWTH_BYTES_MAX);
        if let Some(stream) = key_stream(rtcp, &sealed, step.packet) {
            let before = used.insert(stream, step.packet.to_vec());
            assert!(before.is_none(), "one key stream for two reports");
        }
        let mut damaged = sealed.clone();
        let at = usize::from(step.what >> 2) % damaged.len();
        damaged[at] ^= 1 << (step.what >> 5);
        assert!(opened(&mut receiver, rtcp, &damaged).is_err(), "damaged and believed");
        assert_eq!(opened(&mut receiver, rtcp, &sealed).as_deref(), Ok(step.packet), "it is what was said");
        assert_eq!(opened(&mut receiver, rtcp, &sealed), Err(SrtpError::Replayed));
    }
}

/// What a report was encrypted with, if it is long enough to tell. Speech has the numbers of its source: who kills a
/// member and repeats old numbers with other words may see their key stream twice (DESIGN).
fn key_stream(rtcp: bool, sealed: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 8;
    const TELLING_BYTES: usize = 16;
    let long = rtcp && plain.len() >= HEADER_BYTES + TELLING_BYTES;
    let both = sealed.iter().zip(plain).skip(HEADER_BYTES).take(TELLING_BYTES);
    long.then(|| both.map(|(sealed, plain)| sealed ^ plain).collect())
}

fn sealed(context: &mut Context, rtcp: bool, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    worked(packet, |packet| if rtcp { context.protect_rtcp(packet) } else { context.protect_rtp(packet) })
}

fn opened(context: &mut Context, rtcp: bool, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    worked(packet, |packet| if rtcp { context.unprotect_rtcp(packet) } else { context.unprotect_rtp(packet) })
}

fn worked(
    packet: &[u8],
    work: impl FnOnce(&mut Datagram<'_>) -> Result<(), SrtpError>,
) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = [0; BUFFER_BYTES];
    buffer[..packet.len()].copy_from_slice(packet);
    let mut datagram = Datagram::new(&mut buffer, packet.len());
    work(&mut datagram)?;
    Ok(datagram.bytes().to_vec())
}

/// The sources that packets come from: both phones at their two ports, other ports of their hosts, a stranger.
const SOURCES: [&str; 8] = [
    "192.0.2.1:4000",
    "192.0.2.1:4001",
    "192.0.2.1:4002",
    "192.0.2.2:5000",
    "192.0.2.2:5001",
    "192.0.2.2:5002",
    "203.0.113.66:4000",
    "[2001:db8::66]:4000",
];

/// A stream whose terms the first byte says, and packets from anywhere to any of its ports.
pub(crate) fn relay(bytes: &[u8]) {
    let Some((terms, rest)) = bytes.split_first() else { return };
    let spec = spec(*terms);
    let (mut relay, mut now) = (Relay::new(Duration::ZERO, spec.clone()), Duration::ZERO);
    let mut told = Standing::default();
    for step in steps(rest) {
        told = relay.stands().unwrap_or(told);
        now += Duration::from_millis(u64::from(step.what >> 5) * 20);
        let side = if step.what & 1 == 0 { Side::Caller } else { Side::Called };
        let channel = if step.what & 2 == 0 { Channel::Rtp } else { Channel::Rtcp };
        let from: SocketAddr =
            SOURCES[usize::from(step.what >> 2) % SOURCES.len()].parse().expect("one of ours");
        if step.packet.is_empty() {
            relay = match step.what & 1 {
                0 => restarted(&relay, now),
                _ => Relay::going_on(now, spec.clone(), &told),
            };
            continue;
        }
        let before = relay.traffic();
        let mut buffer = [0; BUFFER_BYTES];
        buffer[..step.packet.len()].copy_from_slice(step.packet);
        let mut packet = Datagram::new(&mut buffer, step.packet.len());
        let verdict = relay.handle(now, (side, channel), from, &mut packet);
        judge(&spec, (side, channel), from, verdict);
        let grown = packet.bytes().len().saturating_sub(step.packet.len());
        assert!(grown <= GROWTH_BYTES_MAX);
        let after = relay.traffic();
        let ((heard, was), (silent, silent_was)) = match side {
            Side::Caller => ((&after.0, &before.0), (&after.1, &before.1)),
            Side::Called => ((&after.1, &before.1), (&after.0, &before.0)),
        };
        assert_eq!(silent, silent_was, "who has said nothing is not counted");
        assert!(counted(heard) > counted(was), "each packet is counted");
    }
}

/// Four bits of terms for each end: keys, not known yet, behind a NAT.
fn spec(terms: u8) -> Spec {
    let suite = Suite::AesCm128HmacSha1_80;
    let end = |bits: u8, local: &str, rtp: &str, rtcp: &str| {
        let (rtp, rtcp): (SocketAddr, SocketAddr) = (rtp.parse().expect("ours"), rtcp.parse().expect("ours"));
        let learn_from = (bits & 4 != 0).then(|| rtp.ip());
        let keys = Keys { suite, ours: MasterKey::new([1; 30]), theirs: Some(MasterKey::new([2; 30])) };
        End {
            local: local.parse().expect("ours"),
            remote: (bits & 2 == 0).then_some(Remote { rtp, rtcp, learn_from }),
            keys: (bits & 1 != 0).then_some(keys),
        }
    };
    Spec {
        caller: end(terms, "198.51.100.9:20000", SOURCES[0], SOURCES[1]),
        called: end(terms >> 4, "198.51.100.9:20002", SOURCES[3], SOURCES[4]),
        opaque: terms & 0x88 == 0x88,
    }
}

fn restarted(relay: &Relay, now: Duration) -> Relay {
    let frozen = serde_json::to_vec(relay).expect("it is frozen");
    let mut thawed: Relay = serde_json::from_slice(&frozen).expect("it is thawed");
    thawed.resumed(now);
    assert_eq!(thawed.traffic(), relay.traffic());
    thawed
}

fn judge(spec: &Spec, (side, channel): (Side, Channel), from: SocketAddr, verdict: Verdict) {
    let (speaker, hearer) = (spec.end(side), spec.end(side.other()));
    let address = |remote: Remote| match channel {
        Channel::Rtp => remote.rtp,
        Channel::Rtcp => remote.rtcp,
    };
    let may_be = |remote: Remote, at: SocketAddr| match remote.learn_from {
        Some(host) => at.ip() == host,
        None => at == address(remote),
    };
    let from_elsewhere = !speaker.remote.is_some_and(|remote| may_be(remote, from));
    match verdict {
        Verdict::Forward(to) => {
            assert!(!from_elsewhere, "a stranger is heard");
            assert!(hearer.remote.is_some_and(|remote| may_be(remote, to)), "a stranger is spoken to");
            assert!(speaker.keys.is_none() || spec.opaque, "nobody here has the key");
            assert_ne!(to.ip(), IpAddr::from([203, 0, 113, 66]));
        }
        Verdict::Drop(Why::TooEarly) => assert!(speaker.remote.is_none()),
        Verdict::Drop(Why::Stranger) => {}
        Verdict::Drop(_) => assert!(!from_elsewhere, "a stranger is told apart from nobody else"),
    }
}

fn counted(traffic: &Traffic) -> u64 {
    traffic.packets + traffic.dropped.values().sum::<u64>()
}
