//! The streams of the link between nodes and cluster server: dialled, carried, held while cut, reset.

use super::host::member;
use super::network::{End, Segment, Stream};
use super::world::{Event, Fate, World};
use cluster::{Conn, Peer};
use ipbx::member::{Input, LinkInput};
use std::time::Duration;

impl World {
    pub(super) fn dial(&mut self, number: u16, conn: Conn) {
        self.dials += 1;
        let name = Conn(self.dials);
        self.streams.insert(name, Stream::new(number, conn));
        let delay = self.chance.ms(2, 60);
        self.after(delay, Event::Dialled(name));
    }

    pub(super) fn dialled(&mut self, name: Conn) {
        let Some(stream) = self.streams.get(&name) else { return };
        let (node, conn) = (stream.node, stream.node_conn);
        if !stream.open(End::Node) {
            self.streams.remove(&name);
        } else if self.cut.contains(&node) {
            // The network repeats what was not answered (RFC 6298: after 1 s).
            self.after(Duration::from_secs(1), Event::Dialled(name));
        } else if self.apart(0, node) {
            self.streams.remove(&name);
            self.tell(node, Input::Link(LinkInput::Closed(conn)));
        } else {
            if let Some(stream) = self.streams.get_mut(&name) {
                stream.established = true;
            }
            let peer = Peer { cluster: self.cluster(), member: member(node) };
            self.tell(0, Input::Link(LinkInput::Connected(name, peer)));
            // The last flight of the handshake is still under way; an end may die before it arrives.
            let delay = self.chance.ms(1, 20);
            self.after(delay, Event::Established(name));
            if !self.quiet && self.chance.below(25) == 0 {
                let delay = self.chance.ms(0, 60);
                let number = if self.chance.percent(50) { 0 } else { node };
                self.after(delay, Event::Fate(Fate::Crash(number)));
            }
        }
    }

    /// The node's end of a new connection stands too, unless it has been given up or is cut off meanwhile.
    pub(super) fn established(&mut self, name: Conn) {
        let Some(stream) = self.streams.get(&name).filter(|stream| stream.open(End::Node)) else { return };
        let (node, conn) = (stream.node, stream.node_conn);
        if self.cut.contains(&node) {
            self.after(Duration::from_millis(200), Event::Established(name));
            return;
        }
        let peer = Peer { cluster: self.cluster(), member: member(0) };
        self.tell(node, Input::Link(LinkInput::Connected(conn, peer)));
    }

    #[expect(clippy::expect_used, reason = "constant text that is an identity")]
    fn cluster(&self) -> model::ClusterId {
        super::host::CLUSTER.parse().expect("a cluster id")
    }

    /// The stream that a member names so, and the end that receives what it sends.
    fn stream_of(&self, number: u16, conn: Conn) -> Option<(Conn, End)> {
        if number == 0 {
            return self.streams.contains_key(&conn).then_some((conn, End::Node));
        }
        let named =
            |stream: &Stream| stream.node == number && stream.node_conn == conn && stream.open(End::Node);
        let found = self.streams.iter().rev().find(|(_, stream)| named(stream));
        found.map(|(name, _)| (*name, End::Server))
    }

    pub(super) fn send_link(&mut self, number: u16, conn: Conn, bytes: Vec<u8>) {
        let Some((name, to)) = self.stream_of(number, conn) else { return };
        let count = bytes.len();
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let when = stream.arrival(self.now, to, &mut self.chance);
        self.at(when, Event::Segment(name, to, Segment::Bytes(bytes)));
        self.after(Duration::from_millis(1), Event::Sent(number, conn, count));
    }

    pub(super) fn close(&mut self, number: u16, conn: Conn) {
        let Some((name, to)) = self.stream_of(number, conn) else { return };
        let Some(stream) = self.streams.get_mut(&name) else { return };
        stream.close(if to == End::Node { End::Server } else { End::Node });
        let when = stream.arrival(self.now, to, &mut self.chance);
        self.at(when, Event::Segment(name, to, Segment::Closed));
    }

    pub(super) fn segment(&mut self, name: Conn, to: End, segment: Segment) {
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let node = stream.node;
        if !stream.open(to) || !stream.established {
            return;
        }
        let waits = stream.held.entry(to).or_default();
        if self.cut.contains(&node) || !waits.is_empty() {
            // TCP loses nothing and keeps the order: it waits behind what waits.
            waits.push_back(segment);
            return;
        }
        self.deliver(name, to, segment);
    }

    /// What waited while cut arrives, in order, unless it is cut again.
    pub(super) fn released(&mut self, name: Conn, to: End) {
        loop {
            let Some(stream) = self.streams.get_mut(&name) else { return };
            if self.cut.contains(&stream.node) {
                return;
            }
            let Some(segment) = stream.held.get_mut(&to).and_then(|waits| waits.pop_front()) else { return };
            self.deliver(name, to, segment);
        }
    }

    fn deliver(&mut self, name: Conn, to: End, segment: Segment) {
        let Some(stream) = self.streams.get_mut(&name).filter(|stream| stream.open(to)) else { return };
        let (node, conn) = (stream.node, stream.node_conn);
        let (number, theirs) = if to == End::Node { (node, conn) } else { (0, name) };
        let input = match segment {
            Segment::Bytes(bytes) => LinkInput::Bytes(theirs, bytes),
            Segment::Closed => {
                stream.close(to);
                LinkInput::Closed(theirs)
            }
        };
        self.tell(number, Input::Link(input));
    }

    /// The process at one end is gone: the other end hears of it when packets pass.
    pub(super) fn reset_streams(&mut self, number: u16) {
        let touched: Vec<Conn> = self
            .streams
            .iter()
            .filter(|(_, stream)| number == 0 || stream.node == number)
            .map(|(name, _)| *name)
            .collect();
        for name in touched {
            let Some(stream) = self.streams.get_mut(&name) else { continue };
            let (ours, theirs) =
                if number == 0 { (End::Server, End::Node) } else { (End::Node, End::Server) };
            stream.close(ours);
            let when = stream.arrival(self.now, theirs, &mut self.chance);
            self.at(when, Event::Segment(name, theirs, Segment::Closed));
        }
    }

    pub(super) fn heal(&mut self, number: u16) {
        self.cut.remove(&number);
        let waiting: Vec<(Conn, End)> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.node == number)
            .flat_map(|(name, stream)| stream.held.keys().map(|to| (*name, *to)))
            .collect();
        for (name, to) in waiting {
            // The next retransmission finds the way open.
            let delay = self.chance.ms(20, 900);
            self.after(delay, Event::Released(name, to));
        }
    }
}
