//! The node's side of the link.
//!
//! Four states, each with what it alone knows ([`states`]), around what the node has in every state
//! ([`Node`]): its position, the digest of its data, its registrations and its log. The table of every state
//! and event, with what the user sees, is `docs/design/link.md`; the tests walk through all of it.
//!
//! A change is in force the moment it is handed out in `Apply`; the position sent to the cluster server is that
//! one. What is on disk (`Applied`) is told beside it: after a crash the node says the older position and
//! is sent the rest again.

mod journal;
mod publication;
mod snapshot;
mod states;

use crate::digest::{Digest, Inventory};
use crate::framer::FrameError;
use crate::link::{
    CloseReason, Conn, JITTER_MS_MAX, LATE, Lamp, LiveBinding, LiveLine, LogEntry, Peer, Refusal,
};
use crate::wire::{Body, Heartbeat, Hello};
use journal::Journal;
use model::{Change, ClusterId, DongleId, HardwareType, Kind, MemberNumber, Position, Record, Release};
use publication::{Interest, LineStates, Registrations};
use sha2::{Digest as _, Sha256};
use states::State;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node says of itself in its Hello.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its number.
    pub member: MemberNumber,
    /// The machine under it.
    pub dongle_id: DongleId,
    /// What it runs.
    pub release: Release,
    /// What it is made of.
    pub hardware_type: HardwareType,
}

/// What happens to the node's side.
#[derive(Debug, Clone)]
pub enum Input {
    /// The dial that was asked for as `conn` stands, TLS is up and the peer's certificate says this.
    Connected(Conn, Peer),
    /// Bytes came.
    Bytes(Conn, Vec<u8>),
    /// The shell has handed that many bytes of the connection to its socket: there is room for as many more.
    Sent(Conn, usize),
    /// The connection, or the attempt at one, ended.
    Closed(Conn),
    /// What [`Output::Apply`] or [`Output::ApplySnapshot`] said is on disk, up to here.
    Applied(Position),
    /// A phone registered, or renewed with other details.
    Bound(LiveBinding),
    /// A registration ended: extension and device.
    Unbound(model::Extension, String),
    /// Lines of subscribers changed here.
    Lines(Vec<LiveLine>),
    /// A phone here watches this line, or none does any more.
    Watch(model::Extension, bool),
    /// A record for the cluster server's log. Kept here until it is acknowledged.
    Log(LogEntry),
    /// The member stops: say goodbye.
    Stop,
    /// Time passed.
    Tick,
}

/// What the node's side wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to the cluster server; answer with `Connected` or `Closed` of this number.
    Dial(Conn),
    /// Send these bytes; answer with `Sent` as the socket takes them.
    Send(Conn, Vec<u8>),
    /// Flush and close; no answer is needed.
    Close(Conn, CloseReason),
    /// These changes are in force now; persist them right behind, in this order, then say `Applied`.
    Apply {
        /// Where the node stands after them.
        position: Position,
        /// What changed for this node; may be empty.
        changes: Vec<Change>,
    },
    /// All records of cluster scopes are now exactly these; persist them as one, then say `Applied`.
    ApplySnapshot {
        /// Where the node stands after it.
        position: Position,
        /// Everything that concerns this node.
        records: Vec<Record>,
    },
    /// The uplink carries calls from now on.
    Up,
    /// The uplink carries nothing any more.
    Down,
    /// Watched lines are so at the other members. All of them are unknown again at [`Output::Down`].
    Lamps(Vec<Lamp>),
    /// The cluster server has these log entries: they need not be kept for it.
    LogAcked(Vec<String>),
    /// There is room again: give the entries that were not acknowledged yet as `Log`, oldest first.
    WantLogs,
    /// The state shown to people changed.
    StateChanged(StateName),
    /// Something is wrong that an operator should see.
    Fault(Fault),
}

/// The states of a node by name (AMB-02).
///
/// Later work adds the two states of survival: `SurvivalClient` and `SurvivalServer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// No uplink: the node serves its own phones by itself.
    Isolated,
    /// Dialling, or greeting.
    Connecting,
    /// Taken by the cluster server, catching up.
    Synchronising,
    /// Carrying calls, changes in force as they are made.
    Connected,
}

