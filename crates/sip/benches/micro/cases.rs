//! What is measured.

use crate::messages::{self, flow};
use sip::digest::{Algorithm, Challenger, Client, Known, Password, Secrets, UsedNonces, Verdict, ha1};
use sip::transaction::{Input, Limits, Output};
use sip::{
    Flow, Layer, Message, Method, Name, NameAddr, Request, Response, ServerKey, Status, Tokens, Uri, Via,
};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) operation: Box<dyn FnMut(u32)>,
}

fn case(name: &'static str, limit: &'static str, operation: impl FnMut(u32) + 'static) -> Case {
    Case { name, limit, operation: Box::new(operation) }
}

/// Time between two operations: with timer J of 32 s 6,400 transactions are held in the steady state.
const BETWEEN: Duration = Duration::from_millis(5);

/// Messages made beforehand; when they are used up and begin again, the first are long forgotten.
const READY: u32 = 8_000;

/// What a phone sends next.
fn ready(make: impl Fn(u32) -> Vec<u8>) -> impl FnMut() -> Rc<[u8]> {
    let made: Rc<[Rc<[u8]>]> = (0..READY).map(|number| make(number).into()).collect();
    let mut next = 0..;
    move || Rc::clone(&made[next.next().unwrap() % made.len()])
}

pub(crate) fn all() -> Vec<Case> {
    let (invite, register) = (messages::invite(1), messages::register(1, ""));
    let read = (invite.clone(), register.clone());
    vec![
        case("parse INVITE with SDP", "~500, 1 alloc", move |_| {
            black_box(Message::parse(black_box(&invite)).unwrap());
        }),
        case("parse INVITE, read what a call needs", "~600", move |_| {
            black_box(core(&Message::parse(black_box(&read.0)).unwrap()));
        }),
        case("parse REGISTER", "~500, 1 alloc", move |_| {
            black_box(Message::parse(black_box(&register)).unwrap());
        }),
        case("parse REGISTER, stamp, read what a registrar needs", "~600", move |_| {
            let message = Message::parse(black_box(&read.1)).unwrap().stamped(flow().remote);
            black_box(core(&message));
        }),
        case("build a 200 to REGISTER", "", build_answer()),
        case("build an INVITE", "", build_invite()),
        case("REGISTER: parse, transaction, 200, forgotten later", "<= 5000", register_answered()),
        case("OPTIONS: parse, 200 without a transaction", "", options_answered()),
        case("digest verify, MD5 (with parse)", "", verify(Algorithm::Md5)),
        case("digest verify, SHA-256 (with parse)", "", verify(Algorithm::Sha256)),
        case("challenge", "", challenge()),
        case("a tag and a branch", "", names()),
        case("INVITE to BYE through two layers, seven messages", "", call()),
    ]
}

/// What every user of a request looks at.
fn core(message: &Message) -> usize {
    let contact = message.contact().unwrap().map_or(0, |contact| contact.uri.user().len());
    message.branch().map_or(0, str::len)
        + message.from_tag().map_or(0, str::len)
        + message.to_ref().uri.user().len()
        + message.call_id().len()
        + message.cseq().method.as_str().len()
        + contact
}

fn build_answer() -> impl FnMut(u32) {
    let request = Message::parse(&messages::register(1, "")).unwrap().stamped(flow().remote);
    let contact = request.contact().unwrap().unwrap();
    move |_| {
        black_box(answer(&request, &contact).message().unwrap());
    }
}

fn answer(request: &Message, contact: &NameAddr) -> Response {
    Response::to(request, Status::OK)
        .to_tag("5f3a8c71e2b94d06aabbccdd")
        .contact(contact)
        .header(Name::Date, "Sun, 22 Nov 2026 15:00:00 GMT")
}

