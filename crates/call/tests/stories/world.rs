//! A cluster server, two nodes, the links between them and their phones, over invented time.
//!
//! Every edge runs the real machines; nothing sleeps and nothing is random. With `frozen` each edge is frozen and
//! thawed before every single input, so every story is also a story of a restart at every point.

use crate::board::LineBoard;
use crate::phone::{Phone, PhoneOutput};
use call::{
    AnchorWhen, Binding, BindingChange, CallRecord, ClusterSide, DialogChange, Edge, EdgeConfig, Hop, Input,
    Location, Output, PackedBinding, Place, Relay, RelayOutput, Role, SubscriptionChange,
};
use media::relay::{Order, Report, Spec, Standing, StreamId, Traffic};
use model::{Cause, Change, Extension, Kind, MemberNumber, Record};
use sip::digest::{Algorithm, ha1};
use sip::{Flow, Message, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const REALM: &str = "c-test";
pub(crate) const LAN: Duration = Duration::from_millis(1);
pub(crate) const WAN: Duration = Duration::from_millis(10);

/// What travels.
enum Packet {
    ToEdge {
        member: u16,
        from: Flow,
        bytes: Vec<u8>,
    },
    ToPhone {
        number: String,
        from: Flow,
        bytes: Vec<u8>,
    },
    /// On the uplink of a node, towards the cluster server.
    Up {
        node: u16,
        bytes: Vec<u8>,
    },
    /// And from it.
    Down {
        node: u16,
        bytes: Vec<u8>,
    },
    /// What watched lines do, over the link.
    Lamps {
        member: u16,
        lines: Vec<Extension>,
    },
}

pub(crate) struct Member {
    pub(crate) edge: Edge,
    bindings: BTreeMap<(String, String), PackedBinding>,
    /// What is kept of its calls.
    dialogs: BTreeMap<String, Vec<u8>>,
    subscriptions: BTreeMap<String, Vec<u8>>,
    /// False while the process is dead.
    alive: bool,
    /// It was told to take no new calls. A process is told so, not an edge: what thaws in the next one is told again.
    draining: bool,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) members: BTreeMap<u16, Member>,
    pub(crate) phones: BTreeMap<String, Phone>,
    pub(crate) records: Vec<CallRecord>,
    pub(crate) faults: Vec<String>,
    /// What the relays of the members carry.
    pub(crate) streams: BTreeMap<(u16, StreamId), Spec>,
    /// Where each of them was to go on when it was opened; nowhere for a new one.
    pub(crate) standings: BTreeMap<(u16, StreamId), Option<Standing>>,
    reports: Vec<(u16, Report)>,
    /// What each phone was sent, as first lines, for stories that look at the wire.
    pub(crate) wire: Vec<(String, String)>,
    relay: Relay,
    location: Location,
    board: LineBoard,
    /// Links that carry packets.
    links: BTreeMap<u16, bool>,
    packets: BTreeMap<(Duration, u64), Packet>,
    next_packet: u64,
    next_seed: u8,
    make: Make,
    loss: Option<(usize, Odds)>,
    config: Vec<Record>,
}

/// Chance with a seed (SplitMix64): the same life again from the same number.
pub(crate) struct Odds(u64);