/// What an operator should know of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The cluster server does not take this node.
    #[error("the cluster server refuses this node: {0}")]
    Refused(Refusal),
    /// Somebody else answers at the cluster server's address.
    #[error("the machine at the cluster server's address is member {} of {}", .0.member, .0.cluster)]
    WrongPeer(Peer),
    /// The cluster server's epoch is lower than one seen before in this history.
    #[error("the cluster server says epoch {said}, but epoch {seen} was seen: it is a stale copy")]
    StaleAuthority {
        /// What it said.
        said: u64,
        /// What this node has seen.
        seen: u64,
    },
    /// The cluster server broke the protocol.
    #[error("the cluster server broke the link protocol: {0}")]
    Protocol(String),
}

/// What an [`Input`] or the clock amounts to: the columns of the table in `docs/design/link.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventName {
    /// It is time to dial.
    DialDue,
    /// The connection stands.
    Established,
    /// It is time to say that we live.
    BeatDue,
    /// Nothing was heard, or nothing was taken, for too long.
    Overdue,
    /// The connection, or the attempt at one, ended.
    Closed,
    /// What came are no frames.
    Garbage,
    /// The socket took bytes.
    Room,
    /// The cluster server takes this node.
    Welcome,
    /// The cluster server does not take this node.
    Refuse,
    /// The cluster server lives.
    Heartbeat,
    /// A snapshot begins.
    SnapshotBegin,
    /// Some of its records.
    SnapshotRecords,
    /// Its end.
    SnapshotEnd,
    /// A commit.
    Changes,
    /// The end of catching up.
    Current,
    /// What watched lines do at other members.
    Lamps,
    /// Log entries are kept at the cluster server.
    LogAck,
    /// The cluster server stops.
    Goodbye,
    /// A message that no cluster server sends.
    Foreign,
    /// Something is on disk.
    Applied,
    /// A registration began or ended.
    Registration,
    /// A line here changed.
    Line,
    /// Phones here watch other lines than before.
    Interest,
    /// An entry for the log.
    Log,
    /// This member stops.
    Stop,
}

impl EventName {
    /// Every event.
    pub const ALL: &'static [EventName] = &[
        EventName::DialDue,
        EventName::Established,
        EventName::BeatDue,
        EventName::Overdue,
        EventName::Closed,
        EventName::Garbage,
        EventName::Room,
        EventName::Welcome,
        EventName::Refuse,
        EventName::Heartbeat,
        EventName::SnapshotBegin,
        EventName::SnapshotRecords,
        EventName::SnapshotEnd,
        EventName::Changes,
        EventName::Current,
        EventName::Lamps,
        EventName::LogAck,
        EventName::Goodbye,
        EventName::Foreign,
        EventName::Applied,
        EventName::Registration,
        EventName::Line,
        EventName::Interest,
        EventName::Log,
        EventName::Stop,
    ];
}

/// An event with what it brings.
#[derive(Debug)]
enum Event {
    DialDue,
    Established(Peer),
    BeatDue,
    Overdue(CloseReason),
    Closed,
    Garbage(FrameError),
    Room(usize),
    Message(Body),
    Applied,
    Registration,
    Line,
    Interest,
    Log,
    Stop,
}

impl Event {
    fn name(&self) -> EventName {
        match self {
            Event::DialDue => EventName::DialDue,
            Event::Established(_) => EventName::Established,
            Event::BeatDue => EventName::BeatDue,
            Event::Overdue(_) => EventName::Overdue,
            Event::Closed => EventName::Closed,
            Event::Garbage(_) => EventName::Garbage,
            Event::Room(_) => EventName::Room,
            Event::Applied => EventName::Applied,
            Event::Registration => EventName::Registration,
            Event::Line => EventName::Line,
            Event::Interest => EventName::Interest,
            Event::Log => EventName::Log,
            Event::Stop => EventName::Stop,
            Event::Message(Body::Welcome(_)) => EventName::Welcome,
            Event::Message(Body::Refuse(_)) => EventName::Refuse,
            Event::Message(Body::Heartbeat(_)) => EventName::Heartbeat,
            Event::Message(Body::SnapshotBegin(_)) => EventName::SnapshotBegin,
            Event::Message(Body::SnapshotRecords(_)) => EventName::SnapshotRecords,
            Event::Message(Body::SnapshotEnd(_)) => EventName::SnapshotEnd,
            Event::Message(Body::Changes(_)) => EventName::Changes,
            Event::Message(Body::Current(_)) => EventName::Current,
            Event::Message(Body::Lamps(_)) => EventName::Lamps,
            Event::Message(Body::LogAck(_)) => EventName::LogAck,
            Event::Message(Body::Goodbye(_)) => EventName::Goodbye,
            Event::Message(
                Body::Hello(_)
                | Body::Live(_)
                | Body::Lines(_)
                | Body::Watch(_)
                | Body::Log(_)
                | Body::Part(_),
            ) => EventName::Foreign,
        }
    }
}

