//! The table of every state of a node and every event, as `docs/design/link.md` prints it for people. The table
//! in the document is compared with what the machine does, cell by cell.

use super::world::{T0, identity, member, peer};
use crate::Digest;
use crate::framer::{Framer, frames};
use crate::link::{Conn, LiveBinding, LiveLine, LogEntry, Refusal};
use crate::uplink::{EventName, Input, Output, StateName, Uplink};
use crate::wire::{
    Authority, Body, Changes, Current, Goodbye, Heartbeat, Hello, Lamps, LogAck, Position as WirePosition,
    Refuse, SnapshotBegin, SnapshotEnd, SnapshotRecords, Welcome,
};
use model::Position;
use std::fmt::Write as _;
use std::time::Duration;

const DOCUMENT: &str = include_str!("../../../../docs/design/link.md");
const STATES: [StateName; 4] =
    [StateName::Isolated, StateName::Connecting, StateName::Synchronising, StateName::Connected];
const CONN: Conn = Conn(1);

fn position() -> Position {
    Position { history: 77, epoch: 1, revision: 5 }
}

fn bytes(body: &Body) -> Input {
    Input::Bytes(CONN, frames(body).concat())
}

fn snapshot() -> [Body; 2] {
    let begin = SnapshotBegin { position: Some(position().into()), records: 0 };
    [Body::SnapshotBegin(begin), Body::SnapshotEnd(SnapshotEnd { digest: Digest::EMPTY.to_bytes().into() })]
}

fn welcome() -> Body {
    Body::Welcome(Welcome {
        authority: Authority::Full.into(),
        position: Some(position().into()),
        ..Welcome::default()
    })
}

/// A node that has come to that state in the ordinary way.
fn node_in(state: StateName) -> Uplink {
    let mut uplink = Uplink::new(identity(1), 1, Position::default(), [], [1; 32], T0);
    let mut inputs = vec![Input::Tick];
    match state {
        StateName::Isolated => inputs.push(Input::Closed(CONN)),
        StateName::Connecting => inputs.push(Input::Connected(CONN, peer(0))),
        StateName::Synchronising => inputs.extend([Input::Connected(CONN, peer(0)), bytes(&welcome())]),
        StateName::Connected => {
            inputs.extend([Input::Connected(CONN, peer(0)), bytes(&welcome())]);
            inputs.extend(snapshot().iter().map(bytes));
            inputs.push(bytes(&Body::Current(Current { revision: 5 })));
        }
    }
    for input in inputs {
        uplink.handle(T0, input, &mut Vec::new());
    }
    assert_eq!(uplink.standing().state, state);
    uplink
}

/// The event as the shell would bring it, and when.
fn event(name: EventName) -> (Duration, Input) {
    let begin = SnapshotBegin { position: Some(position().into()), records: 0 };
    let body = match name {
        EventName::DialDue => return (Duration::from_millis(1_300), Input::Tick),
        EventName::BeatDue => return (Duration::from_millis(600), Input::Tick),
        EventName::Overdue => return (Duration::from_millis(2_600), Input::Tick),
        EventName::Established => return (Duration::ZERO, Input::Connected(CONN, peer(0))),
        EventName::Closed => return (Duration::ZERO, Input::Closed(CONN)),
        EventName::Garbage => return (Duration::ZERO, Input::Bytes(CONN, vec![0xff; 8])),
        EventName::Room => return (Duration::ZERO, Input::Sent(CONN, 10)),
        EventName::Applied => return (Duration::ZERO, Input::Applied(position())),
        EventName::Registration => {
            let binding =
                LiveBinding { extension: "2101".parse().unwrap(), device: "d".into(), detail: vec![] };
            return (Duration::ZERO, Input::Bound(binding));
        }
        EventName::Line => {
            let line = LiveLine { extension: "2101".parse().unwrap(), detail: Some(vec![]) };
            return (Duration::ZERO, Input::Lines(vec![line]));
        }
        EventName::Interest => return (Duration::ZERO, Input::Watch("2201".parse().unwrap(), true)),
        EventName::Log => {
            return (Duration::ZERO, Input::Log(LogEntry { id: "l".into(), body: vec![] }));
        }
        EventName::Stop => return (Duration::ZERO, Input::Stop),
        EventName::Welcome => welcome(),
        EventName::Refuse => Body::Refuse(Refuse::from(Refusal::UnknownNode)),
        EventName::Heartbeat => Body::Heartbeat(Heartbeat {
            position: Some(WirePosition::from(position())),
            ..Heartbeat::default()
        }),
        EventName::SnapshotBegin => Body::SnapshotBegin(begin),
        EventName::SnapshotRecords => Body::SnapshotRecords(SnapshotRecords::default()),
        EventName::SnapshotEnd => Body::SnapshotEnd(SnapshotEnd::default()),
        EventName::Changes => Body::Changes(Changes { revision: 6, follows: 5, changes: vec![] }),
        EventName::Current => Body::Current(Current { revision: 5 }),
        EventName::Lamps => Body::Lamps(Lamps::default()),
        EventName::LogAck => Body::LogAck(LogAck { ids: vec!["l".into()] }),
        EventName::Goodbye => Body::Goodbye(Goodbye {}),
        EventName::Foreign => Body::Hello(Hello::default()),
    };
    (Duration::ZERO, bytes(&body))
}

