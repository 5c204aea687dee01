//! Reading and writing messages: what is strict, what is forgiving, what is kept.

use crate::support::{request, request_with, response, uri};
use proptest::prelude::*;
use sip::{
    Contacts, Edit, Fault, HEADER_LINES_MAX, Host, MESSAGE_BYTES_MAX, Message, Method, Name, NameAddr,
    Params, ParseError, Response, Status, Uri, Via,
};

/// A minimal OPTIONS with these lines added.
fn with_lines(lines: &str, body: &str) -> Result<Message, ParseError> {
    let text = format!(
        "OPTIONS sip:2201@pleiad.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK1\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n{body}"
    );
    Message::parse(text.as_bytes())
}

fn fault(outcome: Result<Message, ParseError>) -> Fault {
    outcome.unwrap_err().fault
}

#[test]
fn content_length_twice_is_refused_only_when_it_differs() {
    assert_eq!(with_lines("Content-Length: 4\r\nl: 4\r\n", "bodyrest").unwrap().body(), b"body");
    assert_eq!(fault(with_lines("Content-Length: 4\r\nl: 3\r\n", "body")), Fault::ContentLength);
    assert_eq!(fault(with_lines("Content-Length: -4\r\n", "body")), Fault::ContentLength);
    assert_eq!(fault(with_lines("Content-Length: +4\r\n", "body")), Fault::ContentLength);
    assert_eq!(fault(with_lines("Content-Length: 4, 4\r\n", "body")), Fault::ContentLength);
    assert_eq!(fault(with_lines("Content-Length: 5\r\n", "body")), Fault::ContentLength);
    assert_eq!(fault(with_lines("Content-Length: 99999999999999999999\r\n", "body")), Fault::ContentLength);
    assert_eq!(with_lines("", "body").unwrap().body(), b"body");
}

#[test]
fn white_space_before_the_colon_hides_no_header() {
    // Kamailio CVE-2020-28361.
    let message = with_lines("P-Asserted-Identity\t : <sip:forged@x>\r\n", "").unwrap();
    assert!(message.header(Name::PAssertedIdentity).is_some());
    let stripped = Edit::of(&message).remove(Name::PAssertedIdentity).message().unwrap();
    assert_eq!(stripped.header(Name::PAssertedIdentity), None);
}

#[test]
fn control_characters_are_no_white_space() {
    // Asterisk CVE-2016-9938.
    assert_eq!(fault(with_lines("Subject: a\u{1}b\r\n", "")), Fault::ControlCharacter);
    assert_eq!(fault(with_lines("Subject\u{0}: a\r\n", "")), Fault::ControlCharacter);
    assert_eq!(fault(with_lines("Subject: a\nInjected: b\r\n", "")), Fault::ControlCharacter);
    assert_eq!(fault(with_lines("Subject: a\rInjected: b\r\n", "")), Fault::ControlCharacter);
    assert_eq!(fault(with_lines("no colon here\r\n", "")), Fault::HeaderLine);
    assert_eq!(fault(with_lines("bad name: a\r\n", "")), Fault::HeaderLine);
}

#[test]
fn limits_are_held() {
    let lines = "X-A: 1\r\n".repeat(HEADER_LINES_MAX - 5);
    assert!(with_lines(&lines, "").is_ok());
    assert_eq!(fault(with_lines(&format!("{lines}X-A: 1\r\n"), "")), Fault::TooManyHeaders);
    assert_eq!(fault(with_lines("", &"x".repeat(MESSAGE_BYTES_MAX))), Fault::TooLarge);
    assert!(with_lines("", &"x".repeat(MESSAGE_BYTES_MAX - 300)).is_ok());
    assert_eq!(fault(with_lines("Max-Forwards: 256\r\n", "")), Fault::Header(Name::MaxForwards));
    assert_eq!(
        with_lines("Expires: 4294967296\r\n", "").unwrap().expires_s(),
        Err(Fault::Header(Name::Expires))
    );
}

#[test]
fn a_latin_1_display_name_is_read_as_its_letters() {
    let mut bytes = with_lines("Contact: \"M_ller\" <sip:m@x>\r\n", "").unwrap().to_bytes();
    let at = bytes.windows(6).position(|six| six == b"M_ller").unwrap();
    bytes[at + 1] = 0xfc;
    let contact = Message::parse(&bytes).unwrap().contact().unwrap().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Müller"));
}

