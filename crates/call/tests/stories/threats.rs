//! The threat model's rows on calls without login, relays, amplification and emergency calls, told at a whole edge.
//! `docs/design/threats.md` lists every row with its tests.

use crate::hostile::{START, edge};
use crate::world::{REALM, secret_of};
use call::settings::{CALLS_MAX, WRONG_PASSWORDS_MAX};
use call::{Binding, Device, Edge, Hop, Input, Output, Place};
use sip::digest::{Client, Password};
use sip::{Edit, Flow, Message, Transport};
use std::time::Duration;

/// A flow from a host of the test network.
fn flow(last: u8, transport: Transport) -> Flow {
    let remote = std::net::SocketAddr::from(([192, 0, 2, last], 5060));
    let connection = u64::from(transport.is_reliable()) * u64::from(last);
    Flow { transport, local: ([192, 0, 2, 1], 5060).into(), remote, connection }
}

fn stranger() -> Flow {
    flow(200, Transport::Udp)
}

/// An edge at which the phones of 2101 and 2102 are registered, on UDP.
fn with_phones() -> Edge {
    let mut edge = edge(Place::Node);
    let bound = |number: &str, last: u8| Binding {
        extension: number.parse().unwrap(),
        device: Device(number.to_owned()),
        contact: format!("sip:{number}@192.0.2.{last}"),
        path: Vec::new(),
        flow: flow(last, Transport::Udp),
        connected: true,
        q: 1000,
        since: START,
        until: START + Duration::from_secs(3600),
        call_id: "r".to_owned(),
        cseq: 1,
        user_agent: "test".to_owned(),
    };
    edge.restore_bindings(START, [bound("2101", 101), bound("2102", 102)]);
    edge
}

/// A request as short as one can be, with these lines more.
fn request(method: &str, uri: &str, branch: &str, lines: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.200;rport;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:2101@pleiad.test>;tag=1\r\nTo: <{uri}>\r\nCall-ID: {branch}\r\nCSeq: 1 {method}\r\n{lines}\r\n"
    )
}

const CONTACT: &str = "Contact: <sip:x@192.0.2.200>\r\n";

/// What the edge sends, and to whom; nothing it has to keep or to tell may come of it.
fn told(edge: &mut Edge, now: Duration, from: &Hop, text: &str) -> Vec<(Hop, Message)> {
    let message = Message::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {text}"));
    let message = match from {
        Hop::Phone(flow) => message.stamped(flow.remote),
        Hop::Cluster => message,
    };
    let mut out = Vec::new();
    edge.handle(now, Input::Sip { from: from.clone(), message }, &mut out);
    sent(out)
}

fn sent(out: Vec<Output>) -> Vec<(Hop, Message)> {
    let send = |output| match output {
        Output::Send { to, bytes } => Some((to, Message::parse(&bytes).unwrap())),
        _ => None,
    };
    out.into_iter().filter_map(send).collect()
}

/// The one status that a stranger is told, now and in the hour to come.
fn refusal(edge: &mut Edge, from: Flow, text: &str) -> u16 {
    let hop = Hop::Phone(from);
    let told = told(edge, START, &hop, text);
    assert_eq!(told.len(), 1, "{text}: {told:?}");
    assert_eq!(told[0].0, hop, "{text}");
    let mut later = Vec::new();
    while let Some(at) = edge.next_timeout().filter(|at| *at < START + Duration::from_secs(600)) {
        edge.handle(at, Input::Tick, &mut later);
    }
    assert_eq!(sent(later), [], "{text}");
    assert_eq!(edge.calls(), [], "{text}");
    told[0].1.status().unwrap().code()
}

