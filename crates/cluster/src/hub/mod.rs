//! The cluster server's side of the link: a session for each node around one catalogue of data.
//!
//! Nothing is queued for a node. A session knows the revision it has sent through and takes the next commit from
//! the [`catalogue`] when its line has room; when the log no longer reaches back that far, it takes a snapshot.
//! So a slow node costs a number, and no node ever waits for another.
//!
//! A node becomes *up* when it has said that it holds what it was sent and all its registrations are known. Its
//! registrations outlive its link: they are then unreachable, not absent (DESIGN § 5.1).

mod admission;
mod catalogue;
mod session;

use crate::digest::Digest;
use crate::link::{CloseReason, Conn, LATE, LiveBinding, LogEntry, Peer, Refusal};
use crate::uplink::milliseconds;
use crate::wire::{Body, Goodbye, Heartbeat, Refuse};
use catalogue::Catalogue;
use model::{Change, ClusterId, Extension, MemberNumber, Position, Record, Release};
use session::{Greeting, Session, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Connections at once: one for each node, one more while it replaces the first, and some that will be refused.
const CONNECTIONS_MAX: usize = 500;

/// What happens to the cluster server's side.
#[derive(Debug, Clone)]
pub enum Input {
    /// A node connected; the shell names the connection, TLS is up and the certificate says this.
    Connected(Conn, Peer),
    /// Bytes came.
    Bytes(Conn, Vec<u8>),
    /// The shell has handed that many bytes of the connection to its socket: there is room for as many more.
    Sent(Conn, usize),
    /// The connection ended.
    Closed(Conn),
    /// The store made this commit: all changes of one revision, in order of revisions.
    Committed {
        /// Its revision.
        revision: u64,
        /// What it changed.
        changes: Vec<Change>,
    },
    /// A log entry is on disk and can be acknowledged.
    Recorded(MemberNumber, String),
    /// The cluster server stops: say goodbye.
    Stop,
    /// Time passed.
    Tick,
}

/// What the cluster server's side wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes; answer with `Sent` as the socket takes them.
    Send(Conn, Vec<u8>),
    /// Flush and close; no answer is needed.
    Close(Conn, CloseReason),
    /// The node carries calls from now on.
    Up(MemberNumber),
    /// The node is beyond a cut since then. Its bindings stay known, as unreachable.
    Down {
        /// The node.
        member: MemberNumber,
        /// Since when.
        since: Duration,
    },
    /// All bindings of that node are now exactly these.
    LiveReset(MemberNumber, Vec<LiveBinding>),
    /// A phone registered at that node, or renewed with other details.
    Bound(MemberNumber, LiveBinding),
    /// A registration ended at that node: extension and device.
    Unbound(MemberNumber, Extension, String),
    /// Keep this entry, then say `Recorded`.
    Record(MemberNumber, LogEntry),
    /// The state of that node shown to people changed.
    StateChanged(MemberNumber, StateName),
    /// Something is wrong that an operator should see.
    Fault(Fault),
}

/// The state of a node as its cluster server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// No link.
    Unreachable,
    /// Taken, catching up.
    Synchronising,
    /// Carrying calls.
    Connected,
}

/// What an operator should know of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A connection was not taken.
    #[error("a link of member {member} was refused: {refusal}")]
    Refused {
        /// Who asked, by certificate.
        member: MemberNumber,
        /// Why not.
        refusal: Refusal,
    },
    /// A node's data are not what they should be at their revision; they are being sent again.
    #[error("node {member} holds other data than it should at revision {revision}: sending all of it again")]
    DigestDiffers {
        /// The node.
        member: MemberNumber,
        /// The revision at which both were compared.
        revision: u64,
    },
    /// A node is ahead of this cluster server in the same history: commits were lost here.
    #[error("node {member} holds revision {held}, this cluster server only {ours}: commits were lost here")]
    Behind {
        /// The node.
        member: MemberNumber,
        /// The revision it holds.
        held: u64,
        /// Our last one.
        ours: u64,
    },
    /// Two machines use one node's identity, or a link was replaced before its loss was noticed.
    #[error("a second link of node {0} replaced the first")]
    Replaced(MemberNumber),
    /// A node did not take what it was sent.
    #[error("node {0} does not keep up: cut off, it will synchronise again")]
    TooSlow(MemberNumber),
    /// A node broke the protocol.
    #[error("node {member} broke the link protocol: {reason}")]
    Protocol {
        /// The node, by certificate.
        member: MemberNumber,
        /// How.
        reason: String,
    },
}

