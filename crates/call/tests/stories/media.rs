//! Where the sound of a call goes: from phone to phone, or through the member, and who may overhear it.

use crate::phone::Phone;
use crate::pick_up::{picks_up, watched};
use crate::transfer::consults;
use crate::world::{World, told};
use call::{CallMedia, Input, MediaPath};
use media::datagram::Datagram;
use media::relay::{self, Channel, Relay, Remote, Report, Spec, Standing, StreamId, Verdict};
use media::rtp;
use media::sdp::{Profile, Session};
use media::srtp::Context;
use model::Cause;
use sip::{Method, Name, Transport};
use std::time::Duration;

const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

fn description(address: &str, port: u16, lines: &str) -> String {
    format!(
        "v=0\r\no=- 7 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\n{lines}"
    )
}

fn sealed(address: &str, port: u16, tag: u32) -> String {
    let crypto = format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n");
    description(address, port, &crypto).replace("RTP/AVP", "RTP/SAVP")
}

/// A phone with words that mean something, at its own address.
fn describe(phone: &mut Phone, lines: &str) {
    let address = phone.edge_flow().remote.ip().to_string();
    phone.exact_words = Some(description(&address, 4_000, lines));
}

/// It is behind a NAT: it comes from elsewhere than it believes to be.
fn natted(world: &mut World, number: &str) {
    let phone = world.phone(number);
    phone.inside_address = Some([10, 66, 0, 5]);
    phone.come_from([203, 0, 113, 7]);
    phone.register(3_600);
    world.wait_ms(100);
    assert!(world.phone(number).registered);
    world.phone(number).exact_words = Some(description("10.66.0.5", 4_000, ""));
}

fn secure(world: &mut World, number: &str) {
    world.plug_in(number, Transport::Tls);
    world.phone(number).register(3_600);
    world.wait_ms(100);
    assert!(world.phone(number).registered);
}

fn seen(world: &mut World, number: &str) -> Session {
    let body = world.phone(number).last_body.clone();
    Session::parse(&body)
        .unwrap_or_else(|fault| panic!("{number} sees {}: {fault}", String::from_utf8_lossy(&body)))
}

fn only_stream(world: &World) -> Spec {
    assert_eq!(world.streams.len(), 1, "{:?}", world.streams);
    world.streams.values().next().unwrap().clone()
}

fn talk(world: &mut World, caller: &str, called: &str) {
    world.phone(caller).call(called);
    world.wait_ms(200);

    world.phone(called).answer();
    world.wait_ms(200);
    assert!(world.phone(caller).heard("200"), "{caller} hears {:?}", world.phone(caller).heard);
}

fn hang_up(world: &mut World, number: &str) -> CallMedia {
    world.phone(number).hang_up();
    world.wait_ms(200);
    let media = world.one_record(Cause::NormalClearing).media.clone();
    world.all_idle();
    media
}

#[test]
fn imp_29_voice_between_two_ip_ends_does_not_pass_through_the_call_server() {
    for (caller, called) in [("2001", "2002"), ("2101", "2102"), ("2001", "2101"), ("2101", "2201")] {
        told(|world| {
            describe(world.phone(caller), "a=candidate:1 1 UDP 1 192.168.0.7 4000 typ host\r\n");
            describe(world.phone(called), "");
            talk(world, caller, called);
            for (one, other) in [(caller, called), (called, caller)] {
                let said = world.phone(other).exact_words.clone().unwrap();
                assert_eq!(String::from_utf8_lossy(&world.phone(one).last_body), said, "untouched");
            }
            assert!(world.streams.is_empty());
            let media = hang_up(world, caller);
            assert_eq!((media.path, media.caller_encrypted, media.traffic), (MediaPath::Direct, false, None));
        });
    }
}