impl Odds {
    pub(crate) fn new(seed: u64) -> Odds {
        Odds(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// How the edges of a world are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Make {
    /// Every edge is frozen and thawed at every step.
    pub(crate) frozen: bool,
    pub(crate) shards: u8,
    /// All media go through the members.
    pub(crate) anchored: bool,
}

impl Make {
    pub(crate) const PLAIN: Make = Make { frozen: false, shards: 1, anchored: false };
    const ALL: [Make; 4] = [
        Make::PLAIN,
        Make { frozen: true, ..Make::PLAIN },
        Make { shards: 4, ..Make::PLAIN },
        Make { frozen: true, shards: 4, ..Make::PLAIN },
    ];
}

/// Tells a story four times: with one shard and with four, as it is and with every edge frozen and thawed at every step.
pub(crate) fn told(story: impl Fn(&mut World)) {
    for make in Make::ALL {
        story(&mut World::new(make));
    }
}

/// The same from a world without phones.
pub(crate) fn told_bare(story: impl Fn(&mut World)) {
    for make in Make::ALL {
        story(&mut World::bare(make));
    }
}

pub(crate) fn member_number(number: u16) -> MemberNumber {
    MemberNumber::try_from(number).unwrap()
}

fn record(kind: Kind, key: &str, value: String) -> Record {
    Record { kind, key: key.to_owned(), revision: 1, value: value.into_bytes() }
}

pub(crate) fn configuration() -> Vec<Record> {
    let mut records = vec![
        record(
            Kind::Cluster,
            "cluster",
            format!(r#"{{"id":"{REALM}","name":"Test","domain":"pleiad.test","site_number":1}}"#),
        ),
        record(
            Kind::NumberingRange,
            "all",
            r#"{"first":"2000","last":"2299","use":"extensions"}"#.to_owned(),
        ),
        record(Kind::FeatureClass, "free", "{}".to_owned()),
        record(Kind::FeatureClass, "inside", r#"{"barred":["node2"]}"#.to_owned()),
        record(Kind::BarredNumbers, "node2", r#"{"prefixes":["22"]}"#.to_owned()),
        record(
            Kind::SpecialNumber,
            "112",
            r#"{"emergency":true,"target":"2001","local_targets":{"1":"2101","2":"2201"}}"#.to_owned(),
        ),
    ];
    for node in [1, 2] {
        let value = format!(r#"{{"name":"node {node}","dongle_id":"AAAA-000{node}"}}"#);
        records.push(record(Kind::Node, &node.to_string(), value));
    }
    for number in ["2001", "2002", "2101", "2102", "2201", "2202"] {
        let home = &number[1..2];
        let class = if number == "2102" { "inside" } else { "free" };
        let secret = secret_of(number);
        let md5 = ha1(Algorithm::Md5, number, REALM, &secret);
        let sha256 = ha1(Algorithm::Sha256, number, REALM, &secret);
        let value = format!(
            r#"{{"name":"N {number}","feature_class":"{class}","home":{home},"credentials":{{"ha1_md5":"{md5}","ha1_sha256":"{sha256}"}}}}"#
        );
        records.push(record(Kind::Subscriber, number, value));
    }
    records
}

pub(crate) fn secret_of(number: &str) -> String {
    format!("a-long-secret-of-{number}")
}

pub(crate) fn home_of(number: &str) -> u16 {
    number[1..2].parse().unwrap()
}

/// A node holds the common records and the subscribers of its interest.
fn interest(member: u16, records: &[Record]) -> Vec<Record> {
    let held =
        |record: &&Record| member == 0 || record.kind != Kind::Subscriber || home_of(&record.key) == member;
    records.iter().filter(held).cloned().collect()
}

impl World {
    /// Everything up, every phone registered at its home.
    pub(crate) fn new(make: Make) -> World {
        let mut world = World::bare(make);
        for number in ["2001", "2002", "2101", "2102", "2201", "2202"] {
            world.plug_in(number, Transport::Udp);
            world.phone(number).register(3600);
        }
        world.wait_ms(300);
        for phone in world.phones.values() {
            assert!(phone.registered, "{} is registered", phone.number);
        }
        world
    }

    /// Everything up, no phones.
    pub(crate) fn bare(make: Make) -> World {
        let now = Duration::from_secs(1_700_000_000);
        let mut world = World {
            now,
            members: BTreeMap::new(),
            phones: BTreeMap::new(),
            records: Vec::new(),
            faults: Vec::new(),
            streams: BTreeMap::new(),
            standings: BTreeMap::new(),
            reports: Vec::new(),
            wire: Vec::new(),
            relay: Relay::new(REALM.parse().unwrap()),
            location: Location::new(now),
            board: LineBoard::default(),
            links: BTreeMap::from([(1, true), (2, true)]),
            packets: BTreeMap::new(),
            next_packet: 0,
            next_seed: 0,
            make,
            loss: None,
            config: configuration(),
        };
        for member in [0, 1, 2] {
            world.start(member);
        }
        world
    }

    /// Starts the process of a member with what its disk holds: records and bindings.
    fn start(&mut self, member: u16) {
        let place = if member == 0 { Place::ClusterServer } else { Place::Node };
        let mut config = EdgeConfig::new(member_number(member), place, REALM).with_shards(self.make.shards);
        if self.make.anchored {
            config.media.anchor = AnchorWhen::Always;
        }
        self.streams.retain(|(owner, _), _| *owner != member);
        let seed = self.seed();
        let mut edge = Edge::new(config, seed);
        let disk = self.members.remove(&member).map(|old| (old.bindings, old.dialogs, old.subscriptions));
        let (bindings, dialogs, subscriptions) = disk.unwrap_or_default();
        edge.restore_bindings(self.now, bindings.values().cloned());
        let faults = edge.restore_calls(self.now, dialogs.values().map(Vec::as_slice));
        assert_eq!(faults, [], "every call that was kept is restored");
        let said = edge.restore_subscriptions(self.now, subscriptions.values().map(Vec::as_slice));
        self.board.restart(member, edge.lines());
        edge.lamps().into_keys().for_each(|line| self.board.watch(member, &line, true));
        let kept = Member { edge, bindings, dialogs, subscriptions, alive: true, draining: false };
        self.members.insert(member, kept);
        said.into_iter().for_each(|output| self.take(member, output));
        self.tell(member, Input::Snapshot(interest(member, &self.config)));
        if member == 0 {
            self.location = Location::new(self.now);
        }
        self.publish(member);
        for node in [1, 2].into_iter().filter(|node| *node == member || member == 0) {
            if self.links[&node] && self.is_alive(0) && self.is_alive(node) {
                self.link_up(node);
            }
        }
    }

    fn seed(&mut self) -> [u8; 32] {
        self.next_seed = self.next_seed.wrapping_add(1);
        let mut seed = [self.next_seed; 32];
        seed[0] = u8::from(self.make.frozen);
        seed
    }

    pub(crate) fn is_linked(&self, node: u16) -> bool {
        self.links[&node]
    }

    pub(crate) fn is_alive(&self, member: u16) -> bool {
        self.members.get(&member).is_some_and(|member| member.alive)
    }

    fn publish(&mut self, member: u16) {
        let bindings: Vec<Binding> =
            self.members[&member].edge.bindings().filter_map(PackedBinding::unpack).collect();
        let pairs = bindings.iter().map(|binding| (&binding.extension, &binding.device));
        self.location.snapshot(member_number(member), pairs);
    }

    fn link_up(&mut self, node: u16) {
        self.publish(node);
        self.tell(node, Input::Cluster(ClusterSide::Up));
        self.show_all();
    }

    /// True while the cluster server and that member hear each other.
    fn reaches(&self, member: u16) -> bool {
        self.is_alive(0) && self.is_alive(member) && (member == 0 || self.links[&member])
    }

    /// Tells whoever watches one of these lines; the link loses nothing.
    fn show(&mut self, lines: Vec<Extension>) {
        for (watcher, line) in self.board.watchers(&lines) {
            self.show_to(watcher, vec![line]);
        }
    }

    fn show_to(&mut self, member: u16, lines: Vec<Extension>) {
        self.next_packet += 1;
        self.packets.insert((self.now + WAN, self.next_packet), Packet::Lamps { member, lines });
    }

    fn show_all(&mut self) {
        for member in [0, 1, 2] {
            let lines = self.board.watched(member);
            self.show_to(member, lines);
        }
    }

    /// Packets stop; both ends notice after 2.5 s, as the link does.
    pub(crate) fn cut(&mut self, node: u16) {
        self.links.insert(node, false);
        self.wait_ms(2_500);
        self.location.lost(self.now, member_number(node));
        self.tell(node, Input::Cluster(ClusterSide::Down));
        self.show_all();
    }

    /// Packets stop and nobody has noticed yet.
    pub(crate) fn cut_unnoticed(&mut self, node: u16) {
        self.links.insert(node, false);
    }

    pub(crate) fn heal(&mut self, node: u16) {
        self.links.insert(node, true);
        self.link_up(node);
        self.wait_ms(100);
    }

    /// `kill -9` of the cluster server: its links reset at once.
    pub(crate) fn kill_cluster_server(&mut self) {
        self.members.get_mut(&0).unwrap().alive = false;
        for node in [1, 2] {
            self.tell(node, Input::Cluster(ClusterSide::Down));
        }
    }

    /// `kill -9` of a node and its start: its bindings and answered calls are on its disk.
    pub(crate) fn restart_node(&mut self, node: u16) {
        self.start(node);
        self.wait_ms(100);
    }

    /// Its disk forgets the calls it keeps.
    pub(crate) fn lose_calls(&mut self, member: u16) {
        self.members.get_mut(&member).unwrap().dialogs.clear();
    }

    /// It starts again, with what was on its disk.
    pub(crate) fn start_cluster_server(&mut self) {
        self.start(0);
        self.wait_ms(100);
    }

    /// A changed record at the cluster server, in force at all members.
    pub(crate) fn change(&mut self, kind: Kind, key: &str, value: &str) {
        let record = record(kind, key, value.to_owned());
        self.config.retain(|old| (old.kind, &old.key) != (kind, &record.key));
        self.config.push(record.clone());
        for member in [0, 1, 2] {
            self.tell(member, Input::Changes(vec![Change::Put(record.clone())]));
        }
    }

    pub(crate) fn plug_in(&mut self, number: &str, transport: Transport) {
        let phone = Phone::new(number, home_of(number), transport);
        self.phones.insert(number.to_owned(), phone);
    }

    /// A second phone of the same subscriber, known to the story by another name.
    pub(crate) fn twin_of(&mut self, number: &str, name: &str) -> String {
        self.twin_over(Transport::Udp, number, name)
    }

    pub(crate) fn twin_over(&mut self, transport: Transport, number: &str, name: &str) -> String {
        let mut twin = Phone::new(number, home_of(number), transport);
        twin.take_port(7_777, name);
        self.phones.insert(name.to_owned(), twin);
        name.to_owned()
    }

    /// A phone of a subscriber at another member than its home.
    pub(crate) fn visitor(&mut self, number: &str, member: u16, name: &str) {
        let mut visitor = Phone::new(number, member, Transport::Udp);
        visitor.take_port(7_778, name);
        self.phones.insert(name.to_owned(), visitor);
    }

    pub(crate) fn phone(&mut self, number: &str) -> &mut Phone {
        self.phones.get_mut(number).unwrap()
    }

    /// Something that happens at an edge from outside.
    pub(crate) fn tell(&mut self, member: u16, input: Input) {
        let now = self.now;
        let seed = self.seed();
        let records = interest(member, &self.config);
        let frozen = self.make.frozen;
        let Some(entry) = self.members.get_mut(&member).filter(|entry| entry.alive) else { return };
        let mut out = Vec::new();
        if frozen {
            let bytes = entry.edge.freeze().unwrap();
            entry.edge = Edge::thaw(&bytes, seed).unwrap();
            entry.edge.handle(now, Input::Snapshot(records), &mut out);
            if entry.draining {
                entry.edge.handle(now, Input::Drain, &mut out);
            }
        }
        entry.draining |= matches!(input, Input::Drain);
        entry.edge.handle(now, input, &mut out);
        // What is sent may come back within this loop; the relay has heard its orders by then.
        let (orders, rest): (Vec<_>, Vec<_>) =
            out.into_iter().partition(|out| matches!(out, Output::Media(_)));
        for output in orders.into_iter().chain(rest) {
            self.take(member, output);
        }
        // A relay answers after it has heard all that was said before.
        while let Some((member, report)) = self.reports.pop() {
            self.tell(member, Input::Media(report));
        }
    }

    fn take(&mut self, member: u16, output: Output) {
        match output {
            Output::Send { to: Hop::Phone(flow), bytes } => self.send_to_phone(flow, bytes),
            Output::Send { to: Hop::Cluster, bytes } if member == 0 => {
                let message = Message::parse(&bytes).unwrap();
                self.relay(0, &message);
            }
            Output::Send { to: Hop::Cluster, bytes } => {
                self.post(WAN, Packet::Up { node: member, bytes });
            }
            Output::Binding(change) => {
                let (extension, device) = change.subject();
                let key = (extension.to_string(), device.to_string());
                let bindings = &mut self.members.get_mut(&member).unwrap().bindings;
                match &change {
                    BindingChange::Bound(binding) => drop(bindings.insert(key, binding.clone())),
                    BindingChange::Unbound { .. } => drop(bindings.remove(&key)),
                }
                if member == 0 || self.links[&member] {
                    self.location.apply(member_number(member), &change);
                }
            }
            Output::Dialog(change) => {
                let dialogs = &mut self.members.get_mut(&member).unwrap().dialogs;
                match change {
                    DialogChange::Kept { name, bytes } => drop(dialogs.insert(name, bytes)),
                    DialogChange::Over { name } => drop(dialogs.remove(&name)),
                }
            }
            Output::Subscription(change) => {
                let subscriptions = &mut self.members.get_mut(&member).unwrap().subscriptions;
                match change {
                    SubscriptionChange::Kept { name, bytes } => drop(subscriptions.insert(name, bytes)),
                    SubscriptionChange::Over { name } => drop(subscriptions.remove(&name)),
                }
            }
            Output::Ended(record) => self.records.push(record),
            Output::Lines(changed) => {
                self.board.put(member, &changed);
                self.show(changed.into_iter().map(|(line, _)| line).collect());
            }
            Output::Watch(line, begins) => {
                self.board.watch(member, &line, begins);
                if begins {
                    self.show_to(member, vec![line]);
                }
            }
            Output::CallChanged(_) => {}
            Output::Media(order) => self.relay_media(member, order),
            Output::Fault(fault) => self.faults.push(fault.to_string()),
        }
    }

    /// The relay of a member: it answers a close at once. A frozen edge tells it of every stream again.
    fn relay_media(&mut self, member: u16, order: Order) {
        let (id, spec) = match order {
            Order::Open(id, spec, standing) => {
                self.standings.insert((member, id), standing.map(|standing| *standing));
                (id, Some(spec))
            }
            Order::Alter(id, spec) => (id, Some(spec)),
            Order::Close(id) => (id, None),
        };
        match spec {
            Some(spec) => drop(self.streams.insert((member, id), spec)),
            None => {
                let spec = self.streams.remove(&(member, id));
                assert!(spec.is_some(), "a stream is closed that was never opened");
                let sent = |packets| Traffic { packets, ..Traffic::default() };
                self.reports.push((member, Report::Closed(id, sent(100), sent(200))));
            }
        }
    }

    fn send_to_phone(&mut self, flow: Flow, bytes: Vec<u8>) {
        let mut there = self.phones.values().filter(|phone| phone.is_at(&flow)).peekable();
        let message = Message::parse(&bytes).unwrap();
        let first = there.peek().map(|phone| phone.name.clone());
        let meant = there.find(|phone| phone.is_meant(&flow, &message)).map(|phone| phone.name.clone());
        let phone = meant.or(first);
        if let Some(number) = phone {
            let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
            self.wire.push((number.clone(), line));
            self.post(LAN, Packet::ToPhone { number, from: flow, bytes });
        }
    }

    fn relay(&mut self, from: u16, message: &Message) {
        let routed = {
            let tables = self.members[&0].edge.tables();
            self.relay.route(member_number(from), message, &self.location, tables)
        };
        match routed {
            Some(RelayOutput::ToMember(member, bytes)) => {
                let node = u16::from(member);
                self.post(WAN, Packet::Down { node, bytes });
            }
            Some(RelayOutput::ToOwnEdge(message)) => {
                self.tell(0, Input::Sip { from: Hop::Cluster, message });
            }
            None => {}
        }
    }

    /// From now on this many packets of a hundred are lost, by the odds of `seed`.
    pub(crate) fn lose(&mut self, percent: usize, seed: u64) {
        self.loss = Some((percent, Odds::new(seed)));
    }

    pub(crate) fn lose_nothing(&mut self) {
        self.loss = None;
    }

    fn post(&mut self, delay: Duration, packet: Packet) {
        if let Some((percent, odds)) = &mut self.loss
            && odds.below(100) < *percent
        {
            return;
        }
        self.next_packet += 1;
        self.packets.insert((self.now + delay, self.next_packet), packet);
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::ToEdge { member, from, bytes } => {
                if let Ok(message) = Message::parse(&bytes) {
                    let message = if message.is_request() { message.stamped(from.remote) } else { message };
                    self.tell(member, Input::Sip { from: Hop::Phone(from), message });
                }
            }
            Packet::ToPhone { number, from, bytes } => {
                let now = self.now;
                if let (Some(phone), Ok(message)) = (self.phones.get_mut(&number), Message::parse(&bytes)) {
                    phone.receive(now, from, message);
                }
            }
            Packet::Up { node, bytes } => {
                if self.links[&node] && self.is_alive(0) {
                    let message = Message::parse(&bytes).unwrap();
                    self.relay(node, &message);
                }
            }
            Packet::Lamps { member, lines } => {
                if member == 0 || self.reaches(member) {
                    let lamp = |line| self.board.lamp(member, line, |other| self.reaches(other));
                    let lamps = lines.iter().map(lamp).collect();
                    self.tell(member, Input::Lamps(lamps));
                }
            }
            Packet::Down { node, bytes } => {
                if self.links[&node] {
                    let message = Message::parse(&bytes).unwrap();
                    self.tell(node, Input::Sip { from: Hop::Cluster, message });
                }
            }
        }
    }

    fn hear_phones(&mut self) {
        let now = self.now;
        let mut said = Vec::new();
        for phone in self.phones.values_mut() {
            phone.act(now);
            let member = phone.member;
            said.extend(phone.said().into_iter().map(|output| (member, output)));
        }
        for (member, PhoneOutput { flow, bytes }) in said {
            self.post(LAN, Packet::ToEdge { member, from: flow, bytes });
        }
    }

    fn next_instant(&self) -> Option<Duration> {
        let packets = self.packets.first_key_value().map(|((at, _), _)| *at);
        let edges = self
            .members
            .values()
            .filter(|member| member.alive)
            .filter_map(|member| member.edge.next_timeout());
        let phones = self.phones.values().filter_map(Phone::next_timeout);
        packets.into_iter().chain(edges).chain(phones).min()
    }

    /// Time passes, and everything that is due happens.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        loop {
            self.hear_phones();
            let Some(next) = self.next_instant().filter(|next| *next <= until) else { break };
            self.now = next.max(self.now);
            while let Some((key, _)) = self.packets.first_key_value().filter(|((at, _), _)| *at <= self.now) {
                let key = *key;
                let packet = self.packets.remove(&key).unwrap();
                self.deliver(packet);
                self.hear_phones();
            }
            for member in [0, 1, 2] {
                let due = self.members[&member].edge.next_timeout().is_some_and(|due| due <= self.now);
                if due && self.is_alive(member) {
                    self.tell(member, Input::Tick);
                }
            }
        }
        self.now = until;
    }

    /// Sends raw bytes as a phone's datagram.
    pub(crate) fn datagram(&mut self, number: &str, bytes: Vec<u8>) {
        let phone = &self.phones[number];
        let (member, from) = (phone.member, phone.edge_flow());
        self.post(LAN, Packet::ToEdge { member, from, bytes });
    }

    /// Exactly one call record, of the originating edge, and at most one leg record, of the terminating one, both with
    /// this cause and one session. Returns the call record.
    pub(crate) fn one_record(&self, cause: Cause) -> &CallRecord {
        let of = |role: Role| self.records.iter().filter(move |record| record.role == role);
        let calls: Vec<&CallRecord> = of(Role::Originating).collect();
        assert_eq!(calls.len(), 1, "exactly one call record: {:#?}", self.records);
        assert!(of(Role::Terminating).count() <= 1, "at most one leg record: {:#?}", self.records);
        for record in &self.records {
            assert_eq!(record.cause, cause, "at member {}: {record:#?}", record.member);
            assert_eq!(record.session, calls[0].session);
        }
        calls[0]
    }

    /// The record of the call that this number began.
    pub(crate) fn one_record_of(&self, caller: &str) -> &CallRecord {
        let of = |record: &&CallRecord| record.role == Role::Originating && record.caller.number == caller;
        let mut records = self.records.iter().filter(of);
        let record = records.next().expect("its record");
        assert!(records.next().is_none(), "one record: {:#?}", self.records);
        record
    }

    /// The call record and the leg record: the call crossed the cluster.
    pub(crate) fn two_records(&self, cause: Cause) -> (&CallRecord, &CallRecord) {
        let call = self.one_record(cause);
        let leg = self.records.iter().find(|record| record.role == Role::Terminating);
        (call, leg.expect("the terminating edge wrote its leg record"))
    }

    /// No member has a call or owes a BYE.
    pub(crate) fn all_idle(&self) {
        for (number, member) in &self.members {
            assert_eq!(member.edge.calls(), [], "member {number} has no call");
            assert_eq!(member.dialogs.len(), 0, "member {number} keeps no call that is over");
            assert_eq!(member.edge.owed(), 0, "member {number} owes nothing");
            assert_eq!(member.edge.streams(), 0, "member {number} has no media");
            assert_eq!(member.edge.unwritten(), 0, "member {number} has written all records");
        }
        assert_eq!(self.streams.len(), 0, "no relay carries anything");
        for phone in self.phones.values() {
            assert!(phone.is_idle(), "{} is idle", phone.number);
        }
    }
}

pub(crate) fn edge_address(member: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, u8::try_from(member).unwrap(), 1], 5060))
}