/// What people are shown of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its number.
    pub member: MemberNumber,
    /// Its state.
    pub state: StateName,
    /// Since when.
    pub since: Duration,
    /// Where it stands, as it last said.
    pub position: Position,
    /// True when its digest was right at the last comparison; none before the first.
    pub digest_equal: Option<bool>,
    /// What it runs, as it last said.
    pub release: Option<Release>,
    /// Revisions it is behind.
    pub lag: u64,
    /// Bindings known of it.
    pub bindings: usize,
    /// The revision it has on disk, as it last said.
    pub durable: u64,
    /// Its clock less ours in milliseconds, at its last greeting (PRE-14).
    pub clock_offset_ms: i64,
}

/// What an [`Input`] or the clock amounts to for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventName {
    /// It is time to say that we live.
    BeatDue,
    /// Nothing was heard, or nothing was taken, for too long.
    Overdue,
    /// The connection ended.
    Closed,
    /// What came are no frames.
    Garbage,
    /// The socket took bytes.
    Room,
    /// The node says who it is.
    Hello,
    /// The node lives.
    Heartbeat,
    /// Registrations at the node.
    Live,
    /// Entries for the log.
    Log,
    /// The node stops.
    Goodbye,
    /// A message that no node sends.
    Foreign,
}

impl EventName {
    /// Every event.
    pub const ALL: &'static [EventName] = &[
        EventName::BeatDue,
        EventName::Overdue,
        EventName::Closed,
        EventName::Garbage,
        EventName::Room,
        EventName::Hello,
        EventName::Heartbeat,
        EventName::Live,
        EventName::Log,
        EventName::Goodbye,
        EventName::Foreign,
    ];
}

/// The states of a session: the rows of the cluster server's table in `docs/design/link.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionName {
    /// Connected, has not said who it is.
    Greeting,
    /// Taken, catching up.
    Synchronising,
    /// Up.
    Connected,
}

/// What the cluster server's side must know of its place.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster it serves.
    pub cluster: ClusterId,
    /// What it runs.
    pub release: Release,
}

/// The cluster server's machine.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    catalogue: Catalogue,
    sessions: BTreeMap<Conn, Session>,
    nodes: BTreeMap<MemberNumber, Known>,
    deleted: BTreeSet<MemberNumber>,
    began: Duration,
    stopping: bool,
    reached: BTreeMap<(SessionName, EventName), u64>,
}

/// What is known of a node beyond its session.
#[derive(Debug, Clone)]
struct Known {
    /// The connection of its session, if it has one.
    conn: Option<Conn>,
    state: StateName,
    since: Duration,
    position: Position,
    durable: u64,
    digest_equal: Option<bool>,
    release: Option<Release>,
    clock_offset_ms: i64,
    bindings: BTreeMap<(Extension, String), LiveBinding>,
}

impl Hub {
    /// A cluster server at that position with these records. `recent` are the last changes that led there, oldest
    /// first, as far as the store still has them: they save nodes that were away a snapshot.
    #[must_use]
    pub fn new(
        settings: Settings,
        position: Position,
        records: Vec<Record>,
        recent: Vec<Change>,
        now: Duration,
    ) -> Hub {
        let deleted = recent.iter().filter_map(admission::deleted_node).collect();
        Hub {
            settings,
            catalogue: Catalogue::new(position, records, recent),
            sessions: BTreeMap::new(),
            nodes: BTreeMap::new(),
            deleted,
            began: now,
            stopping: false,
            reached: BTreeMap::new(),
        }
    }

