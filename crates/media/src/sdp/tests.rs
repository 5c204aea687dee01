//! Descriptions as phones send them, and as nobody should.

use super::*;
use proptest::prelude::*;

/// A phone's offer as it comes (with a video stream and lines we only keep).
const OFFER: &str = "v=0\r\no=- 20518 20518 IN IP4 192.0.2.1\r\ns=A call\r\nc=IN IP4 192.0.2.1\r\nb=AS:84\r\n\
t=0 0\r\na=tool:phone\r\nm=audio 49170 RTP/AVP 9 8 0 96\r\nb=TIAS:64000\r\na=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=rtcp:53020\r\na=ptime:30\r\na=sendonly\r\n\
m=video 51372 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\n";

fn local(codecs: &[Codec]) -> Local {
    Local {
        session_id: 7,
        version: 1,
        address: "198.51.100.9:4000".parse().unwrap(),
        codecs: codecs.to_vec(),
        direction: Direction::SendRecv,
    }
}

#[test]
fn rfc_8866_an_offer_is_read_and_printed_as_it_was() {
    let offer = Session::parse(OFFER.as_bytes()).unwrap();
    assert_eq!(offer.to_string(), OFFER);
    let audio = offer.audio().unwrap();
    assert_eq!(offer.address_of(audio), Some("192.0.2.1:49170".parse().unwrap()));
    assert_eq!(offer.address_of(&offer.media[1]), Some("[2001:db8::2]:51372".parse().unwrap()));
    assert_eq!((audio.ptime_ms(), audio.rtcp_port()), (Some(30), Some(53020)));
    assert_eq!(offer.direction_of(audio), Direction::SendOnly);
    assert_eq!(audio.rtpmap(0).map(|map| map.name).as_deref(), Some("PCMU"));
}

#[test]
fn rfc_3264_an_answer_takes_the_offers_first_common_codec_and_refuses_the_rest() {
    let offer = Session::parse(OFFER.as_bytes()).unwrap();
    let (answer, agreed) = answer(&offer, &local(&[Codec::Pcmu, Codec::Pcma])).unwrap();
    let expected = Negotiated {
        remote: "192.0.2.1:49170".parse().unwrap(),
        codec: Codec::Pcma,
        payload_type: 8,
        event_payload_type: Some(96),
        direction: Direction::RecvOnly,
    };
    assert_eq!(agreed, expected);
    let text = answer.to_string();
    assert!(text.contains("m=audio 4000 RTP/AVP 8 96\r\n") && text.contains("a=recvonly\r\n"), "{text}");
    assert!(text.contains("m=video 0 RTP/AVP 99\r\n"), "{text}");
    let refusal = super::answer(&offer, &local(&[])).unwrap_err();
    assert_eq!(refusal, NegotiationError::NoCommonCodec);
}

#[test]
fn our_own_offer_is_answered_and_accepted() {
    let (caller, called) = (local(&[Codec::Pcma, Codec::Pcmu]), local(&[Codec::Pcmu]));
    let offer = Session::parse(offer(&caller).to_string().as_bytes()).unwrap();
    let (answer, theirs) = answer(&offer, &called).unwrap();
    let ours = accept_answer(&Session::parse(answer.to_string().as_bytes()).unwrap(), &caller).unwrap();
    assert_eq!((ours.codec, theirs.codec), (Codec::Pcmu, Codec::Pcmu));
    assert_eq!((ours.event_payload_type, ours.direction), (Some(101), Direction::SendRecv));
}

#[test]
fn rfc_3264_a_held_stream_is_answered_in_reverse() {
    for (offered, answered) in [
        (Direction::SendRecv, Direction::SendRecv),
        (Direction::SendOnly, Direction::RecvOnly),
        (Direction::RecvOnly, Direction::SendOnly),
        (Direction::Inactive, Direction::Inactive),
    ] {
        assert_eq!(Direction::SendRecv.limited_by(offered), answered);
        assert_eq!(offered.reversed(), answered);
    }
}

#[test]
fn what_is_no_description_is_refused_with_its_line() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";
    for (tail, line) in [("m=audio x RTP/AVP 0\r\n", 4), ("nonsense\r\n", 4), ("t=0 0\r\nc=IN IP4\r\n", 5)] {
        assert_eq!(Session::parse(format!("{head}{tail}").as_bytes()), Err(SdpError::Line { line }));
    }
    assert_eq!(Session::parse(b"o=- 1 1 IN IP4 h\r\ns=-\r\n"), Err(SdpError::Missing('v')));
    assert_eq!(Session::parse(&[0xff]), Err(SdpError::NotText));
    assert_eq!(Session::parse(&vec![b'a'; SDP_BYTES_MAX + 1]), Err(SdpError::TooLarge));
    let many = head.to_owned() + &"m=audio 1 RTP/AVP 0\r\n".repeat(MEDIA_MAX + 1);
    assert_eq!(Session::parse(many.as_bytes()), Err(SdpError::TooLarge));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Session::parse(&bytes);
    }

    /// Descriptions with lines lost, doubled and damaged: no panic, and what is read prints to itself.
    #[test]
    fn a_damaged_description_that_is_read_prints_to_itself(
        picks in prop::collection::vec(0..19usize, 0..30),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let lines: Vec<&str> = OFFER.lines().collect();
        let mut text: Vec<u8> = ["v=0", "o=- 1 1 IN IP4 h", "s=-"].join("\r\n").into_bytes();
        for pick in picks {
            text.extend(b"\r\n");
            text.extend(lines.get(pick).copied().unwrap_or("a=x").bytes());
        }
        if let Some((place, byte)) = damage {
            let place = place.index(text.len());
            text[place] = byte;
        }
        if let Ok(session) = Session::parse(&text) {
            let again = Session::parse(session.to_string().as_bytes()).unwrap();
            prop_assert_eq!(again.to_string(), session.to_string());
            let _ = answer(&session, &local(&[Codec::Pcma]));
        }
    }
}
