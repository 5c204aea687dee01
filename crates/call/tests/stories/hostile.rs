//! Whatever the SIP grammar takes is put before an edge and the relay, as a phone sends it and as a member sends it:
//! the messages of RFC 4475 and 5118, and what fuzzing has found since.

use crate::world::{REALM, configuration, member_number};
use call::{ClusterSide, Edge, EdgeConfig, Hop, Input, Location, Output, Place, Relay, RelayOutput};
use sip::{Flow, Message, Transport};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const START: Duration = Duration::from_secs(1_700_000_000);

fn hostile_messages() -> Vec<Message> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = [crates.join("sip/tests/torture"), crates.join("../fuzz/corpus/sip_message")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter_map(|file| Message::parse(&std::fs::read(file).unwrap()).ok()).collect()
}

pub(crate) fn flow() -> Flow {
    let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.200:5060".parse().unwrap());
    Flow { transport: Transport::Udp, local, remote, connection: 0 }
}

pub(crate) fn edge(place: Place) -> Edge {
    let number = if place == Place::ClusterServer { 0 } else { 1 };
    let aliases = vec!["example.com".to_owned()];
    let config = EdgeConfig { aliases, ..EdgeConfig::new(member_number(number), place, REALM) };
    let mut edge = Edge::new(config, [3; 32]);
    let mut out = Vec::new();
    edge.handle(START, Input::Snapshot(configuration()), &mut out);
    edge.handle(START, Input::Cluster(ClusterSide::Up), &mut out);
    assert_eq!(out, []);
    edge
}

/// Every output is a message that can be sent, and none changes what is stored.
fn harmless(outputs: &[Output]) {
    for output in outputs {
        if let Output::Send { bytes, .. } = output {
            Message::parse(bytes).expect("what is sent can be read");
        }
        assert!(!matches!(output, Output::Binding(_) | Output::Fault(_)), "{output:?}");
    }
}

/// An hour passes; each waking moves the next one on.
fn an_hour_later(edge: &mut Edge) {
    let mut now = START;
    while let Some(at) = edge.next_timeout().filter(|at| *at < START + Duration::from_secs(3600)) {
        assert!(at > now || now == START, "a timer that was due is done");
        now = now.max(at);
        let mut out = Vec::new();
        edge.handle(now, Input::Tick, &mut out);
        harmless(&out);
    }
}

#[test]
fn strange_messages_from_a_stranger_change_nothing() {
    let messages = hostile_messages();
    assert!(messages.len() > 40);
    for place in [Place::Independent, Place::Node, Place::ClusterServer] {
        let mut edge = edge(place);
        for message in &messages {
            let stamped =
                if message.is_request() { message.clone().stamped(flow().remote) } else { message.clone() };
            let mut out = Vec::new();
            edge.handle(START, Input::Sip { from: Hop::Phone(flow()), message: stamped }, &mut out);
            harmless(&out);
        }
        assert_eq!(edge.bindings().count(), 0);
        assert_eq!(edge.calls(), []);
        an_hour_later(&mut edge);
    }
}

#[test]
fn strange_messages_from_a_member_leave_no_call_behind() {
    for place in [Place::Node, Place::ClusterServer] {
        let mut edge = edge(place);
        for message in hostile_messages() {
            let mut out = Vec::new();
            edge.handle(START, Input::Sip { from: Hop::Cluster, message }, &mut out);
            harmless(&out);
        }
        an_hour_later(&mut edge);
        assert_eq!(edge.calls(), []);
    }
}

#[test]
fn the_relay_routes_or_answers_strange_messages() {
    let relay = Relay::new(REALM.parse().unwrap());
    let (edge, location) = (edge(Place::ClusterServer), Location::new(START));
    for message in hostile_messages() {
        if let Some(RelayOutput::ToMember(_, bytes)) =
            relay.route(member_number(1), &message, &location, edge.tables())
        {
            Message::parse(&bytes).expect("what is sent can be read");
        }
    }
}

#[test]
fn threat_10_fuzzed_lives_of_an_edge_end_empty() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/edge_input");
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        crate::edge_properties::life(&std::fs::read(file).unwrap());
    }
}