    /// Takes an input in.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        self.excuse_lateness(now);
        match input {
            Input::Connected(conn, peer) => self.connected(now, conn, peer, out),
            Input::Bytes(conn, bytes) => self.received(now, conn, &bytes, out),
            Input::Sent(conn, bytes) => {
                self.count(conn, EventName::Room);
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.line().sent(now, bytes);
                }
                self.pump(now, conn, out);
            }
            Input::Closed(conn) => {
                self.count(conn, EventName::Closed);
                self.leave(now, conn, None, out);
            }
            Input::Committed { revision, changes } => self.committed(now, revision, changes, out),
            Input::Recorded(member, id) => self.recorded(now, member, id, out),
            Input::Stop => self.stop(now, out),
            Input::Tick => {}
        }
        self.due(now, out);
    }

    /// The next instant at which `Tick` is wanted: a heartbeat, or the end of somebody's patience.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.sessions.values().map(Session::next_timeout).min()
    }

    /// Where the cluster's data stand.
    #[must_use]
    pub fn position(&self) -> Position {
        self.catalogue.position()
    }

    /// The root digest of all data.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.catalogue.root()
    }

    /// The digest of what that node should hold now.
    #[must_use]
    pub fn digest_of(&self, member: MemberNumber) -> Digest {
        self.catalogue.digest_of(member, None)
    }

    /// Every node of the cluster, with or without a link.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let ours = self.catalogue.position();
        self.catalogue.nodes().into_iter().map(|member| self.status(member, ours)).collect()
    }

    /// The registrations known at a node, reachable or not.
    pub fn bindings(&self, member: MemberNumber) -> impl Iterator<Item = &LiveBinding> {
        self.nodes.get(&member).into_iter().flat_map(|known| known.bindings.values())
    }

    /// True while that node is up.
    #[must_use]
    pub fn reaches(&self, member: MemberNumber) -> bool {
        self.nodes.get(&member).is_some_and(|known| known.state == StateName::Connected)
    }

    /// How often each event met each state: the simulator counts what its campaign has covered.
    #[must_use]
    pub fn reached(&self) -> &BTreeMap<(SessionName, EventName), u64> {
        &self.reached
    }

    fn status(&self, member: MemberNumber, ours: Position) -> NodeStatus {
        let unheard = Known::new(self.began);
        let known = self.nodes.get(&member).unwrap_or(&unheard);
        let held = if known.position.history == ours.history { known.position.revision } else { 0 };
        NodeStatus {
            member,
            state: known.state,
            since: known.since,
            position: known.position,
            digest_equal: known.digest_equal,
            release: known.release,
            lag: ours.revision.saturating_sub(held),
            bindings: known.bindings.len(),
            durable: known.durable,
            clock_offset_ms: known.clock_offset_ms,
        }
    }

    fn connected(&mut self, now: Duration, conn: Conn, peer: Peer, out: &mut Vec<Output>) {
        if self.stopping || self.sessions.len() >= CONNECTIONS_MAX {
            out.push(Output::Close(conn, CloseReason::Full));
            return;
        }
        self.sessions.insert(conn, Session::Greeting(Box::new(Greeting::new(conn, peer, now))));
    }

    fn received(&mut self, now: Duration, conn: Conn, bytes: &[u8], out: &mut Vec<Output>) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.line().receive(now, bytes);
        }
        // A message may end the session; what came behind it is then nobody's.
        while let Some(session) = self.sessions.get_mut(&conn) {
            match session.line().message() {
                Ok(Some(body)) => self.message(now, conn, body, out),
                Ok(None) => break,
                Err(fault) => {
                    self.count(conn, EventName::Garbage);
                    self.broken(now, conn, fault.to_string(), out);
                }
            }
        }
        self.pump(now, conn, out);
    }

    fn message(&mut self, now: Duration, conn: Conn, body: Body, out: &mut Vec<Output>) {
        self.count(conn, name_of(&body));
        let outcome = match (self.sessions.get_mut(&conn), body) {
            (None, _) => return,
            (Some(Session::Greeting(greeting)), Body::Hello(hello)) => {
                let peer = greeting.peer.clone();
                return self.greeted(now, conn, &peer, &hello, out);
            }
            (Some(_), Body::Goodbye(_)) => return self.leave(now, conn, Some(CloseReason::Stopping), out),
            (Some(Session::Greeting(_)), _) => Err("something before Hello".to_owned()),
            (Some(Session::Taken(taken)), body) => {
                let known = self.nodes.entry(taken.member).or_insert_with(|| Known::new(now));
                taken.message(known, &self.catalogue, now, body, out)
            }
        };
        if let Err(what) = outcome {
            self.broken(now, conn, what, out);
        }
    }

    /// A Hello: the node is taken, in place of any older link of it, or refused.
    fn greeted(
        &mut self,
        now: Duration,
        conn: Conn,
        peer: &Peer,
        hello: &crate::wire::Hello,
        out: &mut Vec<Output>,
    ) {
        let admitted = match admission::admit(&self.settings, &self.catalogue, &self.deleted, peer, hello) {
            Ok(admitted) => admitted,
            Err(admission::Denied::Refused(refusal)) => return self.refuse(now, conn, refusal, out),
            Err(admission::Denied::Malformed(fault)) => {
                return self.broken(now, conn, fault.to_string(), out);
            }
        };
        let member = admitted.member;
        if let Some(older) = self.nodes.get(&member).and_then(|known| known.conn) {
            out.push(Output::Fault(Fault::Replaced(member)));
            self.leave(now, older, Some(CloseReason::Replaced), out);
        }
        let Some(Session::Greeting(greeting)) = self.sessions.remove(&conn) else { return };
        let known = self.nodes.entry(member).or_insert_with(|| Known::new(now));
        known.conn = Some(conn);
        known.enter(member, StateName::Synchronising, now, out);
        known.release = Some(admitted.release);
        known.position = admitted.position;
        known.digest_equal = None;
        known.clock_offset_ms = offset(hello.unix_ms, now);
        let taken = Taken::new(greeting.line, &admitted, &self.settings, &self.catalogue, now, out);
        self.sessions.insert(conn, Session::Taken(Box::new(taken)));
    }

    fn committed(&mut self, now: Duration, revision: u64, changes: Vec<Change>, out: &mut Vec<Output>) {
        let nodes_touched: Vec<MemberNumber> = changes.iter().filter_map(admission::touched_node).collect();
        self.deleted.extend(changes.iter().filter_map(admission::deleted_node));
        self.catalogue.commit(revision, changes);
        for member in nodes_touched {
            self.recheck(now, member, out);
        }
        let conns: Vec<Conn> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.pump(now, conn, out);
        }
    }

    /// The record of a node changed: its link stays only if it would be taken again.
    fn recheck(&mut self, now: Duration, member: MemberNumber, out: &mut Vec<Output>) {
        let conn = self.nodes.get(&member).and_then(|known| known.conn);
        let Some(node) = self.catalogue.node(member) else {
            if let Some(conn) = conn {
                self.refuse(now, conn, Refusal::DeletedNode, out);
            }
            self.nodes.remove(&member);
            return;
        };
        self.deleted.remove(&member);
        if let Some(conn) = conn
            && let Some(Session::Taken(taken)) = self.sessions.get(&conn)
            && taken.dongle_id != node.dongle_id
        {
            self.refuse(now, conn, Refusal::DongleDiffers, out);
        }
    }

    fn recorded(&mut self, now: Duration, member: MemberNumber, id: String, out: &mut Vec<Output>) {
        let Some(conn) = self.nodes.get(&member).and_then(|known| known.conn) else { return };
        if let Some(Session::Taken(taken)) = self.sessions.get_mut(&conn) {
            taken.recorded.push(id);
        }
        self.pump(now, conn, out);
    }

    fn stop(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.stopping = true;
        let conns: Vec<Conn> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.farewell(now, conn, &Body::Goodbye(Goodbye {}), out);
            self.leave(now, conn, Some(CloseReason::Stopping), out);
        }
    }

    /// What the clock alone makes happen by `now`.
    fn due(&mut self, now: Duration, out: &mut Vec<Output>) {
        let due: Vec<Conn> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.next_timeout() <= now)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in due {
            let Some(session) = self.sessions.get_mut(&conn) else { continue };
            if let Some(reason) = session.overdue(now) {
                if let (CloseReason::TooSlow, Some(member)) = (reason, session.member()) {
                    out.push(Output::Fault(Fault::TooSlow(member)));
                }
                self.count(conn, EventName::Overdue);
                self.leave(now, conn, Some(reason), out);
                continue;
            }
            let heartbeat = Heartbeat {
                position: Some(self.catalogue.position().into()),
                unix_ms: milliseconds(now),
                ..Heartbeat::default()
            };
            session.line().beat(now, heartbeat);
            self.count(conn, EventName::BeatDue);
            self.pump(now, conn, out);
        }
    }

    /// Produces what the line has room for, and hands it to the shell.
    fn pump(&mut self, now: Duration, conn: Conn, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        loop {
            if let Session::Taken(taken) = session {
                taken.produce(&self.catalogue);
            }
            match session.line().flush(now) {
                Some(bytes) => out.push(Output::Send(conn, bytes)),
                None => return,
            }
        }
    }

    fn refuse(&mut self, now: Duration, conn: Conn, refusal: Refusal, out: &mut Vec<Output>) {
        if let Some(member) = self.sessions.get(&conn).map(Session::claimed) {
            out.push(Output::Fault(Fault::Refused { member, refusal }));
        }
        self.farewell(now, conn, &Body::Refuse(Refuse::from(refusal)), out);
        self.leave(now, conn, Some(CloseReason::Refused(refusal)), out);
    }

    fn broken(&mut self, now: Duration, conn: Conn, reason: String, out: &mut Vec<Output>) {
        if let Some(member) = self.sessions.get(&conn).map(Session::claimed) {
            out.push(Output::Fault(Fault::Protocol { member, reason }));
        }
        self.leave(now, conn, Some(CloseReason::Protocol), out);
    }

    /// A last word, as far as the line has room.
    fn farewell(&mut self, now: Duration, conn: Conn, body: &Body, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.line().send(body);
        while let Some(bytes) = session.line().flush(now) {
            out.push(Output::Send(conn, bytes));
        }
    }

    /// The session ends; the node is beyond a cut since it was last heard.
    fn leave(&mut self, now: Duration, conn: Conn, reason: Option<CloseReason>, out: &mut Vec<Output>) {
        let Some(mut session) = self.sessions.remove(&conn) else { return };
        out.extend(reason.map(|reason| Output::Close(conn, reason)));
        let since = session.line().heard.min(now);
        let Some(member) = session.member() else { return };
        let Some(known) = self.nodes.get_mut(&member).filter(|known| known.conn == Some(conn)) else {
            return;
        };
        known.conn = None;
        if known.state == StateName::Connected {
            out.push(Output::Down { member, since });
        }
        known.enter(member, StateName::Unreachable, since, out);
    }

    fn count(&mut self, conn: Conn, event: EventName) {
        let name = match self.sessions.get(&conn) {
            Some(Session::Greeting(_)) => SessionName::Greeting,
            Some(Session::Taken(taken)) if taken.is_up() => SessionName::Connected,
            Some(Session::Taken(_)) => SessionName::Synchronising,
            None => return,
        };
        *self.reached.entry((name, event)).or_default() += 1;
    }

    /// A machine that was not run cannot judge: what it did not hear while it was held up was not silence.
    fn excuse_lateness(&mut self, now: Duration) {
        let late = self.next_timeout().map_or(Duration::ZERO, |due| now.saturating_sub(due));
        if late > LATE {
            self.sessions.values_mut().for_each(|session| session.line().excuse(late));
        }
    }
}

impl Known {
    fn new(now: Duration) -> Known {
        Known {
            conn: None,
            state: StateName::Unreachable,
            since: now,
            position: Position::default(),
            durable: 0,
            digest_equal: None,
            release: None,
            clock_offset_ms: 0,
            bindings: BTreeMap::new(),
        }
    }

    fn enter(&mut self, member: MemberNumber, state: StateName, now: Duration, out: &mut Vec<Output>) {
        if self.state != state {
            self.state = state;
            self.since = now;
            out.push(Output::StateChanged(member, state));
        }
    }
}

fn name_of(body: &Body) -> EventName {
    match body {
        Body::Hello(_) => EventName::Hello,
        Body::Heartbeat(_) => EventName::Heartbeat,
        Body::Live(_) => EventName::Live,
        Body::Log(_) => EventName::Log,
        Body::Goodbye(_) => EventName::Goodbye,
        _ => EventName::Foreign,
    }
}

fn offset(theirs_ms: u64, now: Duration) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    signed(theirs_ms).saturating_sub(signed(milliseconds(now)))
}