#[test]
fn a_star_contact_stands_alone() {
    assert_eq!(with_lines("Contact: *\r\n", "").unwrap().contacts(), Ok(Contacts::Star));
    assert_eq!(with_lines("", "").unwrap().contacts(), Ok(Contacts::None));
    let both = with_lines("Contact: *\r\nContact: <sip:a@b>\r\n", "").unwrap();
    assert_eq!(both.contacts(), Err(Fault::Header(Name::Contact)));
}

#[test]
fn a_contact_with_an_instance_is_read() {
    // The parser of rsip 0.4 could not (research/sip-stack.md).
    let line = "Contact: <sip:2101@192.0.2.7:5060;transport=udp>;+sip.instance=\"<urn:uuid:0-1,2>\";expires=60, \
                <sip:b@x>;q=0.5\r\n";
    let Ok(Contacts::List(list)) = with_lines(line, "").unwrap().contacts() else { panic!("two contacts") };
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].params.value("+sip.instance").as_deref(), Some("<urn:uuid:0-1,2>"));
    assert_eq!(list[0].uri.params.raw("transport"), Some("udp"));
    assert_eq!(list[1].params.raw("q"), Some("0.5"));
}

#[test]
fn rfc_3581_a_request_is_stamped_with_its_source() {
    let message = request(Method::Register, "z9hG4bKs").stamped("198.51.100.4:1024".parse().unwrap());
    assert_eq!(message.via().received(), Some("198.51.100.4".parse().unwrap()));
    assert_eq!(message.via().rport(), Some(1024));
    assert_eq!(message.via().reply_address(), Some("198.51.100.4:1024".parse().unwrap()));
    let answer = response(&message, Status::OK);
    assert_eq!(answer.via(), message.via());
    assert_eq!(Message::parse(&message.to_bytes()).unwrap(), message);
    assert_eq!(message.from().tag(), Some("a1"));
}

#[test]
fn rfc_3261_18_2_1_without_rport_only_a_lying_sent_by_is_noted() {
    let plain = with_lines("", "").unwrap();
    let honest = plain.clone().stamped("192.0.2.7:9".parse().unwrap());
    assert_eq!(honest.via().received(), None);
    let lying = plain.stamped("192.0.2.8:9".parse().unwrap());
    assert_eq!(lying.via().received(), Some("192.0.2.8".parse().unwrap()));
    assert_eq!(lying.via().rport(), None);
}

#[test]
fn rfc_3261_8_2_6_a_response_copies_what_it_must() {
    let invite = request_with(Method::Invite, "z9hG4bKr")
        .header(Name::RecordRoute, "<sip:p1@x;lr>, <sip:p2@x;lr>")
        .header(Name::Timestamp, "54")
        .message()
        .unwrap();
    let ringing = response(&invite, Status::RINGING);
    assert_eq!(
        (ringing.via(), ringing.from(), ringing.call_id()),
        (invite.via(), invite.from(), invite.call_id())
    );
    assert_eq!((ringing.cseq(), ringing.to().tag()), (invite.cseq(), Some("b1")));
    assert_eq!(ringing.list(Name::RecordRoute).count(), 2);
    assert_eq!(ringing.header(Name::Timestamp), None);
    let trying = Response::to(&invite, Status::TRYING).message().unwrap();
    assert_eq!((trying.to().tag(), trying.header(Name::Timestamp)), (None, Some("54")));
    assert_eq!(trying.header(Name::RecordRoute), None);
    assert_eq!(response(&invite, Status::BUSY_HERE).header(Name::RecordRoute), None);
}

#[test]
fn what_an_answer_copies_is_not_touched() {
    // Found by fuzzing: a C1 letter (here from Latin-1) in the Call-ID, an escaped control character in From.
    let text = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: \"\\\u{7}\" <sip:a@b>;tag=1\r\n\
                To: <sip:a@b>\r\nCall-ID: a\u{9d}b\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let options = Message::parse(text.as_bytes()).unwrap();
    let answer = response(&options, Status::OK);
    assert_eq!((answer.call_id(), answer.from()), (options.call_id(), options.from()));
}

