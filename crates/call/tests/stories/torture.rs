//! What an edge answers to every message of RFC 4475 and RFC 5118 that a stranger sends it as a datagram: a status, or
//! silence. The grammar's verdicts are in `crates/sip/tests/torture.rs`; what cannot be read is answered by the shell
//! with `ParseError::answer`, as here. `example.com`, whom most of them are for, is a name of the edge.

use crate::hostile::{edge, flow};
use call::{Hop, Input, Output, Place};
use sip::Message;
use std::path::Path;
use std::time::Duration;

/// Nothing is said: a response, or too much is missing to answer.
const SILENCE: u16 = 0;

const ANSWERS: &[(&str, u16)] = &[
    ("badaspec.dat", 400),
    ("badbranch.dat", 200), // matched as RFC 2543 would
    ("baddate.dat", 407),   // we have no use for Date
    ("baddn.dat", 400),
    ("badinv01.dat", 400),
    ("badvers.dat", 505),
    ("bcast.dat", SILENCE),   // a response that is not for us
    ("bext01.dat", 420),      // both options are named in Unsupported
    ("bigcode.dat", SILENCE), // a response
    ("clerr.dat", 400),
    ("cparam01.dat", 401),
    ("cparam02.dat", 401),
    ("dblreq.dat", 401), // the second request is behind the end of the first
    ("esc01.dat", 407),
    ("esc02.dat", 405),
    ("escnull.dat", 401), // a NUL in a user is a character
    ("escruri.dat", 400),
    ("insuf.dat", SILENCE), // no From, no To, no Call-ID
    ("intmeth.dat", 405),
    ("inv2543.dat", 400), // no Contact: there is nowhere to send a BYE
    ("invut.dat", 415),
    ("ipv4-mapped-ipv6.sip", 407),
    ("ipv6-bad.sip", 400),
    ("ipv6-bug-abnf-3-colons.sip", 200),
    ("ipv6-correct-abnf-2-colons.sip", 200),
    ("ipv6-good.sip", 401),
    ("ipv6-in-sdp.sip", 407),
    ("longreq.dat", 407),
    ("ltgtruri.dat", 400),
    ("lwsdisp.dat", 200),
    ("lwsruri.dat", 400),
    ("lwsstart.dat", 400),
    ("mcl01.dat", 400),
    ("mismatch01.dat", 400),
    ("mismatch02.dat", 400),
    ("mpart01.dat", 405), // outside a dialog
    ("mult-ip-in-header.sip", 481),
    ("mult-ip-in-sdp.sip", 407),
    ("multi01.dat", 400),
    ("ncl.dat", 400),          // a negative length
    ("noreason.dat", SILENCE), // a response
    ("novelsc.dat", 416),
    ("port-ambiguous.sip", 401),
    ("port-unambiguous.sip", 401),
    ("quotbal.dat", 400),
    ("regaut01.dat", 401),
    ("regbadct.dat", 401), // 400 comes after the login
    ("regescrt.dat", 401),
    ("scalar02.dat", 400),
    ("scalarlg.dat", SILENCE), // a response
    ("sdp01.dat", 407),        // 406 would come after the login
    ("semiuri.dat", 200),
    ("test.dat", SILENCE), // no message at all
    ("transports.dat", 200),
    ("trws.dat", 400),
    ("unkscm.dat", 416),
    ("unksm2.dat", 404),       // To of another scheme is nobody of ours
    ("unreason.dat", SILENCE), // a response
    ("via-received-param-no-delim.sip", 200),
    ("via-received-param-with-delim.sip", 481),
    ("wsinv.dat", 481),  // a To tag that we never gave
    ("zeromf.dat", 200), // the question is for us; 483 is for who would pass it on
];

/// The statuses of what goes to the sender.
fn answers(bytes: &[u8]) -> Vec<u16> {
    let mut edge = edge(Place::Node);
    let status = |bytes: &[u8]| {
        let head = String::from_utf8_lossy(bytes);
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line")
    };
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => return error.answer("t").iter().map(|answer| status(answer)).collect(),
    };
    let message = if message.is_request() { message.stamped(flow().remote) } else { message };
    let mut out = Vec::new();
    let now = Duration::from_secs(1_700_000_000);
    edge.handle(now, Input::Sip { from: Hop::Phone(flow()), message }, &mut out);
    // Nothing follows later: nobody is sent a second packet for one.
    edge.handle(now + Duration::from_secs(30), Input::Tick, &mut out);
    out.iter()
        .map(|output| match output {
            Output::Send { to, bytes } if *to == Hop::Phone(flow()) => status(bytes),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn rfc_4475_and_5118_every_message_has_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sip/tests/torture");
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in &files {
        let mut bytes = std::fs::read(folder.join(file)).unwrap();
        if !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            bytes.extend_from_slice(b"\r\n\r\n");
        }
        let said = answers(&bytes);
        let wanted = ANSWERS.iter().find(|(known, _)| known == file).map(|(_, status)| *status);
        let wanted = wanted.map(|status| if status == SILENCE { vec![] } else { vec![status] });
        if wanted.as_ref() != Some(&said) {
            wrong.push(format!("{file}: {said:?}, not {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(files.len(), ANSWERS.len());
}