#[test]
fn a_phone_behind_a_nat_is_heard_through_its_member_and_nowhere_else() {
    for (caller, called) in [("2101", "2102"), ("2102", "2101")] {
        told(|world| {
            natted(world, "2102");
            describe(world.phone("2101"), "");
            talk(world, caller, called);
            for number in [caller, called] {
                let shown = seen(world, number);
                assert_eq!(shown.connection, "10.0.1.1".parse().ok(), "{number} is shown the member");
                assert_eq!(shown.origin.host, "10.0.1.1");
                assert!((20_000..30_000).contains(&shown.media[0].port));
                assert_eq!(shown.media[0].formats, ["8", "101"], "digits pass");
            }
            let stream = only_stream(world);
            let (inside, outside) = if caller == "2102" {
                (&stream.caller, &stream.called)
            } else {
                (&stream.called, &stream.caller)
            };
            let learnt = inside.remote.unwrap();
            assert_eq!(learnt.learn_from, "203.0.113.7".parse().ok());
            let strict = Remote {
                rtp: "192.168.1.7:4000".parse().unwrap(),
                rtcp: "192.168.1.7:4001".parse().unwrap(),
                learn_from: None,
            };
            assert_eq!(outside.remote, Some(strict));
            let media = hang_up(world, caller);
            let traffic = media.traffic.unwrap();
            assert_eq!(media.path, MediaPath::Anchored);
            assert_eq!((traffic.caller.packets, traffic.called.packets), (100, 200));
        });
    }
}

#[test]
fn hold_and_resume_of_an_anchored_call_move_its_stream_and_keep_its_ports() {
    told(|world| {
        natted(world, "2102");
        describe(world.phone("2101"), "");
        talk(world, "2101", "2102");
        let before = only_stream(world);
        world.phone("2101").exact_words = Some(description("0.0.0.0", 4_000, "a=inactive\r\n"));
        world.phone("2101").hold();
        world.wait_ms(200);
        let held = only_stream(world);
        assert_eq!((held.caller.remote, held.caller.local), (None, before.caller.local));
        assert!(String::from_utf8_lossy(&world.phone("2102").last_body).contains("a=inactive"));
        world.phone("2101").exact_words = Some(description("192.168.1.7", 4_400, ""));
        world.phone("2101").resume();
        world.wait_ms(200);
        let resumed = only_stream(world);
        assert_eq!(resumed.caller.remote.unwrap().rtp, "192.168.1.7:4400".parse().unwrap());
        assert_eq!(resumed.called, before.called, "what was learnt of the other side stays");
        let versions = seen(world, "2102").origin.version;
        assert_eq!(versions, 3, "RFC 3264 § 8: offer, hold, resume");
        hang_up(world, "2102");
    });
}

#[test]
fn rfc3261_a_late_offer_is_anchored_too() {
    told(|world| {
        natted(world, "2102");
        describe(world.phone("2101"), "");
        world.phone("2101").call_late_offer("2102");
        world.wait_ms(200);
        world.phone("2102").answer();
        world.wait_ms(200);
        assert_eq!(seen(world, "2101").connection, "10.0.1.1".parse().ok());
        assert_eq!(seen(world, "2102").connection, "10.0.1.1".parse().ok());
        let stream = only_stream(world);
        assert!(stream.caller.remote.is_some() && stream.called.remote.is_some());
        hang_up(world, "2101");
    });
}

#[test]
fn rfc4568_srtp_to_a_phone_without_tls_ends_at_the_member() {
    told(|world| {
        secure(world, "2101");
        world.phone("2101").exact_words = Some(sealed("192.168.1.7", 4_000, 1));
        describe(world.phone("2102"), "");
        talk(world, "2101", "2102");
        let offer = seen(world, "2102");
        assert_eq!(offer.media[0].profile(), Profile::Rtp);
        assert_eq!(offer.media[0].attribute("crypto"), None, "no key travels readable");
        let answer = seen(world, "2101");
        let ours = answer.media[0].cryptos().next().unwrap();
        assert_eq!((answer.media[0].profile(), ours.tag), (Profile::Srtp, 1));
        let stream = only_stream(world);
        let keys = stream.caller.keys.unwrap();
        assert_eq!((keys.ours, keys.theirs.unwrap().to_base64()), (ours.key, KEY.to_owned()));
        assert_eq!(stream.called.keys, None);
        let media = hang_up(world, "2101");
        assert_eq!((media.caller_encrypted, media.called_encrypted), (true, false));
    });
}