#[test]
fn threat_01_every_call_without_login_is_challenged() {
    for target in
        ["sip:2102@pleiad.test", "sip:+900123456@pleiad.test", "sip:0900@192.0.2.1", "sip:112@pleiad.test"]
    {
        for lines in [
            "",
            "P-Asserted-Identity: <sip:2101@c-test>\r\n",
            "P-Preferred-Identity: <sip:2101@c-test>\r\nPriority: emergency\r\n",
            "Session-ID: 0123456789abcdef0123456789abcdef\r\nX-Forwarded-For: 127.0.0.1\r\n",
            "Authorization: Basic MjEwMTphZG1pbg==\r\n",
            "Authorization: Digest username=\"2101\", realm=\"c-test\"\r\n",
            "Supported: replaces\r\n",
        ] {
            // The phone's own address is no proof either: who sends from it may be another.
            for from in [stranger(), flow(201, Transport::Tcp), flow(101, Transport::Udp)] {
                let text = request("INVITE", target, "1", &format!("{CONTACT}{lines}"));
                assert_eq!(refusal(&mut with_phones(), from, &text), 407, "{text}");
            }
        }
    }
}

#[test]
fn threat_02_nothing_a_stranger_sends_reaches_anybody_else() {
    const METHODS: &[&str] = &[
        "INVITE",
        "BYE",
        "UPDATE",
        "INFO",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "PUBLISH",
        "PRACK",
        "OPTIONS",
        "REGISTER",
        "FOO",
    ];
    let extras = [
        "",
        "Route: <sip:203.0.113.9;lr>\r\n",
        "Route: <sip:192.0.2.1;lr>, <sip:203.0.113.9;lr>\r\n",
        "Event: dialog\r\nRefer-To: <sip:+900@example.net>\r\n",
        "Replaces: x;to-tag=1;from-tag=2\r\nTarget-Dialog: x;local-tag=1;remote-tag=2\r\n",
    ];
    for method in METHODS {
        for target in
            ["sip:2102@pleiad.test", "sip:+900@foreign.test", "sip:2102@203.0.113.9", "sips:x@foreign.test"]
        {
            for extra in extras {
                let text = request(method, target, "1", &format!("{CONTACT}{extra}"));
                let status = refusal(&mut with_phones(), stranger(), &text);
                let asks = *method == "OPTIONS" && status == 200;
                assert!(asks || (400..500).contains(&status), "{status} to {text}");
                // An invented To tag names no dialog, whatever the method.
                let inside =
                    text.replace(&format!("To: <{target}>"), &format!("To: <{target}>;tag=invented"));
                let status = refusal(&mut with_phones(), stranger(), &inside);
                assert!((400..500).contains(&status), "{status} to {inside}");
            }
        }
    }
}

#[test]
fn threat_09_nobody_registers_what_is_not_its_own() {
    let mut edge = with_phones();
    let from = flow(102, Transport::Udp);
    let text = request("REGISTER", "sip:pleiad.test", "1", "Contact: <sip:x@192.0.2.102>\r\n")
        .replace("To: <sip:pleiad.test>", "To: <sip:2101@pleiad.test>");
    let signed = signed(&mut edge, START, from, "2102", &text);
    assert_eq!(statuses(&told(&mut edge, START, &Hop::Phone(from), &signed)), [403]);
    let own: Vec<String> = edge.bindings().map(|binding| binding.read().contact.to_owned()).collect();
    assert_eq!(own, ["sip:2101@192.0.2.101", "sip:2102@192.0.2.102"]);
}

/// The same request with credentials for the challenge it gets.
fn signed(edge: &mut Edge, now: Duration, from: Flow, user: &str, text: &str) -> String {
    signed_with(edge, now, from, (user, &secret_of(user)), text)
}

fn signed_with(
    edge: &mut Edge,
    now: Duration,
    from: Flow,
    (user, secret): (&str, &str),
    text: &str,
) -> String {
    let told = told(edge, now, &Hop::Phone(from), text);
    let password = Password::Plain(secret.to_owned());
    let mut client = Client::challenged(&told[0].1, user, &password).unwrap();
    let message = Message::parse(text.as_bytes()).unwrap();
    let uri = message.request_uri().unwrap().to_string();
    let (name, value) = client.authorization(message.method(), &uri, "c");
    Edit::of(&message).add(name, value).message().unwrap().to_string()
}

fn statuses(told: &[(Hop, Message)]) -> Vec<u16> {
    told.iter().filter_map(|(_, message)| message.status()).map(|status| status.code()).collect()
}