/// What the event does in that state, in a few words.
fn cell(state: StateName, name: EventName) -> String {
    let mut uplink = node_in(state);
    let (later, input) = event(name);
    let mut out = Vec::new();
    // The clock is looked at in time: what is due earlier happens first.
    while let Some(due) = uplink.next_timeout().filter(|due| *due < T0 + later) {
        uplink.handle(due, Input::Tick, &mut out);
    }
    uplink.handle(T0 + later, input, &mut out);
    let mut words = String::new();
    let after = uplink.standing().state;
    if after != state {
        write!(words, "**{after:?}**").unwrap();
    }
    let mut said: Vec<String> = out.iter().flat_map(words_of).collect();
    said.dedup();
    if !said.is_empty() {
        let gap = if words.is_empty() { "" } else { " " };
        write!(words, "{gap}{}", said.join(", ")).unwrap();
    }
    if words.is_empty() { "–".to_owned() } else { words }
}

fn words_of(output: &Output) -> Vec<String> {
    match output {
        Output::Dial(_) => vec!["dial".into()],
        Output::Send(_, bytes) => {
            let mut framer = Framer::default();
            framer.push(bytes);
            let mut sent = Vec::new();
            while let Some(body) = framer.message().unwrap() {
                let name = format!("{body:?}");
                sent.push(format!("send {}", name.split('(').next().unwrap()));
            }
            sent
        }
        Output::Close(_, reason) => vec![format!("close ({reason:?})")],
        Output::Apply { .. } => vec!["apply".into()],
        Output::ApplySnapshot { .. } => vec!["apply snapshot".into()],
        Output::Up => vec!["up".into()],
        Output::Down => vec!["down".into()],
        Output::Lamps(_) => vec!["lamps".into()],
        Output::LogAcked(_) => vec!["log acked".into()],
        Output::WantLogs => vec!["want logs".into()],
        Output::Fault(_) => vec!["fault".into()],
        Output::StateChanged(_) => vec![],
    }
}

fn table() -> String {
    let mut table = String::from(
        "| event | isolated | connecting | synchronising | connected |\n|---|---|---|---|---|\n",
    );
    for name in EventName::ALL {
        let cells: Vec<String> = STATES.iter().map(|state| cell(*state, *name)).collect();
        writeln!(table, "| {name:?} | {} |", cells.join(" | ")).unwrap();
    }
    table
}

#[test]
fn duh_01_duh_03_every_state_meets_every_event_as_the_document_says() {
    let table = table();
    assert!(DOCUMENT.contains(&table), "docs/design/link.md should have this table:\n\n{table}");
}

#[test]
fn no_event_in_any_state_leaves_a_node_without_its_next_step() {
    for state in STATES {
        for name in EventName::ALL.iter().filter(|name| **name != EventName::Stop) {
            let mut uplink = node_in(state);
            let (later, input) = event(*name);
            uplink.handle(T0 + later, input, &mut Vec::new());
            assert!(uplink.next_timeout().is_some(), "{state:?} after {name:?}");
            assert_eq!(uplink.identity().member, member(1));
        }
    }
}
