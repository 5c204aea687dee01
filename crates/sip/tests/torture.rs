//! Every message of RFC 4475 and RFC 5118, with its verdict. The files are IETF text.
//!
//! "Taken" means that the grammar takes it: some of these are to be refused by who answers (420, 415, 416, 483), and
//! the note says so.

use sip::{Contacts, Fault, Message, Method, Name, Scheme, Status};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// It is a message.
    Taken,
    /// It is refused for this reason, and can be answered.
    Answered(Fault),
    /// It is refused and cannot be answered (a response, or too much is missing).
    Dropped(Fault),
}

use Verdict::{Answered, Dropped, Taken};

const VERDICTS: &[(&str, Verdict)] = &[
    // RFC 4475 §3.1.1 valid messages
    ("wsinv.dat", Taken),
    ("intmeth.dat", Taken),
    ("esc01.dat", Taken),
    ("escnull.dat", Taken),
    ("esc02.dat", Taken),
    ("lwsdisp.dat", Taken),
    ("longreq.dat", Taken),
    ("dblreq.dat", Taken),
    ("semiuri.dat", Taken),
    ("transports.dat", Taken),
    ("mpart01.dat", Taken),
    ("unreason.dat", Taken),
    ("noreason.dat", Taken),
    // §3.1.2 invalid messages
    ("badinv01.dat", Answered(Fault::Header(Name::Via))),
    ("clerr.dat", Answered(Fault::ContentLength)),
    ("ncl.dat", Answered(Fault::ContentLength)),
    ("scalar02.dat", Answered(Fault::Header(Name::CSeq))),
    ("scalarlg.dat", Dropped(Fault::Header(Name::CSeq))),
    ("quotbal.dat", Answered(Fault::Header(Name::To))),
    ("ltgtruri.dat", Answered(Fault::RequestUri)),
    ("lwsruri.dat", Answered(Fault::RequestUri)),
    ("lwsstart.dat", Answered(Fault::RequestUri)),
    ("trws.dat", Answered(Fault::StartLine)),
    ("escruri.dat", Answered(Fault::RequestUri)),
    ("baddate.dat", Taken),  // we have no use for Date, so its wrong zone hurts nobody
    ("regbadct.dat", Taken), // refused when the Contact is read
    ("badaspec.dat", Answered(Fault::Header(Name::To))),
    ("baddn.dat", Answered(Fault::Header(Name::From))),
    ("badvers.dat", Answered(Fault::Version)),
    ("mismatch01.dat", Answered(Fault::CSeqMethod)),
    ("mismatch02.dat", Answered(Fault::CSeqMethod)),
    ("bigcode.dat", Dropped(Fault::StartLine)),
    // §3.2 transaction layer, §3.3 application layer, §3.4 backward compatibility
    ("badbranch.dat", Taken), // matched as RFC 2543 would
    ("insuf.dat", Dropped(Fault::Absent(Name::From))),
    ("unkscm.dat", Taken),   // 416 by who answers
    ("novelsc.dat", Taken),  // 416
    ("unksm2.dat", Taken),   // 400 or 404: To of another scheme
    ("bext01.dat", Taken),   // 420
    ("invut.dat", Taken),    // 415
    ("regaut01.dat", Taken), // 401
    ("multi01.dat", Answered(Fault::Repeated(Name::CSeq))),
    ("mcl01.dat", Answered(Fault::ContentLength)),
    ("bcast.dat", Taken),  // a response not for us: second Via
    ("zeromf.dat", Taken), // 483 by a proxy
    ("cparam01.dat", Taken),
    ("cparam02.dat", Taken),
    ("regescrt.dat", Taken),
    ("sdp01.dat", Taken), // 406
    ("inv2543.dat", Taken),
    // an older list's message that the archive of RFC 4475 still carries: no version, no scheme, no empty line
    ("test.dat", Dropped(Fault::HeaderLine)),
    // RFC 5118
    ("ipv6-good.sip", Taken),
    ("ipv6-bad.sip", Answered(Fault::RequestUri)),
    ("port-ambiguous.sip", Taken),
    ("port-unambiguous.sip", Taken),
    ("via-received-param-with-delim.sip", Taken),
    ("via-received-param-no-delim.sip", Taken),
    ("ipv6-in-sdp.sip", Taken),
    ("mult-ip-in-header.sip", Taken),
    ("mult-ip-in-sdp.sip", Taken),
    ("ipv4-mapped-ipv6.sip", Taken),
    ("ipv6-correct-abnf-2-colons.sip", Taken),
    ("ipv6-bug-abnf-3-colons.sip", Taken),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// Two files of the archive end without the empty line that the RFC's text has.
fn read(file: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(folder().join(file)).unwrap();
    if !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        bytes.extend_from_slice(b"\r\n\r\n");
    }
    bytes
}