#[test]
fn rfc4568_a_phone_that_insists_on_srtp_is_asked_again_and_bridged() {
    told(|world| {
        secure(world, "2102");
        world.phone("2102").keying = Some("RTP/SAVP");
        world.phone("2102").exact_words = Some(sealed("192.168.1.7", 5_000, 2));
        describe(world.phone("2101"), "");
        talk(world, "2101", "2102");
        assert_eq!(world.phone("2102").times("INVITE"), 2);
        let offer = seen(world, "2102");
        let offered: Vec<_> = offer.media[0].cryptos().collect();
        assert_eq!((offer.media[0].profile(), offered.len()), (Profile::Srtp, 2));
        assert_eq!(seen(world, "2101").media[0].profile(), Profile::Rtp);
        let stream = only_stream(world);
        assert_eq!(stream.caller.keys, None);
        // The phone's answer names tag 2 with the suite of tag 1: no line of ours, so nothing is unsealed.
        assert_eq!(stream.called.keys, None);
        world.phone("2102").exact_words = Some(sealed("192.168.1.7", 5_000, 1));
        world.phone("2102").inside(Method::Invite, Some("again"));
        world.wait_ms(200);
        let keys = only_stream(world).called.keys.unwrap();
        assert_eq!(keys.theirs.unwrap().to_base64(), KEY);
        let media = hang_up(world, "2101");
        assert_eq!((media.caller_encrypted, media.called_encrypted), (false, true));
    });
}

#[test]
fn srtp_between_two_tls_phones_passes_end_to_end() {
    told(|world| {
        for (number, tag) in [("2101", 1), ("2102", 1)] {
            secure(world, number);
            world.phone(number).exact_words = Some(sealed("192.168.1.7", 4_000, tag));
        }
        talk(world, "2101", "2102");
        assert!(world.streams.is_empty());
        let media = hang_up(world, "2101");
        assert_eq!(
            (media.path, media.caller_encrypted, media.called_encrypted),
            (MediaPath::Direct, true, true)
        );
    });
}

#[test]
fn rfc4568_keys_over_signalling_without_tls_are_refused_with_the_reason() {
    told(|world| {
        world.phone("2101").exact_words = Some(sealed("192.168.1.7", 4_000, 1));
        world.phone("2101").call("2102");
        world.wait_ms(200);
        assert!(world.phone("2101").heard("488/88"), "{:?}", world.phone("2101").heard);
        assert_eq!(world.phone("2102").times("INVITE"), 0);
        world.one_record(Cause::IncompatibleMedia);
        world.all_idle();
    });
}

#[test]
fn silence_of_anchored_media_is_shown_and_ends_nothing() {
    told(|world| {
        natted(world, "2102");
        describe(world.phone("2101"), "");
        talk(world, "2101", "2102");
        let ((member, stream), _) = world.streams.first_key_value().unwrap();
        let (member, stream) = (*member, *stream);
        let silent = |world: &World| world.members[&member].edge.calls()[0].media.silent;
        world.tell(member, Input::Media(Report::Silent(stream)));
        assert!(silent(world));
        world.tell(member, Input::Media(Report::Heard(stream)));
        assert!(!silent(world));
        hang_up(world, "2101");
    });
}

/// What the relay with these terms makes of speech that the called phone sends to the caller, who speaks SRTP.
fn sealed_for_caller(relay: &mut Relay, spec: &Spec, sequence: u16) -> Vec<u8> {
    let header = rtp::Header { marker: false, payload_type: 8, sequence, timestamp: 7, ssrc: 1 };
    let plain = header.packet(&[0xd5; 160]);
    let mut buffer = [0; 300];
    buffer[..plain.len()].copy_from_slice(&plain);
    let mut packet = Datagram::new(&mut buffer, plain.len());
    let at = (relay::Side::Called, Channel::Rtp);
    let from = spec.called.remote.unwrap().rtp;
    let verdict = relay.handle(Duration::ZERO, at, from, &mut packet);
    assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
    packet.bytes().to_vec()
}

/// The standing with which the only stream of member 1 goes on after `kill -9`.
fn killed(world: &mut World, id: StreamId) -> Standing {
    world.standings.clear();
    world.restart_node(1);
    only_stream(world);
    world.standings[&(1, id)].clone().expect("it is no new stream")
}

