//! What must hold for any session description and any packet. The fuzz target `media` uses this file, and the test
//! here replays its corpus.

use media::rtp::{Packet, is_rtcp};
use media::sdp::{Codec, Direction, Local, Session, accept_answer, answer, offer};
use media::telephone_event::{Collector, Event};

/// The first byte says what the rest is.
pub(crate) fn hear(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'r', rest)) => packets(rest),
        Some((_, rest)) => description(rest),
        None => {}
    }
}

/// What is read prints to the same description, and can be answered or is refused.
fn description(bytes: &[u8]) {
    let Ok(session) = Session::parse(bytes) else { return };
    let printed = session.to_string();
    // Lines that stand in an unusual order are put in the usual one.
    let again = Session::parse(printed.as_bytes()).expect("what we print we read");
    assert_eq!((again.to_string(), &again.media.len()), (printed, &session.media.len()));
    for media in &session.media {
        let _ = (session.address_of(media), session.direction_of(media), media.rtcp_port(), media.ptime_ms());
        let _ = media.payload_types().filter_map(|kind| media.rtpmap(kind)).count();
    }
    let local = Local {
        session_id: 1,
        version: 1,
        address: "192.0.2.1:4000".parse().expect("an address"),
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        direction: Direction::default(),
    };
    if let Ok((ours, agreed)) = answer(&session, &local) {
        assert_eq!(ours.media.len(), session.media.len(), "every section is answered");
        let printed = Session::parse(ours.to_string().as_bytes()).expect("what we print we read");
        assert_eq!(printed.media, ours.media);
        assert!(agreed.remote.port() > 0);
    }
    let _ = (offer(&local), accept_answer(&session, &local));
}

/// A stream of packets, each behind its length in one byte.
fn packets(mut bytes: &[u8]) {
    let mut keys = Collector::default();
    while let Some((length, rest)) = bytes.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = rest;
        let _ = is_rtcp(packet);
        let Ok(packet) = Packet::parse(packet) else { continue };
        assert!(packet.payload.len() < 256);
        let again = packet.header.packet(packet.payload);
        assert_eq!(Packet::parse(&again), Ok(packet));
        let _ = Event::parse(packet.payload);
        let _ = keys.take(packet.header.timestamp, packet.payload);
    }
    assert!(keys.digits().len() <= 4_096);
}