fn taken(file: &str) -> Message {
    Message::parse(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn rfc_4475_and_5118_every_message_has_its_verdict() {
    let verdicts: BTreeMap<_, _> = VERDICTS.iter().copied().collect();
    let files =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(files.len(), VERDICTS.len());
    for file in files {
        let verdict = match Message::parse(&read(&file)) {
            Ok(_) => Taken,
            Err(error) if error.answer("t").is_some() => Answered(error.fault),
            Err(error) => Dropped(error.fault),
        };
        assert_eq!(Some(&verdict), verdicts.get(file.as_str()), "{file}");
    }
}

#[test]
fn a_refused_message_is_answered_with_its_own_via_and_a_status_that_says_why() {
    for (file, verdict) in VERDICTS {
        let Answered(fault) = verdict else { continue };
        let answer = Message::parse(&read(file)).unwrap_err().answer("t1").unwrap();
        let head = String::from_utf8(answer.clone()).unwrap();
        assert!(head.starts_with(&format!("SIP/2.0 {} ", fault.status())), "{file}: {head}");
        // What is copied may be what is broken; where it is not, the answer is a message like any other.
        if !matches!(fault, Fault::Header(_) | Fault::Repeated(_) | Fault::Version) {
            let answer = Message::parse(&answer).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(answer.to().tag().is_some(), "{file}");
        }
    }
    assert_eq!(Fault::Version.status(), Status::VERSION_NOT_SUPPORTED);
}

#[test]
fn what_is_taken_is_passed_on_as_it_was() {
    for (file, verdict) in VERDICTS {
        if *verdict == Taken {
            let message = taken(file);
            assert_eq!(Message::parse(&message.to_bytes()).unwrap(), message, "{file}");
            let frozen = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<Message>(&frozen).unwrap(), message, "{file}");
        }
    }
}

#[test]
fn rfc_4475_3_1_1_1_a_short_tortuous_invite_is_read_right() {
    let invite = taken("wsinv.dat");
    assert_eq!(invite.to().tag(), Some("1918181833n"));
    assert_eq!(invite.from().display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(invite.from().tag(), Some("98asjd8"));
    assert_eq!(invite.max_forwards(), Some(68));
    assert_eq!(invite.cseq().number, 9);
    assert_eq!(invite.list(Name::Via).count(), 3);
    let vias: Vec<_> = invite.list(Name::Via).map(|via| sip::Via::parse(via).unwrap()).collect();
    assert_eq!(vias[1].branch(), Some("z9hG4bK9ikj8"));
    assert_eq!(vias[2].transport, "UDP");
    assert_eq!(invite.header(Name::Subject), Some(""));
    assert_eq!(
        invite.header_named("newfangledheader"),
        Some("newfangled value   continued newfangled value")
    );
    let contact = invite.contact().unwrap().unwrap();
    assert_eq!(contact.display.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.raw("newparam"), Some("newvalue"));
    assert!(contact.params.has("secondparam"));
}

#[test]
fn rfc_4475_3_1_1_2_every_unusual_character_is_kept() {
    let request = taken("intmeth.dat");
    assert_eq!(*request.method(), Method::Other("!interesting-Method0123456789_*+`.%indeed'~".to_owned()));
    assert_eq!(request.to().display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    assert_eq!(request.from().display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(request.from().tag(), Some("_token~1'+`*%!-."));
    assert_eq!(request.from().params.value("fromParam''~+*_!.-%").as_deref(), Some("работающий"));
    assert_eq!(request.header_named("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
}

#[test]
fn rfc_4475_3_1_1_3_escapes_are_looked_through_once() {
    let invite = taken("esc01.dat");
    assert_eq!(invite.request_uri().unwrap().user(), "sips:user@example.com");
    assert_eq!(invite.request_uri().unwrap().host.to_string(), "example.net");
    assert_eq!(invite.to().uri.user(), "user");
    assert!(invite.to().uri.same_as(&"sip:user@example.com".parse().unwrap()));
    assert_eq!(invite.from().uri.user(), "I have spaces");
    // RFC 4475 §3.1.1.4: a NUL is a character of the name, not its end.
    let Contacts::List(contacts) = taken("escnull.dat").contacts().unwrap() else { panic!("two contacts") };
    assert_eq!(contacts.iter().map(|contact| contact.uri.user().len()).collect::<Vec<_>>(), [1, 2]);
    // §3.1.1.5: a method is not unescaped.
    assert_eq!(taken("esc02.dat").method().as_str(), "RE%47IST%45R");
}

#[test]
fn rfc_4475_parameters_belong_to_who_they_stand_at() {
    let semi = taken("semiuri.dat");
    assert_eq!(semi.request_uri().unwrap().user(), "user;par=u@example.net");
    let Contacts::List(bare) = taken("cparam01.dat").contacts().unwrap() else { panic!("a contact") };
    assert!(bare[0].params.has("unknownparam") && bare[0].uri.params.is_empty());
    let Contacts::List(inside) = taken("cparam02.dat").contacts().unwrap() else { panic!("a contact") };
    assert!(inside[0].params.is_empty() && inside[0].uri.params.has("unknownparam"));
    let Contacts::List(escaped) = taken("regescrt.dat").contacts().unwrap() else { panic!("a contact") };
    assert_eq!(escaped[0].uri.header("Route").as_deref(), Some("<sip:sip.example.com>"));
    assert_eq!(taken("regbadct.dat").contacts(), Err(Fault::Header(Name::Contact)));
}

#[test]
fn rfc_4475_unknown_schemes_are_values_for_a_416() {
    assert_eq!(
        taken("unkscm.dat").request_uri().unwrap().scheme,
        Scheme::Other("nobodyKnowsThisScheme".to_owned())
    );
    assert_eq!(taken("novelsc.dat").request_uri().unwrap().scheme, Scheme::Other("soap.beep".to_owned()));
    assert_eq!(taken("unksm2.dat").to().uri.scheme, Scheme::Other("isbn".to_owned()));
    assert_eq!(
        taken("bext01.dat").list(Name::Require).collect::<Vec<_>>(),
        ["nothingSupportsThis", "nothingSupportsThisEither"]
    );
    assert_eq!(taken("zeromf.dat").max_forwards(), Some(0));
    assert_eq!(taken("inv2543.dat").max_forwards(), None);
}

#[test]
fn rfc_5118_addresses_with_and_without_brackets() {
    let ambiguous = taken("port-ambiguous.sip");
    assert_eq!(ambiguous.request_uri().unwrap().port, None);
    assert_eq!(taken("port-unambiguous.sip").request_uri().unwrap().port, Some(5070));
    let wanted = Some("2001:db8::9:255".parse().unwrap());
    assert_eq!(taken("via-received-param-with-delim.sip").via().received(), wanted);
    assert_eq!(taken("via-received-param-no-delim.sip").via().received(), wanted);
    let (right, wrong) = (taken("ipv6-correct-abnf-2-colons.sip"), taken("ipv6-bug-abnf-3-colons.sip"));
    assert!(right.request_uri().unwrap().same_as(wrong.request_uri().unwrap()));
    let mapped = taken("ipv4-mapped-ipv6.sip");
    assert_eq!(mapped.via().host.to_string(), "[::ffff:192.0.2.10]");
}
