//! What must hold for a whole edge whatever it is sent, by whomever, in whatever order. The fuzz target `edge_input` uses
//! this file, and `hostile` replays its corpus.
//!
//! The input is a life: steps with the byte FF between them. The first byte of a step says what happens.
//!
//! | byte | what |
//! | --- | --- |
//! | `m` | a stranger sends the rest as a datagram |
//! | `1` `2` | the phone of 2101, of 2102, sends it, and once more with its credentials when it is challenged |
//! | `t` | a stranger's connection brings it as a stream |
//! | `c` | a member sends it |
//! | `a` `b` | the phone of 2101, of 2102, answers what it was asked last, with the status of the next byte, the rest as SDP |
//! | `w` | time passes: the square of the next byte in ms |
//! | `u` `d` | the cluster is there, is not there |
//! | `f` | the edge is frozen and thawed |
//! | `x` | the phones' connections are lost |

use call::{ClusterSide, Edge, EdgeConfig, Fault, Hop, Input, Output, Place};
use model::{Kind, Record};
use sip::digest::{Algorithm, Client, Password, ha1};
use sip::{Edit, Flow, Framer, Message, Method, Name, NameAddr, Response, Status, Transport, Uri};
use std::time::Duration;

const REALM: &str = "c-test";
const START: Duration = Duration::from_secs(1_700_000_000);
const STEPS_MAX: usize = 100;
const STATUSES: [u16; 12] = [100, 180, 183, 200, 302, 401, 404, 486, 487, 488, 503, 603];

/// One life of an edge.
pub(crate) fn life(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut world = World::new(1 + first % 4);
    for step in rest.split(|byte| *byte == 0xff).take(STEPS_MAX) {
        if let Some((what, rest)) = step.split_first() {
            world.step(*what, rest);
        }
    }
    world.close();
}

struct World {
    edge: Edge,
    now: Duration,
    framer: Framer,
    /// What each of the two phones was asked last.
    asked: [Option<Message>; 2],
    seed: u8,
}

fn flow(last: u8, transport: Transport) -> Flow {
    let remote = std::net::SocketAddr::from(([192, 0, 2, last], 5060));
    let connection = u64::from(transport.is_reliable()) * u64::from(last);
    Flow { transport, local: ([192, 0, 2, 1], 5060).into(), remote, connection }
}

fn phone(which: usize) -> (Flow, &'static str) {
    if which == 0 { (flow(101, Transport::Udp), "2101") } else { (flow(102, Transport::Tcp), "2102") }
}

