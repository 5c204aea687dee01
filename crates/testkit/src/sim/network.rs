//! An invented network: datagrams that are lost, doubled and overtaken between phones and their member; streams
//! between node and cluster server that are late, cut, and reset when an end has died.
//!
//! A cut loses nothing of a standing stream (TCP repairs it when packets flow again) unless one end gave
//! up meanwhile; what is sent between members as SIP is lost while cut, since the shell drops it.

use super::chance::Chance;
use cluster::Conn;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a packet between phone and member suffers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// Of a hundred datagrams so many are lost.
    pub(super) loss_percent: u64,
    /// Of a hundred datagrams so many come twice.
    pub(super) double_percent: u64,
    /// The longest delay; they overtake each other.
    pub(super) delay_ms_max: u64,
}

impl Weather {
    /// When the copies of a datagram arrive.
    pub(super) fn arrivals(self, now: Duration, chance: &mut Chance) -> Vec<Duration> {
        if chance.percent(self.loss_percent) {
            return Vec::new();
        }
        let copies = if chance.percent(self.double_percent) { 2 } else { 1 };
        (0..copies).map(|_| now + chance.ms(1, self.delay_ms_max.max(1))).collect()
    }
}

/// What travels on a stream.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Bytes(Vec<u8>),
    Closed,
}

/// One end of a stream as a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Node,
    Server,
}

/// A connection of the link.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) node: u16,
    /// How the node names it.
    pub(super) node_conn: Conn,
    pub(super) established: bool,
    node_open: bool,
    server_open: bool,
    /// When the last segment in each direction arrives: order is kept.
    last: BTreeMap<End, Duration>,
    /// What waits in the network while it is cut, by receiver.
    pub(super) held: BTreeMap<End, VecDeque<Segment>>,
}

impl Stream {
    pub(super) fn new(node: u16, node_conn: Conn) -> Stream {
        let (last, held) = (BTreeMap::new(), BTreeMap::new());
        Stream { node, node_conn, established: false, node_open: true, server_open: true, last, held }
    }

    /// When a segment sent now towards `to` arrives.
    pub(super) fn arrival(&mut self, now: Duration, to: End, chance: &mut Chance) -> Duration {
        let last = self.last.entry(to).or_default();
        *last = (now + chance.ms(1, 15)).max(*last);
        *last
    }

    pub(super) fn open(&self, end: End) -> bool {
        match end {
            End::Node => self.node_open,
            End::Server => self.server_open,
        }
    }

    pub(super) fn close(&mut self, end: End) {
        match end {
            End::Node => self.node_open = false,
            End::Server => self.server_open = false,
        }
    }
}
