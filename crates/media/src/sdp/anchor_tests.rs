//! What a phone is shown of the other one's description when media come through us, and whose keys are whose.

use super::*;
use crate::srtp::{MasterKey, Suite};
use proptest::prelude::*;

/// A softphone's offer: SRTP, ICE, a video stream.
const OFFER: &str = "v=0\r\no=alice 7 8 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 10.0.0.5\r\nt=0 0\r\na=ice-ufrag:abcd\r\n\
a=group:BUNDLE 0 1\r\nm=audio 7078 RTP/SAVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp:7090\r\n\
a=candidate:1 1 UDP 2130706431 10.0.0.5 7078 typ host\r\n\
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31\r\n\
a=crypto:2 AEAD_AES_256_GCM inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n\
a=crypto:3 AES_CM_128_HMAC_SHA1_32 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\r\n\
m=video 7080 RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";

fn anchored(place: Placed) -> Session {
    let mut session = Session::parse(OFFER.as_bytes()).unwrap();
    let origin = Origin { user: "-".to_owned(), id: 1, version: 2, host: "198.51.100.9".to_owned() };
    session.anchor(origin, "198.51.100.9".parse().unwrap(), [place]);
    session
}

#[test]
fn imp_29_an_anchored_description_names_us_and_no_way_around_us() {
    let text = anchored(Placed::Here(20_000)).to_string();
    for gone in ["10.0.0.5", "candidate", "ice-", "a=rtcp:", "BUNDLE", "alice"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
    assert!(text.contains("c=IN IP4 198.51.100.9\r\n") && text.contains("m=audio 20000 RTP/SAVP 8 101\r\n"));
    assert!(text.contains("a=rtpmap:101 telephone-event/8000\r\n") && text.contains("|2^31\r\n"), "{text}");
    assert!(text.contains("m=video 0 RTP/SAVPF 96\r\n"), "{text}");
}

#[test]
fn rfc4568_a_bridged_description_has_our_keys_or_none() {
    let plain = anchored(Placed::Plain(20_000)).to_string();
    assert!(plain.contains("m=audio 20000 RTP/AVP 8 101\r\n") && !plain.contains("crypto"), "{plain}");
    let ours = Crypto { tag: 1, suite: Suite::AesCm128HmacSha1_32, key: MasterKey::new([1; 30]) };
    let sealed = anchored(Placed::Sealed(20_000, vec![ours.clone()])).to_string();
    let read = Session::parse(sealed.as_bytes()).unwrap();
    assert_eq!(read.media[0].cryptos().collect::<Vec<_>>(), [ours]);
    assert!(!sealed.contains("d0Rm"), "{sealed}");
}

#[test]
fn rfc4568_a_line_we_cannot_do_in_full_is_left_aside() {
    let session = Session::parse(OFFER.as_bytes()).unwrap();
    let lines: Vec<Crypto> = session.media[0].cryptos().collect();
    assert_eq!(lines.iter().map(|line| line.tag).collect::<Vec<_>>(), [1]);
    let key = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
    for refused in [
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key} UNENCRYPTED_SRTP"),
        format!("1 AES_CM_128_HMAC_SHA1_80 inline:{key};inline:{key}"),
        "1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=".to_owned(),
        format!("9999999999 AES_CM_128_HMAC_SHA1_80 inline:{key}"),
    ] {
        assert_eq!(Crypto::parse(&refused), None, "{refused}");
    }
    assert!(Crypto::parse(&format!("7 aes_cm_128_hmac_sha1_32 inline:{key}|2^20 WSH=128")).is_some());
}

#[test]
fn rfc3605_where_rtcp_goes() {
    let of = |lines: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 8\r\n{lines}"
        );
        let session = Session::parse(text.as_bytes()).unwrap();
        session.addresses_of(&session.media[0]).map(|(_, rtcp)| rtcp.port())
    };
    assert_eq!((of(""), of("a=rtcp:4400\r\n"), of("a=rtcp-mux\r\n")), (Some(4001), Some(4400), Some(4000)));
    assert_eq!(of("c=IN IP4 0.0.0.0\r\n"), None);
}

#[test]
fn a_glance_sees_address_and_keys() {
    let seen = glance(OFFER.as_bytes());
    assert_eq!(seen, Glance { address: "10.0.0.5".parse().ok(), srtp: true, keys: true });
    let held = glance(b"c=IN IP4 0.0.0.0\r\nm=audio 0 RTP/SAVP 8\r\n");
    assert_eq!(held, Glance::default());
}

proptest! {
    /// What a glance says is what the reading says, for whatever is read.
    #[test]
    fn a_glance_agrees_with_the_reading(picks in prop::collection::vec(0..16usize, 0..20)) {
        let lines: Vec<&str> = OFFER.lines().skip(3).collect();
        let mut text = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n".to_owned();
        for pick in picks {
            text.extend([lines.get(pick).copied().unwrap_or("c=IN IP6 2001:db8::1"), "\r\n"]);
        }
        let Ok(session) = Session::parse(text.as_bytes()) else { return Ok(()) };
        let srtp = session.media.iter().any(|media| media.profile() == Profile::Srtp && media.port != 0);
        prop_assert_eq!(glance(text.as_bytes()).srtp, srtp);
    }
}