#[test]
fn threat_13_before_login_an_answer_is_no_weapon() {
    for method in ["INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "REFER", "FOO"] {
        for agent in ["", "User-Agent: X\r\n"] {
            let text = request(method, "sip:2102@pleiad.test", "1", &format!("{CONTACT}{agent}"));
            let mut edge = with_phones();
            let told = told(&mut edge, START, &Hop::Phone(stranger()), &text);
            let length: usize = told.iter().map(|(_, answer)| answer.to_bytes().len()).sum();
            assert!(told.len() <= 1 && length <= 2 * text.len(), "{length} bytes for {}: {text}", text.len());
        }
    }
}

#[test]
fn threat_13_a_flood_of_calls_without_login_leaves_nothing_behind() {
    let mut edge = with_phones();
    let empty = edge.freeze().unwrap().len();
    for number in 0..5_000 {
        let text = request("INVITE", "sip:2102@pleiad.test", &number.to_string(), CONTACT);
        assert_eq!(statuses(&told(&mut edge, START, &Hop::Phone(stranger()), &text)), [407]);
    }
    let full = edge.freeze().unwrap().len();
    assert!(full <= empty + 200, "{empty} bytes grew to {full}");
}

/// A call from another member, for which 2101's phone rings and nobody answers.
fn ring(edge: &mut Edge, number: usize, lines: &str) -> Vec<(Hop, Message)> {
    let text = request("INVITE", "sip:2101@c-test", &format!("m{number}"), lines)
        .replace("Via: SIP/2.0/UDP 192.0.2.200", "Via: SIP/2.0/TLS n0.c-test")
        .replace("sip:x@192.0.2.200", "sip:2001@n0.c-test");
    told(edge, START, &Hop::Cluster, &text)
}

#[test]
fn threat_35_an_emergency_call_passes_with_every_limit_used_up() {
    let mut edge = with_phones();
    let member = format!("{CONTACT}P-Asserted-Identity: <sip:2001@{REALM}>\r\n");
    for number in 0..CALLS_MAX {
        assert!(statuses(&ring(&mut edge, number, &member)).iter().all(|status| *status < 200));
    }
    assert_eq!(statuses(&ring(&mut edge, CALLS_MAX, &member)), [503]);
    assert_eq!(edge.calls().len(), CALLS_MAX);
    // Its own phone is braked, and the process is about to stop.
    let phone = flow(102, Transport::Udp);
    let invite = |branch: &str, target: &str| {
        request("INVITE", target, branch, CONTACT)
            .replace("sip:2101@pleiad.test>;tag", "sip:2102@pleiad.test>;tag")
    };
    for number in 0..WRONG_PASSWORDS_MAX {
        let text = invite(&format!("w{number}"), "sip:2101@pleiad.test");
        let wrong = signed_with(&mut edge, START, phone, ("2102", "a-wrong-guess"), &text);
        assert_eq!(statuses(&told(&mut edge, START, &Hop::Phone(phone), &wrong)), [403]);
    }
    edge.handle(START, Input::Drain, &mut Vec::new());
    let usual = signed(&mut edge, START, phone, "2102", &invite("u", "sip:2101@pleiad.test"));
    assert_eq!(statuses(&told(&mut edge, START, &Hop::Phone(phone), &usual)), [403]);
    assert_eq!(edge.bans(START).len(), 1);

    let help = signed(&mut edge, START, phone, "2102", &invite("h", "sip:112@pleiad.test"));
    let rung = told(&mut edge, START, &Hop::Phone(phone), &help);
    let called: Vec<&Hop> =
        rung.iter().filter(|(_, message)| message.is_request()).map(|(to, _)| to).collect();
    assert_eq!(called, [&Hop::Phone(flow(101, Transport::Udp))], "{rung:?}");
    let emergency = format!("{member}Priority: emergency\r\n");
    let rung = ring(&mut edge, CALLS_MAX + 1, &emergency);
    assert!(rung.iter().any(|(_, message)| message.is_request()), "{rung:?}");
}
