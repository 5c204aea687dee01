//! The two ends of the calls of the bench: phones of one independent edge, as SIPp plays them.

use crate::Meter;
use call::{Edge, EdgeConfig, Hop, Input, Output, Place};
use model::{Kind, MemberNumber, Record};
use sip::digest::{Algorithm, Client, Password, ha1};
use sip::{Flow, Message, Method, Name, Response, Status, Transport};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

const REALM: &str = "c-0123456789abcdef";
const DOMAIN: &str = "pleiad.test";
/// The phone that is called.
const CALLED: u32 = 20_999;
/// The first of those that call.
const CALLER: u32 = 20_000;
/// So many of them: no subscriber has more than ten calls.
const CALLERS: u32 = 500;
/// Time between two messages.
const STEP: Duration = Duration::from_millis(2);

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 28082 RTP/AVP 8 101\r\n\
                   a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// An edge and its phones.
pub(crate) struct Phones {
    edge: Edge,
    now: Duration,
    out: Vec<Output>,
    next: u32,
}

/// What a call's further requests are made of.
pub(crate) struct Talk {
    call: u32,
    caller: u32,
    /// The Contact of the 200.
    target: String,
    /// Its To.
    to: String,
}

fn flow(port: u16) -> Flow {
    let local = SocketAddr::from(([192, 0, 2, 1], 5060));
    Flow { transport: Transport::Udp, local, remote: SocketAddr::from(([192, 0, 2, 7], port)), connection: 0 }
}

fn calling() -> Flow {
    flow(6083)
}

fn called() -> Flow {
    flow(6082)
}

fn password(user: u32) -> String {
    format!("pw{user}-of-a-load-phone")
}

fn record(kind: Kind, key: &str, value: String) -> Record {
    Record { kind, key: key.to_owned(), revision: 1, value: value.into_bytes() }
}

fn subscriber(user: u32) -> Record {
    let (name, secret) = (user.to_string(), password(user));
    let [md5, sha256] =
        [Algorithm::Md5, Algorithm::Sha256].map(|algorithm| ha1(algorithm, &name, REALM, &secret));
    let value = format!(
        r#"{{"name":"Phone {user}","feature_class":"free","home":0,"credentials":{{"ha1_md5":"{md5}","ha1_sha256":"{sha256}"}}}}"#
    );
    record(Kind::Subscriber, &name, value)
}

/// Header lines that every request of a phone has.
fn head(user: u32, branch: &str, call: &str, cseq: &str) -> String {
    let port = if user == CALLED { 6081 } else { 6083 };
    format!(
        "Via: SIP/2.0/UDP 192.0.2.7:{port};branch=z9hG4bK-{branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{DOMAIN}>;tag=9921c{call}\r\nCall-ID: {call}-9921@192.0.2.7\r\nCSeq: {cseq}\r\n"
    )
}

impl Phones {
    /// An edge with its subscribers, and the called phone registered.
    pub(crate) fn registered() -> Phones {
        let config = EdgeConfig::new(MemberNumber::CLUSTER_SERVER, Place::Independent, REALM);
        let mut records = vec![
            record(
                Kind::Cluster,
                "cluster",
                format!(r#"{{"id":"{REALM}","name":"Bench","domain":"{DOMAIN}","site_number":1}}"#),
            ),
            record(
                Kind::NumberingRange,
                "all",
                r#"{"first":"20000","last":"20999","use":"extensions"}"#.to_owned(),
            ),
            record(Kind::FeatureClass, "free", "{}".to_owned()),
        ];
        records.extend((CALLER..CALLER + CALLERS).chain([CALLED]).map(subscriber));
        let mut edge = Edge::new(config, [7; 32]);
        let mut out = Vec::new();
        let now = Duration::from_secs(1_700_000_000);
        edge.handle(now, Input::Snapshot(records), &mut out);
        let mut phones = Phones { edge, now, out: Vec::new(), next: 0 };
        let register = |cseq: u32, proof: &str| {
            let head = head(CALLED, &format!("r{cseq}"), "r", &format!("{cseq} REGISTER"));
            format!(
                "REGISTER sip:{DOMAIN} SIP/2.0\r\n{head}To: <sip:{CALLED}@{DOMAIN}>\r\n\
                 Contact: <sip:{CALLED}@192.0.2.7:6082;transport=UDP>\r\nExpires: 3600\r\n{proof}Content-Length: 0\r\n\r\n"
            )
        };
        let meter = &mut Meter::default();
        let challenge = phones.ask(meter, flow(6081), &register(1, ""));
        let proof = proof(&challenge, CALLED, "REGISTER", &format!("sip:{DOMAIN}"));
        let answer = phones.ask(meter, flow(6081), &register(2, &proof));
        assert_eq!(answer.status(), Some(Status::OK));
        phones
    }

    /// Time passes.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.edge.next_timeout()
            && due <= until
        {
            self.now = due.max(self.now);
            self.edge.handle(self.now, Input::Tick, &mut self.out);
            for (from, message) in self.said() {
                if asks(&message) {
                    self.give(&mut Meter::default(), from, &answer_to(&message, Status::OK, ""));
                }
            }
            self.out.clear();
        }
        self.now = until;
    }

