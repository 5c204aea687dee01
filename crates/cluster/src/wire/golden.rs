//! The bytes of every message, as the first release wrote them. A change here is a change of the protocol: it
//! may only add.

use super::*;
use crate::framer;
use prost::Message;

fn position() -> Position {
    Position { history: 0x0102_0304_0506_0708, epoch: 3, revision: 300 }
}

fn record() -> Record {
    Record { kind: 5, key: "night".into(), revision: 300, value: br#"{"prefixes":["00"]}"#.to_vec() }
}

fn binding() -> Binding {
    Binding { extension: "2101".into(), device: "urn:uuid:1".into(), detail: b"{}".to_vec() }
}

fn line() -> Line {
    Line { extension: "2101".into(), detail: b"{}".to_vec() }
}

/// One of each, with every field set.
fn messages() -> Vec<Body> {
    let deletion = Deletion { kind: 4, key: "guest".into(), revision: 301 };
    vec![
        Body::Hello(Hello {
            cluster: "c-1".into(),
            member: 7,
            dongle_id: "AB-12".into(),
            release: "R7.0".into(),
            hardware_type: "server".into(),
            position: Some(position()),
            digest: vec![0xab; 32],
            kinds: vec![1, 7],
            unix_ms: 1_700_000_000_000,
            instance: 9,
        }),
        Body::Welcome(Welcome {
            authority: Authority::Full.into(),
            position: Some(position()),
            unix_ms: 1_700_000_000_001,
            release: "R7.0".into(),
        }),
        Body::Refuse(Refuse { reason: RefuseReason::DongleDiffers.into() }),
        Body::Heartbeat(Heartbeat {
            position: Some(position()),
            digest: vec![0xcd; 32],
            snapshots: 1,
            durable: 299,
            unix_ms: 1_700_000_000_002,
        }),
        Body::SnapshotBegin(SnapshotBegin { position: Some(position()), records: 1 }),
        Body::SnapshotRecords(SnapshotRecords { records: vec![record()] }),
        Body::SnapshotEnd(SnapshotEnd { digest: vec![0xef; 32] }),
        Body::Changes(Changes {
            revision: 301,
            follows: 300,
            changes: vec![
                Change { step: Some(Step::Put(record())) },
                Change { step: Some(Step::Delete(deletion)) },
            ],
        }),
        Body::Current(Current { revision: 301 }),
        Body::Live(Live { first: true, last: true, bound: vec![binding()], unbound: vec![binding()] }),
        Body::Log(Log { entries: vec![LogEntry { id: "l-1".into(), body: b"{}".to_vec() }] }),
        Body::LogAck(LogAck { ids: vec!["l-1".into()] }),
        Body::Goodbye(Goodbye {}),
        Body::Part(Part { bytes: vec![1, 2, 3], last: true }),
        Body::Lines(Lines { first: true, last: true, lines: vec![line()], gone: vec!["2102".into()] }),
        Body::Watch(Watch {
            first: true,
            last: true,
            begun: vec!["2201".into()],
            ended: vec!["2202".into()],
        }),
        Body::Lamps(Lamps {
            lamps: vec![Lamp { extension: "2201".into(), known: true, details: vec![b"{}".to_vec()] }],
        }),
    ]
}

#[test]
fn amb_04_the_bytes_of_every_message_are_those_of_the_first_release() {
    let lines: Vec<String> = messages()
        .into_iter()
        .map(|body| {
            let bytes = Frame { body: Some(body) }.encode_to_vec();
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        })
        .collect();
    insta::assert_snapshot!("wire_v1", lines.join("\n"));
}

#[test]
fn amb_04_unknown_fields_and_messages_of_a_later_release_are_skipped() {
    for body in messages() {
        let mut bytes = Frame { body: Some(body.clone()) }.encode_to_vec();
        // Field 999, a varint, behind the message; and the same inside it is covered by protobuf's own rule.
        bytes.extend_from_slice(&[0xb8, 0x3e, 0x01]);
        assert_eq!(Frame::decode(bytes.as_slice()).unwrap().body, Some(body));
    }
    // Body 200: a message that does not exist yet.
    let later = [0xc2, 0x0c, 0x02, 0x08, 0x01];
    assert_eq!(Frame::decode(later.as_slice()).unwrap().body, None);
}

#[test]
fn each_message_goes_through_a_frame_unchanged() {
    for body in messages().into_iter().filter(|body| !matches!(body, Body::Part(_))) {
        let mut framer = framer::Framer::default();
        framer.push(&framer::frames(&body).concat());
        assert_eq!(framer.message().unwrap(), Some(body));
        assert_eq!(framer.message().unwrap(), None);
    }
}
