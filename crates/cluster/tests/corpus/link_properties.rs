//! Bytes on the cluster link, from a peer whose certificate is right and whose program is not. The framer gives the
//! same messages however they are torn; a node and a cluster server that hear them neither panic nor spin.
//!
//! The fuzz target of `fuzz/` uses this file, and the test beside it replays its corpus. Input: one byte that chooses the size of the reads, then frames, each with two bytes of length. The target writes
//! the real length in front, so that the fuzzer need not find it; a first byte of 0 means a raw stream.

use cluster::framer::{FrameError, Framer, frames};
use cluster::wire::Body;
use cluster::{Conn, Hub, Peer, Uplink, hub, uplink};
use model::{HardwareType, Kind, MemberNumber, Position, Record};
use std::time::Duration;

const START: Duration = Duration::from_secs(1_000);
const NODE: u16 = 7;

/// See the top of the file.
pub(crate) fn hear(bytes: &[u8]) {
    let Some((size, rest)) = bytes.split_first() else { return };
    let stream = if *size == 0 { rest.to_vec() } else { framed(rest) };
    let read = usize::from(*size).max(1);
    let (whole, torn) = (messages(&stream, stream.len().max(1)), messages(&stream, read));
    assert_eq!(whole, torn);
    for body in &whole.0 {
        let again: Vec<u8> = frames(body).concat();
        assert_eq!(messages(&again, again.len()), (vec![body.clone()], None));
    }
    node_hears(&stream, read * 16);
    cluster_server_hears(&stream, read * 16);
}

fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (payload, after) = after.split_at(length);
        stream.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        stream.extend_from_slice(payload);
        rest = after;
    }
    stream
}

fn messages(stream: &[u8], read: usize) -> (Vec<Body>, Option<FrameError>) {
    let (mut framer, mut read_so_far) = (Framer::default(), Vec::new());
    for piece in stream.chunks(read) {
        framer.push(piece);
        loop {
            match framer.message() {
                Ok(Some(body)) => read_so_far.push(body),
                Ok(None) => break,
                Err(error) => return (read_so_far, Some(error)),
            }
        }
    }
    (read_so_far, None)
}

fn member(number: u16) -> MemberNumber {
    MemberNumber::try_from(number).expect("in range")
}

fn peer(number: u16) -> Peer {
    Peer { cluster: "c-1".parse().expect("an id"), member: member(number) }
}

fn node_hears(stream: &[u8], read: usize) {
    let identity = uplink::Identity {
        cluster: "c-1".parse().expect("an id"),
        member: member(NODE),
        dongle_id: "AB-12".parse().expect("an id"),
        release: model::release::THIS,
        hardware_type: HardwareType::Server,
    };
    let mut node = Uplink::new(identity, 1, Position::default(), [], [7; 32], START);
    let mut now = START;
    let mut out = Vec::new();
    node.handle(now, uplink::Input::Tick, &mut out);
    let dialled = out.iter().find_map(|output| match output {
        uplink::Output::Dial(conn) => Some(*conn),
        _ => None,
    });
    let Some(conn) = dialled else { panic!("a node without uplink dials at once") };
    node.handle(now, uplink::Input::Connected(conn, peer(0)), &mut out);
    for piece in stream.chunks(read) {
        now += Duration::from_millis(1);
        out.clear();
        node.handle(now, uplink::Input::Bytes(conn, piece.to_vec()), &mut out);
        for output in std::mem::take(&mut out) {
            match output {
                uplink::Output::Apply { position, .. } => {
                    node.handle(now, uplink::Input::Applied(position), &mut out);
                }
                uplink::Output::Send(conn, bytes) => {
                    node.handle(now, uplink::Input::Sent(conn, bytes.len()), &mut out);
                }
                _ => {}
            }
        }
    }
    for _ in 0..20 {
        let Some(at) = node.next_timeout() else { break };
        now = now.max(at);
        node.handle(now, uplink::Input::Tick, &mut out);
        assert!(node.next_timeout().is_none_or(|next| next > now), "a timer that was due is done");
    }
}

fn cluster_server_hears(stream: &[u8], read: usize) {
    let settings = hub::Settings { cluster: "c-1".parse().expect("an id"), release: model::release::THIS };
    let value = br#"{"name":"n","dongle_id":"AB-12"}"#.to_vec();
    let record = Record { kind: Kind::Node, key: NODE.to_string(), revision: 300, value };
    let position = Position { history: 0x0102_0304_0506_0708, epoch: 3, revision: 300 };
    let mut server = Hub::new(settings, position, vec![record], Vec::new(), START);
    let (mut now, mut out, conn) = (START, Vec::new(), Conn(1));
    server.handle(now, hub::Input::Connected(conn, peer(NODE)), &mut out);
    for piece in stream.chunks(read) {
        now += Duration::from_millis(1);
        out.clear();
        server.handle(now, hub::Input::Bytes(conn, piece.to_vec()), &mut out);
        for output in std::mem::take(&mut out) {
            if let hub::Output::Send(conn, bytes) = output {
                server.handle(now, hub::Input::Sent(conn, bytes.len()), &mut out);
            }
        }
    }
    for _ in 0..20 {
        let Some(at) = server.next_timeout() else { break };
        now = now.max(at);
        server.handle(now, hub::Input::Tick, &mut out);
        assert!(server.next_timeout().is_none_or(|next| next > now), "a timer that was due is done");
    }
}