#[test]
fn rfc3711_a_bridged_call_goes_on_after_kill_9_where_its_key_streams_stood() {
    told(|world| {
        secure(world, "2101");
        world.phone("2101").exact_words = Some(sealed("192.168.1.7", 4_000, 1));
        describe(world.phone("2102"), "");
        talk(world, "2101", "2102");
        let id = world.streams.first_key_value().unwrap().0.1;
        let spec = only_stream(world);
        // Killed before anything was told, and before anybody spoke: it is no new stream all the same.
        assert_eq!(killed(world, id), Standing::default());
        let mut relay = Relay::new(Duration::ZERO, spec.clone());
        let keys = spec.caller.keys.clone().unwrap();
        let mut phone = Context::new(keys.suite, keys.ours);
        let mut hears = |mut sealed: Vec<u8>| {
            let length = sealed.len();
            phone.unprotect_rtp(&mut Datagram::new(&mut sealed, length)).is_ok()
        };
        let mut sequence = 0u16;
        for _ in 0..80 {
            sequence = sequence.wrapping_add(2_900);
            assert!(hears(sealed_for_caller(&mut relay, &spec, sequence)));
            if let Some(standing) = relay.stands() {
                world.tell(1, Input::Media(Report::Stands(id, Box::new(standing))));
            }
        }
        // Roll-over counter 3, and killed twice.
        for _ in 0..2 {
            let standing = killed(world, id);
            relay = Relay::going_on(Duration::ZERO, spec.clone(), &standing);
            sequence = sequence.wrapping_add(1);
            assert!(hears(sealed_for_caller(&mut relay, &spec, sequence)), "the phone understands");
            let standing = relay.stands().expect("that it leapt is told at once");
            world.tell(1, Input::Media(Report::Stands(id, Box::new(standing.clone()))));
            assert_eq!(killed(world, id), standing);
        }
        // Neither was there a new dialog nor a new key.
        assert_eq!(only_stream(world), spec);
        hang_up(world, "2101");
    });
}

/// 2001 and 2101 talk directly; 2101 gives the call to 2102, which sits behind a NAT.
fn given_behind_a_nat(world: &mut World, attended: bool) {
    natted(world, "2102");
    for number in ["2001", "2101"] {
        let address = world.phone(number).edge_flow().remote.ip().to_string();
        world.phone(number).exact_words = Some(description(&address, 4_000, ""));
    }
    talk(world, "2001", "2101");
    assert!(world.streams.is_empty());
    if attended {
        consults(world, "2101", "2102");
        world.phone("2101").transfer_to_parked();
    } else {
        world.phone("2101").transfer("2102");
        world.wait_ms(500);
        world.phone("2102").answer();
    }
    world.wait_ms(3_000);
    if !attended {
        world.phone("2101").hang_up();
        world.wait_ms(500);
    }
    let at_node: Vec<Spec> =
        world.streams.iter().filter(|((member, _), _)| *member == 1).map(|(_, spec)| spec.clone()).collect();
    assert_eq!(at_node.len(), 1, "one stream for the two who talk");
    let ends = [&at_node[0].caller, &at_node[0].called].map(|end| end.remote.unwrap());
    assert!(ends.iter().any(|end| end.learn_from == "203.0.113.7".parse().ok()), "{ends:?}");
    assert!(ends.iter().any(|end| end.rtp == "192.168.0.7:4000".parse().unwrap()), "{ends:?}");
    world.phone("2001").hang_up();
    world.wait_ms(3_000);
    world.all_idle();
}

#[test]
fn rfc3515_a_transfer_to_a_phone_behind_a_nat_anchors_the_two_who_talk() {
    told(|world| given_behind_a_nat(world, false));
}

#[test]
fn rfc3891_an_attended_transfer_gives_the_consultations_ports_back() {
    told(|world| given_behind_a_nat(world, true));
}

/// 2102 has another phone, `twin`, which does not ring with it: it was set up by `how`.
fn with_twin(world: &mut World, how: fn(&mut World)) {
    describe(world.phone("2101"), "");
    describe(world.phone("2102"), "");
    how(world);
}

fn rings(world: &mut World) -> String {
    world.phone("2101").call("2102");
    world.wait_ms(300);
    watched(world.phone("2102"), "")
}

fn talks(world: &mut World) -> String {
    talk(world, "2101", "2102");
    watched(world.phone("2102"), "")
}

fn twin_behind_a_nat(world: &mut World) {
    world.twin_of("2102", "twin");
    let twin = world.phone("twin");
    twin.inside_address = Some([10, 66, 0, 5]);
    twin.come_from([203, 0, 113, 7]);
    twin.exact_words = Some(description("10.66.0.5", 4_000, ""));
}