    /// INVITE to BYE.
    pub(crate) fn whole_call(&mut self, meter: &mut Meter) {
        let talk = self.answered_call(meter);
        let Talk { call, caller, target, to } = talk;
        let head = head(caller, &format!("{call}-7"), &call.to_string(), "3 BYE");
        let bye = format!("BYE {target} SIP/2.0\r\n{head}To: {to}\r\nContent-Length: 0\r\n\r\n");
        let said = self.give(meter, calling(), &bye);
        assert_eq!(one(&said, calling()).status(), Some(Status::OK));
        let bye = one(&said, called());
        let said = self.give(meter, called(), &answer_to(&bye, Status::OK, ""));
        assert!(said.is_empty());
    }

    /// INVITE to ACK: two phones talk.
    pub(crate) fn answered_call(&mut self, meter: &mut Meter) -> Talk {
        let call = self.next;
        self.next += 1;
        let caller = CALLER + call % CALLERS;
        let name = call.to_string();
        let uri = format!("sip:{CALLED}@{DOMAIN}");
        let invite = |number: u32, proof: &str| {
            let head = head(caller, &format!("{call}-{number}"), &name, &format!("{number} INVITE"));
            let length = SDP.len();
            format!(
                "INVITE {uri} SIP/2.0\r\n{head}To: <{uri}>\r\nContact: <sip:{caller}@192.0.2.7:6083;transport=UDP>\r\n\
                 {proof}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{SDP}"
            )
        };
        let challenge = self.ask(meter, calling(), &invite(1, ""));
        let to = challenge.header(Name::To).unwrap();
        let head_of_ack = head(caller, &format!("{call}-1"), &name, "1 ACK");
        let ack = format!("ACK {uri} SIP/2.0\r\n{head_of_ack}To: {to}\r\nContent-Length: 0\r\n\r\n");
        self.give(meter, calling(), &ack);
        let proof = proof(&challenge, caller, "INVITE", &uri);
        let said = self.give(meter, calling(), &invite(2, &proof));
        let invite = one(&said, called());
        let said = self.give(meter, called(), &answer_to(&invite, Status::RINGING, ""));
        assert_eq!(one(&said, calling()).status(), Some(Status::RINGING));
        let said = self.give(meter, called(), &answer_to(&invite, Status::OK, SDP));
        let answer = one(&said, calling());
        assert_eq!(answer.status(), Some(Status::OK));
        let to = answer.header(Name::To).unwrap().to_owned();
        let target = answer.contact().unwrap().unwrap().uri.to_string();
        let head = head(caller, &format!("{call}-6"), &name, "2 ACK");
        let ack = format!("ACK {target} SIP/2.0\r\n{head}To: {to}\r\nContent-Length: 0\r\n\r\n");
        let said = self.give(meter, calling(), &ack);
        one(&said, called());
        Talk { call, caller, target, to }
    }

    /// Gives a message, and gives back the only answer.
    fn ask(&mut self, meter: &mut Meter, from: Flow, text: &str) -> Message {
        let said = self.give(meter, from, text);
        one(&said, from)
    }

    fn give(&mut self, meter: &mut Meter, from: Flow, text: &str) -> Vec<(Flow, Message)> {
        self.now += STEP;
        let (edge, now, out) = (&mut self.edge, self.now, &mut self.out);
        meter.count(|| take(edge, now, from, text.as_bytes(), out));
        let (asked, said) = self.said().into_iter().partition::<Vec<_>, _>(|(_, message)| asks(message));
        for (to, options) in asked {
            self.give(&mut Meter::default(), to, &answer_to(&options, Status::OK, ""));
        }
        said
    }

    fn said(&mut self) -> Vec<(Flow, Message)> {
        let sent = self.out.drain(..).filter_map(|output| match output {
            Output::Send { to: Hop::Phone(flow), bytes } => Some((flow, Message::parse(&bytes).unwrap())),
            _ => None,
        });
        sent.collect()
    }
}

/// What the daemon does with a datagram: reads it, stamps it, gives it to the edge.
#[inline(never)]
fn take(edge: &mut Edge, now: Duration, from: Flow, bytes: &[u8], out: &mut Vec<Output>) {
    let message = Message::parse(bytes).unwrap();
    let message = if message.is_request() { message.stamped(from.remote) } else { message };
    edge.handle(now, Input::Sip { from: Hop::Phone(from), message }, out);
    black_box(&*out);
}

/// A question whether a phone is there.
fn asks(message: &Message) -> bool {
    message.is_request() && *message.method() == Method::Options
}

/// The only message that went there.
fn one(said: &[(Flow, Message)], to: Flow) -> Message {
    let mut there = said.iter().filter(|(flow, _)| *flow == to).map(|(_, message)| message.clone());
    let message = there.next().unwrap();
    assert!(there.next().is_none());
    message
}

fn answer_to(request: &Message, status: Status, words: &str) -> String {
    let response = Response::to(request, status).to_tag("8812s1");
    let response =
        response.header(Name::Contact, format_args!("<sip:{CALLED}@192.0.2.7:6082;transport=UDP>"));
    let response =
        if words.is_empty() { response } else { response.body("application/sdp", words.as_bytes()) };
    String::from_utf8(response.bytes()).unwrap()
}

fn proof(challenge: &Message, user: u32, method: &str, uri: &str) -> String {
    let mut client =
        Client::challenged(challenge, &user.to_string(), &Password::Plain(password(user))).unwrap();
    let (name, value) = client.authorization(&Method::from(method), uri, "0a4f113b");
    format!("{}: {value}\r\n", name.as_str())
}
