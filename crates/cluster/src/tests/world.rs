//! A cluster server and some nodes on wires that can be cut. Time passes when a test says so.

use crate::hub::{self, Hub};
use crate::link::{Conn, LogEntry, Peer};
use crate::uplink::{self, Uplink};
use model::{Change, DongleId, HardwareType, Kind, MemberNumber, Position, Record, Release};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub(super) const T0: Duration = Duration::from_secs(1_000_000);
pub(super) const HISTORY: u64 = 77;

pub(super) fn member(number: u16) -> MemberNumber {
    MemberNumber::try_from(number).unwrap()
}

pub(super) fn dongle(number: u16) -> DongleId {
    format!("DONGLE-{number}").parse().unwrap()
}

pub(super) fn node_record(number: u16, revision: u64) -> Record {
    let value = format!(r#"{{"name":"n","dongle_id":"{}"}}"#, dongle(number));
    Record { kind: Kind::Node, key: number.to_string(), revision, value: value.into() }
}

pub(super) fn subscriber(extension: &str, home: u16, revision: u64) -> Record {
    let value = format!(r#"{{"feature_class":"free","home":{home},"credentials":null}}"#);
    Record { kind: Kind::Subscriber, key: extension.into(), revision, value: value.into() }
}

pub(super) fn class(key: &str, description: &str, revision: u64) -> Record {
    let value = format!(r#"{{"description":"{description}"}}"#);
    Record { kind: Kind::FeatureClass, key: key.into(), revision, value: value.into() }
}

pub(super) fn identity(number: u16) -> uplink::Identity {
    uplink::Identity {
        cluster: "c-1".parse().unwrap(),
        member: member(number),
        dongle_id: dongle(number),
        release: model::release::THIS,
        hardware_type: HardwareType::Server,
    }
}

pub(super) fn peer(number: u16) -> Peer {
    Peer { cluster: "c-1".parse().unwrap(), member: member(number) }
}

/// A node with what its shell would keep on disk.
pub(super) struct TestNode {
    pub(super) uplink: Uplink,
    pub(super) identity: uplink::Identity,
    pub(super) records: BTreeMap<(Kind, String), Record>,
    pub(super) position: Position,
    pub(super) outputs: Vec<uplink::Output>,
    pub(super) cut: bool,
    starts: u64,
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) hub: Hub,
    pub(super) hub_outputs: Vec<hub::Output>,
    pub(super) nodes: BTreeMap<u16, TestNode>,
    pub(super) cs_records: BTreeMap<(Kind, String), Record>,
    revision: u64,
    epoch: u64,
    /// Connections that stand, as the cluster server names them: node and the node's own name of it.
    conns: BTreeMap<Conn, (u16, Conn)>,
    dials: u64,
    wire: VecDeque<Delivery>,
    /// What waits on cut wires: the connections are TCP, so nothing is lost while they stand.
    held: Vec<(u16, Delivery)>,
    pub(super) recorded: BTreeSet<String>,
}

enum Delivery {
    ToHub(hub::Input),
    ToNode(u16, uplink::Input),
}

impl World {
    pub(super) fn new(nodes: &[u16]) -> World {
        let mut cs_records = BTreeMap::new();
        for number in nodes {
            let record = node_record(*number, 1);
            cs_records.insert((record.kind, record.key.clone()), record);
        }
        let mut world = World {
            now: T0,
            hub: hub_at(1, 1, &cs_records, Vec::new(), T0),
            hub_outputs: Vec::new(),
            nodes: BTreeMap::new(),
            cs_records,
            revision: 1,
            epoch: 1,
            conns: BTreeMap::new(),
            dials: 0,
            wire: VecDeque::new(),
            held: Vec::new(),
            recorded: BTreeSet::new(),
        };
        for number in nodes {
            world.add(*number, identity(*number));
        }
        world
    }

    pub(super) fn add(&mut self, number: u16, identity: uplink::Identity) {
        let position = Position::default();
        let uplink = Uplink::new(identity.clone(), 1, position, [], [7; 32], self.now);
        let records = BTreeMap::new();
        let node =
            TestNode { uplink, identity, records, position, outputs: Vec::new(), cut: false, starts: 1 };
        self.nodes.insert(number, node);
    }

    pub(super) fn node(&mut self, number: u16) -> &mut TestNode {
        self.nodes.get_mut(&number).unwrap()
    }

    /// Everything that happens in this time.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        loop {
            let timeouts = self.nodes.values().filter_map(|node| node.uplink.next_timeout());
            let next = timeouts.chain(self.hub.next_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.tick();
        }
        self.now = end;
    }

    /// Everybody looks at the clock, and what follows happens at this instant.
    pub(super) fn tick(&mut self) {
        self.wire.push_back(Delivery::ToHub(hub::Input::Tick));
        for number in self.nodes.keys() {
            self.wire.push_back(Delivery::ToNode(*number, uplink::Input::Tick));
        }
        self.settle();
    }

    pub(super) fn node_gets(&mut self, number: u16, input: uplink::Input) {
        self.wire.push_back(Delivery::ToNode(number, input));
        self.settle();
    }

    pub(super) fn hub_gets(&mut self, input: hub::Input) {
        self.wire.push_back(Delivery::ToHub(input));
        self.settle();
    }

    /// The cluster server's store makes a commit.
    pub(super) fn commit(&mut self, make: impl Fn(u64) -> Vec<Change>) {
        self.revision += 1;
        let changes = make(self.revision);
        for change in &changes {
            apply(&mut self.cs_records, change);
        }
        self.hub_gets(hub::Input::Committed { revision: self.revision, changes });
    }

    /// The cluster server's process dies and a new one starts, its log of changes gone or not.
    pub(super) fn restart_hub(&mut self, recent: Vec<Change>) {
        self.epoch += 1;
        self.hub = hub_at(self.revision, self.epoch, &self.cs_records, recent, self.now);
        for (_, (number, conn)) in std::mem::take(&mut self.conns) {
            self.wire.push_back(Delivery::ToNode(number, uplink::Input::Closed(conn)));
        }
        self.settle();
    }

    /// A node's process dies and a new one starts from what was on disk.
    pub(super) fn restart_node(&mut self, number: u16) {
        let now = self.now;
        let node = self.node(number);
        node.starts += 1;
        node.uplink = Uplink::new(
            node.identity.clone(),
            node.starts,
            node.position,
            node.records.values(),
            [8; 32],
            now,
        );
        let gone: Vec<Conn> =
            self.conns.iter().filter(|(_, (owner, _))| *owner == number).map(|(conn, _)| *conn).collect();
        for conn in gone {
            self.conns.remove(&conn);
            self.wire.push_back(Delivery::ToHub(hub::Input::Closed(conn)));
        }
        self.settle();
    }

    pub(super) fn cut(&mut self, number: u16, cut: bool) {
        self.node(number).cut = cut;
        if !cut {
            let (flows, waits) =
                std::mem::take(&mut self.held).into_iter().partition(|(owner, _)| *owner == number);
            self.held = waits;
            let flows: Vec<(u16, Delivery)> = flows;
            self.wire.extend(flows.into_iter().map(|(_, delivery)| delivery));
            self.settle();
        }
    }

    /// Sends over the wire of a node, or holds it back while that is cut.
    fn over(&mut self, number: u16, delivery: Delivery) {
        if self.nodes[&number].cut {
            self.held.push((number, delivery));
        } else {
            self.wire.push_back(delivery);
        }
    }

    pub(super) fn hub_saw(&self, wanted: impl Fn(&hub::Output) -> bool) -> usize {
        self.hub_outputs.iter().filter(|output| wanted(output)).count()
    }

    /// What the node should hold by its interest.
    pub(super) fn interest(&self, number: u16) -> BTreeMap<(Kind, String), Record> {
        let concerns = |record: &Record| {
            record.kind != Kind::Subscriber
                || String::from_utf8_lossy(&record.value).contains(&format!(r#""home":{number},"#))
        };
        self.cs_records
            .iter()
            .filter(|(_, record)| concerns(record))
            .map(|(name, record)| (name.clone(), record.clone()))
            .collect()
    }

    pub(super) fn assert_converged(&self, number: u16) {
        let node = &self.nodes[&number];
        assert_eq!(node.uplink.standing().state, uplink::StateName::Connected);
        assert_eq!(node.records, self.interest(number));
        assert_eq!(node.uplink.position(), self.hub.position());
        assert_eq!(node.uplink.digest(), self.hub.digest_of(member(number)));
        let status = self.hub.nodes().into_iter().find(|status| status.member == member(number)).unwrap();
        assert_eq!(status.state, hub::StateName::Connected);
        assert_eq!((status.digest_equal, status.lag), (Some(true), 0));
    }

    pub(super) fn settle(&mut self) {
        while let Some(delivery) = self.wire.pop_front() {
            match delivery {
                Delivery::ToHub(input) => {
                    let mut out = Vec::new();
                    self.hub.handle(self.now, input, &mut out);
                    out.iter().for_each(|output| self.of_hub(output));
                    self.hub_outputs.extend(out);
                }
                Delivery::ToNode(number, input) => {
                    let mut out = Vec::new();
                    let now = self.now;
                    self.node(number).uplink.handle(now, input, &mut out);
                    out.iter().for_each(|output| self.of_node(number, output));
                    self.node(number).outputs.extend(out);
                }
            }
        }
    }

    fn of_hub(&mut self, output: &hub::Output) {
        match output {
            hub::Output::Send(conn, bytes) => {
                let Some((number, theirs)) = self.conns.get(conn).copied() else { return };
                self.over(number, Delivery::ToNode(number, uplink::Input::Bytes(theirs, bytes.clone())));
                self.over(number, Delivery::ToHub(hub::Input::Sent(*conn, bytes.len())));
            }
            hub::Output::Close(conn, _) => {
                let Some((number, theirs)) = self.conns.remove(conn) else { return };
                self.over(number, Delivery::ToNode(number, uplink::Input::Closed(theirs)));
            }
            hub::Output::Record(member, LogEntry { id, .. }) => {
                self.recorded.insert(id.clone());
                self.wire.push_back(Delivery::ToHub(hub::Input::Recorded(*member, id.clone())));
            }
            _ => {}
        }
    }

    /// How the cluster server names the newest connection that the node names so.
    fn name_of(&self, number: u16, conn: Conn) -> Option<Conn> {
        self.conns.iter().rev().find(|(_, there)| **there == (number, conn)).map(|(name, _)| *name)
    }

    fn of_node(&mut self, number: u16, output: &uplink::Output) {
        match output {
            uplink::Output::Dial(conn) if !self.nodes[&number].cut => {
                self.dials += 1;
                let name = Conn(self.dials);
                self.conns.insert(name, (number, *conn));
                self.wire.push_back(Delivery::ToHub(hub::Input::Connected(name, peer(number))));
                self.wire.push_back(Delivery::ToNode(number, uplink::Input::Connected(*conn, peer(0))));
            }
            uplink::Output::Send(conn, bytes) => {
                let Some(name) = self.name_of(number, *conn) else { return };
                self.over(number, Delivery::ToHub(hub::Input::Bytes(name, bytes.clone())));
                self.over(number, Delivery::ToNode(number, uplink::Input::Sent(*conn, bytes.len())));
            }
            uplink::Output::Close(conn, _) => {
                let Some(name) = self.name_of(number, *conn) else { return };
                self.conns.remove(&name);
                self.over(number, Delivery::ToHub(hub::Input::Closed(name)));
            }
            uplink::Output::Apply { position, changes } => {
                let node = self.node(number);
                changes.iter().for_each(|change| apply(&mut node.records, change));
                node.position = *position;
                self.wire.push_back(Delivery::ToNode(number, uplink::Input::Applied(*position)));
            }
            uplink::Output::ApplySnapshot { position, records } => {
                let node = self.node(number);
                let name = |record: &Record| (record.kind, record.key.clone());
                node.records = records.iter().map(|record| (name(record), record.clone())).collect();
                node.position = *position;
                self.wire.push_back(Delivery::ToNode(number, uplink::Input::Applied(*position)));
            }
            _ => {}
        }
    }
}

fn hub_at(
    revision: u64,
    epoch: u64,
    records: &BTreeMap<(Kind, String), Record>,
    recent: Vec<Change>,
    now: Duration,
) -> Hub {
    let settings = hub::Settings { cluster: "c-1".parse().unwrap(), release: this() };
    let position = Position { history: HISTORY, epoch, revision };
    Hub::new(settings, position, records.values().cloned().collect(), recent, now)
}

pub(super) fn this() -> Release {
    model::release::THIS
}

pub(super) fn apply(records: &mut BTreeMap<(Kind, String), Record>, change: &Change) {
    match change {
        Change::Put(record) => drop(records.insert((record.kind, record.key.clone()), record.clone())),
        Change::Delete { kind, key, .. } => drop(records.remove(&(*kind, key.clone()))),
    }
}
