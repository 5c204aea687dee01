//! The cluster server's side of the link: a session for each node around one catalogue of data.
//!
//! Nothing is queued for a node. A session knows the revision it has sent through and takes the next commit from
//! the [`catalogue`] when its line has room; when the log no longer reaches back that far, it takes a snapshot.
//! So a slow node costs a number, and no node ever waits for another.
//!
//! A node becomes *up* when it has said that it holds what it was sent and all its registrations are known. Its
//! registrations outlive its link: they are then unreachable, not absent (DESIGN § 5.1).

mod admission;
mod board;
mod catalogue;
mod io;
mod known;
mod session;

pub use io::{EventName, Fault, Input, NodeStatus, Output, SessionName, StateName};

use crate::digest::Digest;
use crate::link::{CloseReason, Conn, LATE, LiveBinding, Peer, Refusal};
use crate::uplink::milliseconds;
use crate::wire::{Body, Goodbye, Heartbeat, Refuse};
use board::Board;
use catalogue::Catalogue;
use known::Known;
use model::{Change, ClusterId, Extension, MemberNumber, Position, Record, Release};
use session::{Greeting, Session, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Connections at once: one for each node, one more while it replaces the first, and some that will be refused.
const CONNECTIONS_MAX: usize = 500;

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
    board: Board,
    sessions: BTreeMap<Conn, Session>,
    nodes: BTreeMap<MemberNumber, Known>,
    deleted: BTreeSet<MemberNumber>,
    began: Duration,
    stopping: bool,
    reached: BTreeMap<(SessionName, EventName), u64>,
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
            board: Board::new(),
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
            Input::Lines(lines) => {
                let own = MemberNumber::CLUSTER_SERVER;
                lines.into_iter().for_each(|line| self.board.note(own, line.extension, line.detail));
            }
            Input::Watch(extension, begins) => {
                self.board.watches(MemberNumber::CLUSTER_SERVER, extension, begins);
            }
            Input::Stop => self.stop(now, out),
            Input::Tick => {}
        }
        self.due(now, out);
        self.show_lamps(now, out);
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
        let unheard = Known::new(self.began);
        let known = |member| self.nodes.get(&member).unwrap_or(&unheard);
        self.catalogue.nodes().into_iter().map(|member| known(member).status(member, ours)).collect()
    }

    /// The registrations known at a node, reachable or not.
    pub fn bindings(&self, member: MemberNumber) -> impl Iterator<Item = &LiveBinding> {
        self.nodes.get(&member).into_iter().flat_map(|known| known.bindings.values())
    }

    /// What every member says of its lines; none while it is beyond a cut.
    pub fn lines(&self) -> impl Iterator<Item = (MemberNumber, &Extension, Option<&[u8]>)> {
        self.board.lines_told()
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
        self.count(conn, EventName::of(&body));
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
                let board = &mut self.board;
                match body {
                    Body::Lines(lines) => board.lines(taken.member, lines).map_err(|fault| fault.to_string()),
                    Body::Watch(watch) => board.watch(taken.member, watch).map_err(|fault| fault.to_string()),
                    body => taken.message(known, &self.catalogue, now, body, out),
                }
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
        let moved: Vec<Extension> = changes.iter().filter_map(admission::touched_subscriber).collect();
        self.catalogue.commit(revision, changes);
        moved.iter().for_each(|extension| self.board.mark(extension));
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
            self.board.forget(member);
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

    /// Lamps that are not as they were shown last go to whoever watches them.
    fn show_lamps(&mut self, now: Duration, out: &mut Vec<Output>) {
        let due: Vec<MemberNumber> = self.board.due().collect();
        for member in due {
            if member.is_cluster_server() {
                loop {
                    let lamps = self.board.next_lamps(member, &self.catalogue);
                    if lamps.is_empty() {
                        break;
                    }
                    out.push(Output::Lamps(lamps));
                }
            } else if let Some(conn) = self.nodes.get(&member).and_then(|known| known.conn) {
                self.pump(now, conn, out);
            }
        }
    }

    /// Produces what the line has room for, and hands it to the shell.
    fn pump(&mut self, now: Duration, conn: Conn, out: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        loop {
            if let Session::Taken(taken) = session {
                taken.produce(&self.catalogue, &mut self.board);
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
        self.board.lost(member);
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

fn offset(theirs_ms: u64, now: Duration) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    signed(theirs_ms).saturating_sub(signed(milliseconds(now)))
}