/// What people are shown of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub state: StateName,
    /// Since when the node carries calls to the cluster, or since when it does not.
    pub since: Duration,
    /// Where its data stand, in force.
    pub position: Position,
    /// The revision it has on disk.
    pub durable: u64,
    /// The last revision of the cluster server that was heard of.
    pub cluster_revision: u64,
    /// Why the last attempt failed, when an operator must act.
    pub fault: Option<Fault>,
}

/// The node's machine.
#[derive(Debug)]
pub struct Uplink {
    node: Node,
    state: State,
    reached: BTreeMap<(StateName, EventName), u64>,
}

/// What a node has in every state.
#[derive(Debug)]
struct Node {
    identity: Identity,
    instance: u64,
    position: Position,
    durable: u64,
    inventory: Inventory,
    registrations: Registrations,
    lines: LineStates,
    interest: Interest,
    journal: Journal,
    cluster_revision: u64,
    /// The last fault told, so that a second of refusals is not a second of alarms.
    fault: Option<Fault>,
    dials: u64,
    seed: [u8; 32],
}

impl Uplink {
    /// A node that has these records at that position. `instance` is higher than at any earlier start.
    #[must_use]
    pub fn new<'a>(
        identity: Identity,
        instance: u64,
        position: Position,
        records: impl IntoIterator<Item = &'a Record>,
        seed: [u8; 32],
        now: Duration,
    ) -> Uplink {
        let node = Node {
            identity,
            instance,
            position,
            durable: position.revision,
            inventory: Inventory::of(records),
            registrations: Registrations::default(),
            lines: LineStates::default(),
            interest: Interest::default(),
            journal: Journal::default(),
            cluster_revision: position.revision,
            fault: None,
            dials: 0,
            seed,
        };
        Uplink { node, state: State::isolated(now), reached: BTreeMap::new() }
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        self.excuse_lateness(now);
        match input {
            Input::Connected(conn, peer) => self.of_connection(now, conn, Event::Established(peer), out),
            Input::Bytes(conn, bytes) => self.received(now, conn, &bytes, out),
            Input::Sent(conn, bytes) => self.of_connection(now, conn, Event::Room(bytes), out),
            Input::Closed(conn) => self.of_connection(now, conn, Event::Closed, out),
            Input::Applied(position) => {
                self.node.durable = position.revision;
                self.step(now, Event::Applied, out);
            }
            Input::Bound(binding) => {
                self.node.registrations.bound(binding);
                self.step(now, Event::Registration, out);
            }
            Input::Unbound(extension, device) => {
                self.node.registrations.unbound(extension, device);
                self.step(now, Event::Registration, out);
            }
            Input::Lines(lines) => {
                lines.into_iter().for_each(|line| self.node.lines.say(line));
                self.step(now, Event::Line, out);
            }
            Input::Watch(extension, begins) => {
                let interest = &mut self.node.interest;
                if begins {
                    interest.begin(extension)
                } else {
                    interest.end(extension)
                }
                self.step(now, Event::Interest, out);
            }
            Input::Log(entry) => {
                self.node.journal.add(entry);
                self.step(now, Event::Log, out);
            }
            Input::Stop => self.step(now, Event::Stop, out),
            Input::Tick => {}
        }
        while let Some(event) = self.state.due(now) {
            self.step(now, event, out);
        }
        self.pump(now, out);
    }

    /// The next instant at which `Tick` is wanted: a dial, a heartbeat, or the end of somebody's patience.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.state.next_timeout()
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.node.identity
    }

    /// True while the uplink carries calls.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state.name() == StateName::Connected
    }

    /// What people are shown.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            state: self.state.name(),
            since: self.state.since(),
            position: self.node.position,
            durable: self.node.durable,
            cluster_revision: self.node.cluster_revision,
            fault: self.node.fault.clone(),
        }
    }

    /// Where the node's data stand, in force.
    #[must_use]
    pub fn position(&self) -> Position {
        self.node.position
    }

    /// The root digest of the node's data.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.node.inventory.root()
    }

    /// How often each event met each state: the simulator counts what its campaign has covered.
    #[must_use]
    pub fn reached(&self) -> &BTreeMap<(StateName, EventName), u64> {
        &self.reached
    }

    fn received(&mut self, now: Duration, conn: Conn, bytes: &[u8], out: &mut Vec<Output>) {
        match self.state.line_of(conn) {
            Some(line) => line.receive(now, bytes),
            None => return,
        }
        // A message may end the connection; what came behind it is then nobody's.
        while let Some(line) = self.state.line_of(conn) {
            let event = match line.message() {
                Ok(Some(body)) => Event::Message(body),
                Ok(None) => return,
                Err(fault) => Event::Garbage(fault),
            };
            self.step(now, event, out);
        }
    }

    fn of_connection(&mut self, now: Duration, conn: Conn, event: Event, out: &mut Vec<Output>) {
        if self.state.conn() == Some(conn) {
            self.step(now, event, out);
        } else if matches!(event, Event::Established(_)) {
            out.push(Output::Close(conn, CloseReason::GreetingTimeout));
        }
    }

    fn step(&mut self, now: Duration, event: Event, out: &mut Vec<Output>) {
        let before = self.state.name();
        *self.reached.entry((before, event.name())).or_default() += 1;
        let state = std::mem::replace(&mut self.state, State::isolated(now));
        self.state = state.handle(&mut self.node, now, event, out);
        let after = self.state.name();
        if before != after {
            out.push(Output::StateChanged(after));
        }
    }

    /// Produces what the line has room for, and hands it to the shell.
    fn pump(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(line) = self.state.session_line() else {
            if let Some(line) = self.state.line()
                && let Some(bytes) = line.flush(now)
            {
                out.push(Output::Send(line.conn, bytes));
            }
            return;
        };
        loop {
            while line.has_room() {
                match self.node.next_message() {
                    Some(body) => line.send(&body),
                    None => break,
                }
            }
            match line.flush(now) {
                Some(bytes) => out.push(Output::Send(line.conn, bytes)),
                None => return,
            }
        }
    }

    /// A machine that was not run cannot judge: what it did not hear while it was held up was not silence.
    fn excuse_lateness(&mut self, now: Duration) {
        let late = self.next_timeout().map_or(Duration::ZERO, |due| now.saturating_sub(due));
        if late > LATE
            && let Some(line) = self.state.line()
        {
            line.excuse(late);
        }
    }
}