#[test]
fn a_tag_that_is_there_is_not_given_again() {
    let inside =
        Edit::of(&request(Method::Bye, "z9hG4bKt")).set(Name::To, "<sip:2201@x>;tag=old").message().unwrap();
    assert_eq!(response(&inside, Status::OK).to().tag(), Some("old"));
}

#[test]
fn a_display_name_smuggles_no_header() {
    let from = NameAddr::new(uri("sip:a@b"))
        .with_display("x\r\nP-Asserted-Identity: <sip:boss@b>\r\n\"y\\")
        .with_tag("1");
    let message = sip::Request::new(Method::Options, &uri("sip:c@d"))
        .via(&Via::new("UDP", Host::Name("b".to_owned()), None, "z9hG4bK1"))
        .from(&from)
        .to(&NameAddr::new(uri("sip:c@d")))
        .call_id("1")
        .cseq(1)
        .header(Name::Subject, "s\r\nX-Injected: 1")
        .message()
        .unwrap();
    assert_eq!(message.header(Name::PAssertedIdentity), None);
    assert_eq!(message.header_named("X-Injected"), None);
    assert_eq!(message.max_forwards(), Some(70));
    assert!(message.from().display.as_deref().unwrap().ends_with("\"y\\"));
}

#[test]
fn rfc_3261_16_6_a_stateless_proxy_changes_only_what_it_must() {
    let body = b"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\n";
    let invite = request_with(Method::Invite, "z9hG4bKp")
        .header_named("X-Kept", "as it, was")
        .body("application/sdp", body)
        .message()
        .unwrap();
    let via = Via::new("TLS", Host::Name("n0.cluster".to_owned()), None, "z9hG4bKproxy");
    let on = Edit::of(&invite)
        .push_via(&via)
        .request_uri(&uri("sip:2201@n2.cluster"))
        .max_forwards(69)
        .message()
        .unwrap();
    assert_eq!(on.via(), &via);
    assert_eq!(on.list(Name::Via).count(), 2);
    assert_eq!(on.max_forwards(), Some(69));
    assert_eq!(on.request_uri(), Some(&uri("sip:2201@n2.cluster")));
    assert_eq!(on.header_named("X-Kept"), Some("as it, was"));
    assert_eq!((on.from(), on.to(), on.body()), (invite.from(), invite.to(), &body[..]));

    let answer = response(&on, Status::OK);
    assert_eq!(answer.next_via().as_ref(), Some(invite.via()));
    let back = Edit::of(&answer).pop_via().message().unwrap();
    assert_eq!(back.via(), invite.via());
    assert_eq!(back.list(Name::Via).count(), 1);
}

#[test]
fn the_first_of_two_via_on_one_line_is_popped_alone() {
    let message = with_lines("", "").unwrap();
    let joined = Edit::of(&message)
        .set(Name::Via, "SIP/2.0/TCP a;branch=z9hG4bKa , SIP/2.0/UDP b;x=\"1,2\"")
        .message()
        .unwrap();
    let popped = Edit::of(&joined).pop_via().message().unwrap();
    assert_eq!(popped.list(Name::Via).collect::<Vec<_>>(), ["SIP/2.0/UDP b;x=\"1,2\""]);
}

#[test]
fn an_edited_body_brings_its_length() {
    let message = with_lines("Content-Length: 4\r\nContent-Type: text/plain\r\n", "body").unwrap();
    let edited = Edit::of(&message).body("application/sdp", b"v=0\r\n").message().unwrap();
    assert_eq!((edited.body(), edited.content_type().as_deref()), (&b"v=0\r\n"[..], Some("application/sdp")));
    let bare = with_lines("", "body").unwrap();
    assert_eq!(Edit::of(&bare).message().unwrap().header(Name::ContentLength), Some("4"));
}

#[test]
fn rfc_3261_19_1_4_uris_are_compared_as_the_rfc_says() {
    let equal = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    ];
    for (one, two) in equal {
        assert!(uri(one).same_as(&uri(two)) && uri(two).same_as(&uri(one)), "{one} {two}");
    }
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ];
    for (one, two) in different {
        assert!(!uri(one).same_as(&uri(two)) && !uri(two).same_as(&uri(one)), "{one} {two}");
    }
}