fn records() -> Vec<Record> {
    let record = |kind, key: &str, value: String| Record {
        kind,
        key: key.to_owned(),
        revision: 1,
        value: value.into_bytes(),
    };
    let mut records = vec![
        record(
            Kind::Cluster,
            "cluster",
            format!(r#"{{"id":"{REALM}","name":"T","domain":"pleiad.test","site_number":1}}"#),
        ),
        record(
            Kind::NumberingRange,
            "all",
            r#"{"first":"2000","last":"2299","use":"extensions"}"#.to_owned(),
        ),
        record(Kind::FeatureClass, "free", "{}".to_owned()),
        record(Kind::SpecialNumber, "112", r#"{"emergency":true,"target":"2101"}"#.to_owned()),
    ];
    for number in ["2101", "2102"] {
        let [md5, sha256] =
            [Algorithm::Md5, Algorithm::Sha256].map(|algorithm| ha1(algorithm, number, REALM, "secret"));
        let value = format!(
            r#"{{"name":"N","feature_class":"free","home":1,"credentials":{{"ha1_md5":"{md5}","ha1_sha256":"{sha256}"}}}}"#
        );
        records.push(record(Kind::Subscriber, number, value));
    }
    records
}

impl World {
    fn new(shards: u8) -> World {
        let member = 1_u16.try_into().expect("a member number");
        let config = EdgeConfig::new(member, Place::Node, REALM).with_shards(shards);
        let edge = Edge::new(config, [3; 32]);
        let mut world = World { edge, now: START, framer: Framer::new(), asked: [None, None], seed: 0 };
        world.put(Input::Snapshot(records()));
        world.put(Input::Cluster(ClusterSide::Up));
        world
    }

    fn step(&mut self, what: u8, rest: &[u8]) {
        match what {
            b'm' => self.datagram(rest),
            b'1' | b'2' => self.of_phone(usize::from(what - b'1'), rest),
            b't' => self.stream(rest),
            b'c' => {
                if let Ok(message) = Message::parse(rest) {
                    self.put(Input::Sip { from: Hop::Cluster, message });
                }
            }
            b'a' | b'b' => self.answer(usize::from(what - b'a'), rest),
            b'w' => {
                let root = u64::from(rest.first().copied().unwrap_or(1));
                self.wait(Duration::from_millis(root * root));
            }
            b'u' => drop(self.put(Input::Cluster(ClusterSide::Up))),
            b'd' => drop(self.put(Input::Cluster(ClusterSide::Down))),
            b'f' => self.freeze(),
            b'x' => {
                [0, 1].map(phone).into_iter().for_each(|(flow, _)| drop(self.put(Input::FlowClosed(flow))))
            }
            _ => {}
        }
    }

    /// Hands one input to the edge. What it sends can be read, and it has no fault of its own making.
    fn put(&mut self, input: Input) -> Vec<(Hop, Message)> {
        let mut out = Vec::new();
        self.edge.handle(self.now, input, &mut out);
        let mut sent = Vec::new();
        for output in out {
            match output {
                Output::Send { to, bytes } => {
                    let message = Message::parse(&bytes).expect("what is sent can be read");
                    for which in [0, 1] {
                        if to == Hop::Phone(phone(which).0) && message.is_request() {
                            self.asked[which] = Some(message.clone());
                        }
                    }
                    sent.push((to, message));
                }
                Output::Fault(Fault::Unbuildable(what)) => panic!("our own bug: {what}"),
                _ => {}
            }
        }
        assert!(self.edge.bindings().all(|bound| ["2101", "2102"].contains(&bound.read().extension)));
        sent
    }

    fn heard(&mut self, flow: Flow, message: Message) -> Vec<(Hop, Message)> {
        let message = if message.is_request() { message.stamped(flow.remote) } else { message };
        self.put(Input::Sip { from: Hop::Phone(flow), message })
    }

    /// A stranger changes nothing, and is told at most what it has said and a little more, once.
    fn datagram(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let (bound, calls) = (self.edge.bindings().count(), self.edge.calls().len());
        let from = flow(200, Transport::Udp);
        let told = self.heard(from, message);
        let told: Vec<&Message> =
            told.iter().filter(|(to, _)| *to == Hop::Phone(from)).map(|(_, message)| message).collect();
        assert!(told.len() <= 1, "one answer for one request");
        let length: usize = told.iter().map(|answer| answer.to_bytes().len()).sum();
        assert!(length <= bytes.len() + 600, "{length} bytes for {}", bytes.len());
        assert_eq!(self.edge.bindings().count(), bound);
        assert!(self.edge.calls().len() <= calls);
    }

    fn stream(&mut self, bytes: &[u8]) {
        let mut frames = Vec::new();
        if self.framer.push(bytes, &mut frames).is_err() {
            self.framer = Framer::new();
        }
        for frame in frames {
            if let sip::Frame::Message(message) = frame {
                self.heard(flow(201, Transport::Tcp), message);
            }
        }
    }

    fn of_phone(&mut self, which: usize, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let (flow, number) = phone(which);
        let told = self.heard(flow, message.clone());
        let Some((_, challenge)) = told.into_iter().find(|(_, message)| message.is_challenge()) else {
            return;
        };
        let password = Password::Plain("secret".to_owned());
        let Some(mut client) = Client::challenged(&challenge, number, &password) else { return };
        let Some(uri) = message.request_uri() else { return };
        let (name, value) = client.authorization(message.method(), &uri.to_string(), "c");
        if let Ok(signed) = Edit::of(&message).set(name, value).message() {
            self.heard(flow, signed);
        }
    }

    fn answer(&mut self, which: usize, rest: &[u8]) {
        let (Some(asked), Some((status, sdp))) = (self.asked[which].clone(), rest.split_first()) else {
            return;
        };
        let status = STATUSES[usize::from(*status) % STATUSES.len()];
        let status = Status::try_from(status).expect("a status");
        let contact = NameAddr::new(Uri::sip("x", phone(which).0.remote.ip()));
        let response = Response::to(&asked, status).contact(&contact);
        let response = if asked.to().tag().is_none() { response.to_tag("p") } else { response };
        let response = if sdp.is_empty() { response } else { response.body("application/sdp", sdp) };
        if let Ok(response) = response.message() {
            self.heard(phone(which).0, response);
        }
    }

    fn freeze(&mut self) {
        let bytes = self.edge.freeze().expect("an edge can be frozen");
        self.seed = self.seed.wrapping_add(1);
        self.edge = Edge::thaw(&bytes, [self.seed; 32]).expect("and thawed");
        self.put(Input::Snapshot(records()));
    }

    /// Wakes the edge when it asked for it; each waking must move its next timer on.
    fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.edge.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.put(Input::Tick);
            assert!(
                self.edge.next_timeout().is_none_or(|next| next > self.now),
                "a timer that was due is done"
            );
        }
        self.now = end;
    }

    /// Everybody falls silent: within three hours nothing is left.
    fn close(&mut self) {
        self.wait(Duration::from_secs(3 * 3600));
        assert_eq!(self.edge.calls(), []);
        assert_eq!(self.edge.bindings().count(), 0);
    }
}

trait Challenge {
    fn is_challenge(&self) -> bool;
}

impl Challenge for Message {
    fn is_challenge(&self) -> bool {
        let refused = self.status().is_some_and(|status| [401, 407].contains(&status.code()));
        refused && *self.method() != Method::Ack && {
            self.header(Name::WwwAuthenticate).or(self.header(Name::ProxyAuthenticate)).is_some()
        }
    }
}