impl Node {
    fn hello(&self, now: Duration) -> Body {
        Body::Hello(Hello {
            cluster: self.identity.cluster.as_str().to_owned(),
            member: u32::from(self.identity.member.get()),
            dongle_id: self.identity.dongle_id.as_str().to_owned(),
            release: self.identity.release.to_string(),
            hardware_type: self.identity.hardware_type.name().to_owned(),
            position: Some(self.position.into()),
            digest: self.inventory.root().to_bytes().to_vec(),
            kinds: Kind::ALL.iter().map(|kind| kind.number()).collect(),
            unix_ms: milliseconds(now),
            instance: self.instance,
        })
    }

    /// What there is to tell, what calls need first.
    fn next_message(&mut self) -> Option<Body> {
        let live = self.registrations.next_message().map(Body::Live);
        live.or_else(|| self.interest.next_message().map(Body::Watch))
            .or_else(|| self.lines.next_message().map(Body::Lines))
            .or_else(|| self.journal.next_message().map(Body::Log))
    }

    fn heartbeat(&self, now: Duration, snapshots: u32) -> Heartbeat {
        Heartbeat {
            position: Some(self.position.into()),
            digest: self.inventory.root().to_bytes().to_vec(),
            snapshots,
            durable: self.durable,
            unix_ms: milliseconds(now),
        }
    }

    /// Tells a fault once; the same one again is no news.
    fn tell(&mut self, fault: Fault, out: &mut Vec<Output>) {
        if self.fault.as_ref() != Some(&fault) {
            self.fault = Some(fault.clone());
            out.push(Output::Fault(fault));
        }
    }

    fn next_conn(&mut self) -> Conn {
        self.dials += 1;
        Conn(self.dials)
    }

    /// The random part of the redial pace, drawn by counter from the seed.
    fn jitter(&self) -> Duration {
        let drawn = Sha256::new().chain_update(self.seed).chain_update(self.dials.to_be_bytes()).finalize();
        let number = drawn.iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
        Duration::from_millis(number % (JITTER_MS_MAX + 1))
    }
}

/// The steady clock as the wire has it.
pub(crate) fn milliseconds(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