/// It takes no offer without SRTP.
fn twin_on_srtp(world: &mut World) {
    world.twin_over(Transport::Tls, "2102", "twin");
    world.phone("twin").keying = Some("RTP/SAVP");
    world.phone("twin").exact_words = Some(sealed("192.168.1.7", 6_000, 1));
}

fn anchored_with_twin(world: &mut World) -> Spec {
    assert!(world.phone("twin").heard("200"), "{:?}", world.phone("twin").heard);
    assert_eq!(seen(world, "2101").connection, "10.0.1.1".parse().ok(), "the caller sends to the member");
    let stream = only_stream(world);
    assert_eq!(stream.caller.remote.unwrap().rtp, "192.168.1.7:4000".parse().unwrap());
    stream
}

#[test]
fn rfc3891_a_phone_behind_a_nat_picks_up_and_is_anchored() {
    for begin in [rings, talks] {
        told(|world| {
            with_twin(world, twin_behind_a_nat);
            let replaces = begin(world);
            assert!(world.streams.is_empty());
            picks_up(world, "twin", "2102", replaces);
            let stream = anchored_with_twin(world);
            assert_eq!(stream.called.remote.unwrap().learn_from, "203.0.113.7".parse().ok());
            assert_eq!(seen(world, "twin").connection, "10.0.1.1".parse().ok());
            assert_eq!(hang_up(world, "2101").path, MediaPath::Anchored);
        });
    }
}

#[test]
fn rfc3891_a_phone_behind_a_nat_that_offers_nothing_is_given_the_callers_offer_anchored() {
    told(|world| {
        with_twin(world, twin_behind_a_nat);
        let replaces = rings(world);
        world.phone("twin").says.push((Name::Replaces, replaces));
        world.phone("twin").call_late_offer("2102");
        world.wait_ms(600);
        let stream = anchored_with_twin(world);
        assert_eq!(stream.called.remote.unwrap().learn_from, "203.0.113.7".parse().ok());
        hang_up(world, "2101");
    });
}

#[test]
fn rfc3891_a_phone_on_srtp_picks_up_a_plain_call_and_is_bridged() {
    for begin in [rings, talks] {
        told(|world| {
            with_twin(world, twin_on_srtp);
            let replaces = begin(world);
            picks_up(world, "twin", "2102", replaces);
            let stream = anchored_with_twin(world);
            assert_eq!(stream.caller.keys, None);
            let keys = stream.called.keys.unwrap();
            assert_eq!(keys.theirs.unwrap().to_base64(), KEY);
            let told = seen(world, "twin");
            assert_eq!(told.media[0].profile(), Profile::Srtp);
            assert!(told.media[0].cryptos().any(|crypto| crypto.key == keys.ours), "our key, not its own");
            assert_eq!(seen(world, "2101").media[0].profile(), Profile::Rtp);
            let media = hang_up(world, "2101");
            assert_eq!((media.caller_encrypted, media.called_encrypted), (false, true));
        });
    }
}

#[test]
fn rfc3891_a_pick_up_that_fails_gives_its_ports_back_and_the_call_stays_direct() {
    told(|world| {
        with_twin(world, twin_behind_a_nat);
        let replaces = rings(world);
        world.phone("twin").refuses_offers = Some(488);
        picks_up(world, "twin", "2102", replaces);
        assert!(world.phone("twin").heard("BYE/41"), "{:?}", world.phone("twin").heard);
        assert!(world.streams.is_empty());
        world.phone("2102").answer();
        world.wait_ms(300);
        assert_eq!(hang_up(world, "2101").path, MediaPath::Direct);
    });
}

#[test]
fn rfc4568_a_pick_up_with_keys_that_anybody_can_read_is_refused_and_the_call_rings_on() {
    told(|world| {
        with_twin(world, |world| {
            world.twin_of("2102", "twin");
            world.phone("twin").exact_words = Some(sealed("192.168.1.7", 6_000, 1));
        });
        let replaces = rings(world);
        picks_up(world, "twin", "2102", replaces);
        assert!(world.phone("twin").heard("488"), "{:?}", world.phone("twin").heard);
        assert!(world.phone("2102").rings() && world.streams.is_empty());
    });
}