#[test]
fn feature_codes_and_tel_numbers_are_users() {
    assert_eq!(uri("sip:*21#@pleiad.test").user(), "*21#");
    assert_eq!(uri("tel:+33-1-2345;phone-context=x").user(), "+33-1-2345");
    assert_eq!(Uri::sip("a b#", Host::Name("x".to_owned())).to_string(), "sip:a%20b%23@x");
    assert!(
        Uri::parse("sip:").is_err() && Uri::parse("sip:@x").is_err() && Uri::parse("sip:a@b:99999").is_err()
    );
    assert!(Uri::parse("sip:a@b;x;x").is_err(), "a parameter twice is a trap");
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.!~*'-]{1,12}"
}

fn any_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Host::Address(std::net::IpAddr::from(octets))),
        any::<[u8; 16]>().prop_map(|octets| Host::Address(std::net::IpAddr::from(octets))),
        "[a-z][a-z0-9-]{0,10}(\\.[a-z]{2,5})?".prop_map(Host::Name),
    ]
}

fn any_params() -> impl Strategy<Value = Params> {
    proptest::collection::btree_map("[a-z]{1,8}", proptest::option::of("[a-zA-Z0-9.]{1,8}"), 0..4).prop_map(
        |map| {
            let mut params = Params::new();
            map.iter().for_each(|(name, value)| params.set(name, value.as_deref()));
            params
        },
    )
}

prop_compose! {
    fn any_uri()(user in "\\PC{0,12}", host in any_host(), port in any::<Option<u16>>(), params in any_params()) -> Uri {
        Uri { port, params, ..Uri::sip(&user, host) }
    }
}

proptest! {
    #[test]
    fn a_uri_is_read_as_it_was_written(uri in any_uri(), user in "\\PC{0,12}") {
        prop_assert_eq!(&Uri::parse(&uri.to_string()).unwrap(), &uri);
        prop_assert_eq!(Uri::sip(&user, Host::Name("x".to_owned())).user().into_owned(), user);
    }

    #[test]
    fn an_address_is_read_as_it_was_written(uri in any_uri(), display in "[^\\x00-\\x1f\\x7f-\\x9f]{1,20}", params in any_params(), quoted in "[^\\x00-\\x1f\\x7f-\\x9f]{0,10}") {
        let mut address = NameAddr::new(uri).with_display(&display);
        address.params = params.quoted("zz", &quoted);
        let read = NameAddr::parse(&address.to_string()).unwrap();
        prop_assert_eq!(read.params.value("zz").unwrap().into_owned(), quoted);
        prop_assert_eq!(read, address);
    }

    #[test]
    fn a_via_is_read_as_it_was_written(host in any_host(), port in any::<Option<u16>>(), branch in word()) {
        let via = Via::new("UDP", host, port, &format!("z9hG4bK{branch}")).with_rport();
        prop_assert_eq!(Via::parse(&via.to_string()), Some(via));
    }

    #[test]
    fn a_broken_message_is_refused_or_read_but_nothing_worse(
        cuts in proptest::collection::vec((0usize..700, any::<u8>()), 0..6),
        file in 0usize..4,
    ) {
        const FILES: [&[u8]; 4] = [
            include_bytes!("torture/wsinv.dat"), include_bytes!("torture/intmeth.dat"),
            include_bytes!("torture/dblreq.dat"), include_bytes!("torture/mult-ip-in-header.sip"),
        ];
        let mut bytes = FILES[file].to_vec();
        for (at, byte) in cuts {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        match Message::parse(&bytes) {
            Ok(message) => {
                let stamped = message.clone().stamped("192.0.2.200:5".parse().unwrap());
                prop_assert_eq!(Message::parse(&stamped.to_bytes()).unwrap(), stamped);
                let again = Edit::of(&message).message().unwrap();
                prop_assert_eq!((again.via(), again.from(), again.to()), (message.via(), message.from(), message.to()));
                prop_assert_eq!(again.body(), message.body());
            }
            Err(error) => drop(error.answer("t")),
        }
    }
}