fn build_invite() -> impl FnMut(u32) {
    let (ann, bob) =
        (Uri::parse("sip:2101@pleiad.test").unwrap(), Uri::parse("sip:2201@192.0.2.9:5060").unwrap());
    let from = NameAddr::new(ann.clone()).with_display("Ann Smith").with_tag("5f3a8c71e2b94d06aabbccdd");
    let (to, contact) = (NameAddr::new(bob.clone()), NameAddr::new(ann));
    move |_| {
        let host: std::net::IpAddr = "192.0.2.1".parse().unwrap();
        let via = Via::new("UDP", host, Some(5060), "z9hG4bK5f3a8c71e2b94d06aabbccdd5f3a8c71").with_rport();
        let invite = Request::new(Method::Invite, &bob)
            .via(&via)
            .max_forwards(69)
            .from(&from)
            .to(&to)
            .call_id("5f3a8c71e2b94d06aabbccdd5f3a8c71@192.0.2.1")
            .cseq(1)
            .contact(&contact)
            .header(Name::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, MESSAGE, REGISTER")
            .header(Name::Supported, "replaces, timer")
            .body("application/sdp", messages::sdp().as_bytes());
        black_box(invite.message().unwrap());
    }
}

fn register_answered() -> impl FnMut(u32) {
    let mut layer: Layer<Flow> = Layer::new(Limits::default());
    let mut now = Duration::ZERO;
    let mut next = ready(|number| messages::register(number, ""));
    let mut out = Vec::new();
    move |_| {
        now += BETWEEN;
        let message = Message::parse(&next()).unwrap().stamped(flow().remote);
        layer.handle(now, Input::Received { from: flow(), message }, &mut out);
        for output in std::mem::take(&mut out) {
            if let Output::Request { key, message, .. } = output {
                let contact = message.contact().unwrap().unwrap();
                let response = answer(&message, &contact).message().unwrap();
                layer.handle(now, Input::Respond { key, response }, &mut out);
            }
        }
        assert!(matches!(out.as_slice(), [Output::Send { .. }]));
        out.clear();
        if layer.next_timeout().is_some_and(|at| at <= now) {
            layer.handle(now, Input::Tick, &mut out);
        }
    }
}

fn options_answered() -> impl FnMut(u32) {
    let mut next = ready(|number| messages::register(number, ""));
    move |_| {
        let message = Message::parse(&next()).unwrap().stamped(flow().remote);
        black_box(Response::to(&message, Status::OK).to_tag("5f3a8c71e2b94d06").bytes());
    }
}

fn verify(algorithm: Algorithm) -> impl FnMut(u32) {
    let mut challenger = Challenger::new("pleiad.test", [7; 32], 0);
    let source = flow().remote.ip();
    let challenges = challenger.challenges(Duration::ZERO, source, false);
    let secrets = Secrets::of("2101", "pleiad.test", "a long secret of the phone");
    assert_eq!(secrets.md5, ha1(Algorithm::Md5, "2101", "pleiad.test", "a long secret of the phone"));
    let refusal = Message::parse(&messages::register(1, "")).unwrap();
    let wanted = challenges.iter().find(|line| line.contains(algorithm.as_str())).unwrap();
    let refusal = Response::to(&refusal, Status::UNAUTHORIZED).header(Name::WwwAuthenticate, wanted);
    let password = Password::Stored(secrets.clone());
    let mut client = Client::challenged(&refusal.message().unwrap(), "2101", &password).unwrap();
    let uri = "sip:pleiad.test";
    // Answers are made in advance, as the phones make them.
    let mut number = 0;
    let mut used = UsedNonces::default();
    let mut requests = Vec::new();
    move |turn| {
        if requests.is_empty() {
            requests = (0..64)
                .map(|_| {
                    let (name, value) = client.authorization(&Method::Register, uri, "0a4f113b6e7c");
                    number += 1;
                    messages::register(number, &format!("{name}: {value}\r\n"))
                })
                .collect();
            requests.reverse();
        }
        let request = Message::parse(&requests.pop().unwrap()).unwrap();
        let credentials = challenger.read(&request, Name::Authorization).unwrap().unwrap();
        let known = Known { secrets: secrets.as_ref(), used: &mut used };
        let now = Duration::from_millis(turn.into());
        let verdict = challenger.judge(now, source, &request, &credentials, Some(known));
        assert_eq!(verdict, Verdict::Accepted);
    }
}

fn challenge() -> impl FnMut(u32) {
    let mut challenger = Challenger::new("pleiad.test", [7; 32], 0);
    move |_| {
        black_box(challenger.challenges(Duration::from_secs(1), flow().remote.ip(), false));
    }
}

fn names() -> impl FnMut(u32) {
    let mut tokens = Tokens::new([3; 32]);
    move |_| {
        black_box((tokens.tag(), tokens.branch()));
    }
}

/// One phone's layer and ours: INVITE, 180, 200, ACK, BYE, 200, and all timers later.
fn call() -> impl FnMut(u32) {
    let mut ours: Layer<Flow> = Layer::new(Limits::default());
    let mut phone: Layer<Flow> = Layer::new(Limits::default());
    let (mut now, mut number) = (Duration::ZERO, 0);
    move |_| {
        now += BETWEEN;
        number += 1;
        let invite = Message::parse(&messages::invite(number)).unwrap();
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        phone.handle(now, Input::Request { to: flow(), request: invite.clone() }, &mut said);
        pass(&mut ours, now, &mut said, &mut heard);
        let Some(Output::Request { key, message, .. }) = heard.pop() else { unreachable!() };
        for status in [Status::RINGING, Status::OK] {
            let response = Response::to(&message, status)
                .to_tag("5f3a8c71e2b94d06")
                .contact(message.to())
                .body("application/sdp", messages::sdp().as_bytes())
                .message()
                .unwrap();
            ours.handle(now, Input::Respond { key: key.clone(), response }, &mut heard);
            pass(&mut phone, now, &mut heard, &mut said);
        }
        let ok = said.iter().rev().find_map(|output| match output {
            Output::Response { message, .. } => Some(message.clone()),
            _ => None,
        });
        let ok = ok.unwrap();
        said.clear();
        let mut dialog = sip::Dialog::as_caller(&invite, &ok).unwrap();
        let via =
            |kind: u8| Via::new("UDP", flow().remote.ip(), Some(5060), &format!("z9hG4bK{kind}{number}"));
        let ack = dialog.ack(invite.cseq().number, &via(1)).message().unwrap();
        let key = sip::ClientKey::of(&invite);
        phone.handle(now, Input::Acknowledge { key, to: flow(), ack }, &mut said);
        pass(&mut ours, now, &mut said, &mut heard);
        heard.clear();
        let bye = dialog.request(Method::Bye, &via(2)).message().unwrap();
        phone.handle(now, Input::Request { to: flow(), request: bye }, &mut said);
        pass(&mut ours, now, &mut said, &mut heard);
        let Some(Output::Request { message, .. }) = heard.pop() else { unreachable!() };
        let response = Response::to(&message, Status::OK).message().unwrap();
        ours.handle(now, Input::Respond { key: ServerKey::of(&message), response }, &mut heard);
        pass(&mut phone, now, &mut heard, &mut said);
        said.clear();
        for layer in [&mut ours, &mut phone] {
            if layer.next_timeout().is_some_and(|at| at <= now) {
                layer.handle(now, Input::Tick, &mut said);
            }
        }
    }
}

/// Carries what one layer sends to the other, through bytes.
fn pass(to: &mut Layer<Flow>, now: Duration, from: &mut Vec<Output<Flow>>, out: &mut Vec<Output<Flow>>) {
    for output in from.drain(..) {
        if let Output::Send { bytes, .. } = output {
            let message = Message::parse(&bytes).unwrap();
            let message = if message.is_request() { message.stamped(flow().remote) } else { message };
            to.handle(now, Input::Received { from: flow(), message }, out);
        }
    }
}

/// Transactions of the memory figures.
const HELD: u32 = 20_000;

/// Bytes that one finished transaction keeps, as `weigh` tells for all of them.
pub(crate) fn memory(
    weigh: impl Fn(&dyn Fn() -> Box<dyn std::any::Any>) -> f64,
) -> Vec<(&'static str, f64, &'static str)> {
    let register: &dyn Fn() -> Box<dyn std::any::Any> = &|| {
        let mut layer: Layer<Flow> = Layer::new(Limits::default());
        let mut out = Vec::new();
        for number in 0..HELD {
            let message = Message::parse(&messages::register(number, "")).unwrap().stamped(flow().remote);
            let contact = message.contact().unwrap().unwrap();
            let (key, response) = (ServerKey::of(&message), answer(&message, &contact).message().unwrap());
            layer.handle(Duration::ZERO, Input::Received { from: flow(), message }, &mut out);
            layer.handle(Duration::ZERO, Input::Respond { key, response }, &mut out);
            out.clear();
        }
        assert_eq!(layer.len(), usize::try_from(HELD).unwrap());
        out.shrink_to_fit();
        Box::new(layer)
    };
    let sent: &dyn Fn() -> Box<dyn std::any::Any> = &|| {
        let mut layer: Layer<Flow> = Layer::new(Limits::default());
        let mut out = Vec::new();
        for number in 0..HELD {
            let request = Message::parse(&messages::register(number, "")).unwrap();
            let response = Response::to(&request, Status::OK).message().unwrap();
            layer.handle(Duration::ZERO, Input::Request { to: flow(), request }, &mut out);
            layer.handle(Duration::ZERO, Input::Received { from: flow(), message: response }, &mut out);
            out.clear();
        }
        Box::new(layer)
    };
    let message: &dyn Fn() -> Box<dyn std::any::Any> = &|| {
        Box::new(
            (0..HELD)
                .map(|number| Message::parse(&messages::register(number, "")).unwrap())
                .collect::<Vec<_>>(),
        )
    };
    let each = |bytes: f64| bytes / f64::from(HELD);
    vec![
        ("one REGISTER answered, kept 32 s", each(weigh(register)), "<= 1024"),
        ("one request of ours answered, kept 5 s", each(weigh(sent)), "<= 1024"),
        ("one REGISTER as a message", each(weigh(message)), ""),
    ]
}
