//! Who hears of what, and in which order.

use super::*;
use call::{EdgeConfig, Place, Whereabouts};
use cluster::{Hub, LiveBinding, hub};
use model::{ClusterId, Extension, Kind, MemberNumber, Position, Record};
use sip::digest::{Algorithm, Client, Password, ha1};
use sip::{Flow, Message, Method, Transport};

const NOW: Duration = Duration::from_secs(1_700_000_000);
const SECRET: &str = "a-long-secret-of-2001";

fn cluster() -> ClusterId {
    "c-1".parse().unwrap()
}

fn member(number: u16) -> MemberNumber {
    MemberNumber::try_from(number).unwrap()
}

fn extension() -> Extension {
    "2001".parse().unwrap()
}

fn record(kind: Kind, key: &str, value: &serde_json::Value) -> Record {
    Record { kind, key: key.to_owned(), revision: 1, value: value.to_string().into_bytes() }
}

fn records() -> Vec<Record> {
    let credentials = serde_json::json!({
        "ha1_md5": ha1(Algorithm::Md5, "2001", "c-1", SECRET),
        "ha1_sha256": ha1(Algorithm::Sha256, "2001", "c-1", SECRET),
    });
    let subscriber = serde_json::json!({ "feature_class": "default", "home": 1, "credentials": credentials });
    vec![
        record(Kind::FeatureClass, "default", &serde_json::json!({})),
        record(Kind::Subscriber, "2001", &subscriber),
    ]
}

fn centre() -> Member {
    let edge = EdgeConfig::new(MemberNumber::CLUSTER_SERVER, Place::ClusterServer, "c-1");
    let config = CallSideConfig {
        cluster: cluster(),
        edge,
        seed: [7; 32],
        records: records(),
        bindings: Vec::new(),
        calls: Vec::new(),
        subscriptions: Vec::new(),
    };
    let mut first = Vec::new();
    let calls = CallSide::new(NOW, config, &mut first);
    let settings = hub::Settings { cluster: cluster(), release: model::release::THIS };
    let position = Position { history: 1, epoch: 1, revision: 1 };
    let link = LinkSide::Server(Box::new(Hub::new(settings, position, records(), Vec::new(), NOW)));
    Member::new(NOW, calls, link, first, &mut Vec::new())
}

fn flow() -> Flow {
    let local = "127.0.0.1:5060".parse().unwrap();
    Flow { transport: Transport::Udp, local, remote: "127.0.0.1:40000".parse().unwrap(), connection: 0 }
}

fn register(authorization: &str, cseq: u32) -> CallInput {
    let text = format!(
        "REGISTER sip:c-1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;rport;branch=z9hG4bK{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:2001@c-1>;tag=a\r\nTo: <sip:2001@c-1>\r\nCall-ID: r\r\n\
         CSeq: {cseq} REGISTER\r\nContact: <sip:2001@127.0.0.1:40000>\r\n{authorization}Content-Length: 0\r\n\r\n"
    );
    CallInput::Phone { flow: flow(), message: Message::parse(text.as_bytes()).unwrap() }
}

fn told(member: &mut Member, input: CallInput) -> Vec<Output> {
    let mut out = Vec::new();
    member.handle(NOW, Input::Calls(input), &mut out);
    out
}

/// The status of the only message to a phone among `sends`.
fn status(sends: &[PhoneSend]) -> u16 {
    assert_eq!(sends.len(), 1);
    Message::parse(&sends[0].bytes).unwrap().status().map(u16::from).unwrap()
}

#[test]
fn a_registration_is_acknowledged_behind_its_write_and_published_at_once() {
    let mut centre = centre();
    let challenge = told(&mut centre, register("", 1));
    let [Output::Calls(CallOutput::SendPhone(send))] = challenge.as_slice() else { panic!("{challenge:?}") };
    let refusal = Message::parse(&send.bytes).unwrap();
    let mut client = Client::challenged(&refusal, "2001", &Password::Plain(SECRET.to_owned())).unwrap();
    let (name, value) = client.authorization(&Method::Register, "sip:c-1", "cnonce");
    let out = told(&mut centre, register(&format!("{}: {value}\r\n", name.as_str()), 2));
    let [Output::Calls(CallOutput::KeepBinding { then, .. })] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!(status(then), 200);
    let found = centre.calls.location().unwrap().find(&extension(), centre.calls.tables());
    assert_eq!(found, Whereabouts::Bound(vec![MemberNumber::CLUSTER_SERVER]));
}

#[test]
fn a_lost_node_is_unreachable_and_a_deleted_one_is_nowhere() {
    let mut centre = centre();
    let live = LiveBinding { extension: extension(), device: "d".to_owned(), detail: Vec::new() };
    let here = |centre: &Member| centre.calls.location().unwrap().find(&extension(), centre.calls.tables());
    told(&mut centre, CallInput::Link(LinkNotice::LiveReset(member(1), vec![live])));
    assert_eq!(here(&centre), Whereabouts::Bound(vec![member(1)]));
    told(&mut centre, CallInput::Link(LinkNotice::NodeDown(member(1), NOW)));
    assert!(matches!(here(&centre), Whereabouts::Unreachable { .. }));
    assert_eq!(centre.calls.published().count(), 1);
    let gone = Change::Delete { kind: Kind::Node, key: "1".to_owned(), revision: 2 };
    told(&mut centre, CallInput::Changes(vec![gone]));
    assert_eq!(centre.calls.published().count(), 0);
}

#[test]
fn syn_01_a_commit_is_in_force_in_calls_and_links_in_one_step() {
    let mut centre = centre();
    let range = serde_json::json!({ "first": "2000", "last": "2999", "use": "extensions" });
    let changes = vec![Change::Put(Record { revision: 2, ..record(Kind::NumberingRange, "all", &range) })];
    centre.handle(NOW, Input::Committed { revision: 2, changes }, &mut Vec::new());
    assert!(centre.calls.tables().range_of(&extension()).is_some());
    assert_eq!(centre.link.position().map(|position| position.revision), Some(2));
}
