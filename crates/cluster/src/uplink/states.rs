//! The states of a node: a variant a state, a function a state (`docs/design/link.md` has the table).
//!
//! What does not depend on the state happens before (`Uplink::handle`): a registration, a line, a watched line
//! or a log entry is noted in every state. Events that mean nothing in a state leave it as it is.

use super::snapshot::{Assembly, NotWhole};
use super::{Event, Fault, Node, Output, StateName};
use crate::line::Line;
use crate::link::{CloseReason, Conn, GREETING, Peer, REDIAL, Refusal};
use crate::wire::convert::{MalformedField, digest};
use crate::wire::{Authority, Body, Changes, Goodbye, Position as WirePosition, SnapshotBegin, Welcome};
use model::Position;
use std::time::Duration;

/// The state of a node.
#[derive(Debug)]
pub(super) enum State {
    Isolated(Isolated),
    Connecting(Connecting),
    Synchronising(Session),
    Connected(Session),
}

/// No uplink, and not trying this moment.
#[derive(Debug)]
pub(super) struct Isolated {
    since: Duration,
    /// When to try again; none once the member stops.
    dial_at: Option<Duration>,
}

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Connecting {
    /// Since when there is no uplink.
    since: Duration,
    dialled: Duration,
    conn: Conn,
    /// The connection, once it stands and Hello is said.
    line: Option<Line>,
}

/// A connection on which this node is taken.
#[derive(Debug)]
pub(super) struct Session {
    /// Since when the node does (connected) or does not (synchronising) carry calls.
    since: Duration,
    dialled: Duration,
    line: Line,
    /// What the cluster server said of itself.
    authority: Position,
    /// Snapshots applied on this connection.
    snapshots: u32,
    /// A snapshot on its way in.
    assembly: Option<Assembly>,
}

/// Why a session cannot go on.
#[derive(Debug)]
enum Broken {
    /// The cluster server broke the protocol.
    Protocol(String),
    /// It said goodbye.
    Goodbye,
    /// This node is not a member any more.
    Refused(Refusal),
}

impl From<MalformedField> for Broken {
    fn from(fault: MalformedField) -> Broken {
        Broken::Protocol(fault.to_string())
    }
}

impl From<NotWhole> for Broken {
    fn from(fault: NotWhole) -> Broken {
        Broken::Protocol(fault.to_string())
    }
}

fn broken<T>(what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Protocol(what.into()))
}

/// What a message meant for the session.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Noted,
    CaughtUp,
}

impl State {
    /// A node that tries at once.
    pub(super) fn isolated(now: Duration) -> State {
        State::Isolated(Isolated { since: now, dial_at: Some(now) })
    }

    pub(super) fn handle(self, node: &mut Node, now: Duration, event: Event, out: &mut Vec<Output>) -> State {
        match self {
            State::Isolated(state) => isolated(state, node, now, &event, out),
            State::Connecting(state) => connecting(state, node, now, event, out),
            State::Synchronising(session) => synchronising(session, node, now, event, out),
            State::Connected(session) => connected(session, node, now, event, out),
        }
    }

    pub(super) fn name(&self) -> StateName {
        match self {
            State::Isolated(_) => StateName::Isolated,
            State::Connecting(_) => StateName::Connecting,
            State::Synchronising(_) => StateName::Synchronising,
            State::Connected(_) => StateName::Connected,
        }
    }

    pub(super) fn since(&self) -> Duration {
        match self {
            State::Isolated(state) => state.since,
            State::Connecting(state) => state.since,
            State::Synchronising(session) | State::Connected(session) => session.since,
        }
    }

    /// The connection under way or standing.
    pub(super) fn conn(&self) -> Option<Conn> {
        match self {
            State::Isolated(_) => None,
            State::Connecting(state) => Some(state.conn),
            State::Synchronising(session) | State::Connected(session) => Some(session.line.conn),
        }
    }

    pub(super) fn line(&mut self) -> Option<&mut Line> {
        match self {
            State::Isolated(_) => None,
            State::Connecting(state) => state.line.as_mut(),
            State::Synchronising(session) | State::Connected(session) => Some(&mut session.line),
        }
    }

    /// The line of that connection, if it is the present one.
    pub(super) fn line_of(&mut self, conn: Conn) -> Option<&mut Line> {
        self.line().filter(|line| line.conn == conn)
    }

    /// The line on which registrations and log entries may go.
    pub(super) fn session_line(&mut self) -> Option<&mut Line> {
        match self {
            State::Isolated(_) | State::Connecting(_) => None,
            State::Synchronising(session) | State::Connected(session) => Some(&mut session.line),
        }
    }

    /// What the clock alone makes happen by `now`.
    pub(super) fn due(&self, now: Duration) -> Option<Event> {
        match self {
            State::Isolated(state) => state.dial_at.filter(|at| now >= *at).map(|_| Event::DialDue),
            State::Connecting(state) => {
                (now >= state.dialled + GREETING).then_some(Event::Overdue(CloseReason::GreetingTimeout))
            }
            State::Synchronising(session) | State::Connected(session) => {
                let beat = (now >= session.line.beat_due).then_some(Event::BeatDue);
                session.line.overdue(now).map(Event::Overdue).or(beat)
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match self {
            State::Isolated(state) => state.dial_at,
            State::Connecting(state) => Some(state.dialled + GREETING),
            State::Synchronising(session) | State::Connected(session) => Some(session.line.next_timeout()),
        }
    }
}

fn isolated(state: Isolated, node: &mut Node, now: Duration, event: &Event, out: &mut Vec<Output>) -> State {
    match event {
        Event::DialDue => {
            let conn = node.next_conn();
            out.push(Output::Dial(conn));
            State::Connecting(Connecting { since: state.since, dialled: now, conn, line: None })
        }
        Event::Stop => State::Isolated(Isolated { dial_at: None, ..state }),
        _ => State::Isolated(state),
    }
}

fn connecting(
    mut state: Connecting,
    node: &mut Node,
    now: Duration,
    event: Event,
    out: &mut Vec<Output>,
) -> State {
    match event {
        Event::Established(peer) if is_our_cluster_server(node, &peer) => {
            let mut line = Line::new(state.conn, now);
            line.send(&node.hello(now));
            state.line = Some(line);
            State::Connecting(state)
        }
        Event::Established(peer) => {
            node.tell(Fault::WrongPeer(peer), out);
            state.give_up(node, Some(CloseReason::WrongPeer), out)
        }
        Event::Message(Body::Welcome(welcome)) => state.welcomed(node, now, &welcome, out),
        Event::Message(Body::Refuse(refuse)) => {
            let refusal = refuse.refusal();
            node.tell(Fault::Refused(refusal), out);
            state.give_up(node, Some(CloseReason::Refused(refusal)), out)
        }
        // Life, and the end of the greeting is near; nothing to learn from it yet.
        Event::Message(Body::Heartbeat(_)) => State::Connecting(state),
        Event::Message(Body::Goodbye(_)) => state.give_up(node, Some(CloseReason::Stopping), out),
        Event::Message(_) => {
            node.tell(Fault::Protocol("data before Welcome".to_owned()), out);
            state.give_up(node, Some(CloseReason::Protocol), out)
        }
        Event::Garbage(fault) => {
            node.tell(Fault::Protocol(fault.to_string()), out);
            state.give_up(node, Some(CloseReason::Protocol), out)
        }
        Event::Overdue(reason) => state.give_up(node, Some(reason), out),
        Event::Closed => state.give_up(node, None, out),
        Event::Stop => {
            out.push(Output::Close(state.conn, CloseReason::Stopping));
            State::Isolated(Isolated { since: state.since, dial_at: None })
        }
        Event::Room(bytes) => {
            if let Some(line) = &mut state.line {
                line.sent(now, bytes);
            }
            State::Connecting(state)
        }
        Event::DialDue
        | Event::BeatDue
        | Event::Applied
        | Event::Registration
        | Event::Line
        | Event::Interest
        | Event::Log => State::Connecting(state),
    }
}

fn synchronising(
    mut session: Session,
    node: &mut Node,
    now: Duration,
    event: Event,
    out: &mut Vec<Output>,
) -> State {
    match session.handle(node, now, event, out) {
        Ok(Taken::Noted) => State::Synchronising(session),
        Ok(Taken::CaughtUp) => {
            node.fault = None;
            session.since = now;
            out.push(Output::Up);
            State::Connected(session)
        }
        Err(end) => State::Isolated(session.end(node, end, out)),
    }
}

fn connected(
    mut session: Session,
    node: &mut Node,
    now: Duration,
    event: Event,
    out: &mut Vec<Output>,
) -> State {
    match session.handle(node, now, event, out) {
        Ok(_) => State::Connected(session),
        Err(end) => {
            session.since = now;
            out.push(Output::Down);
            State::Isolated(session.end(node, end, out))
        }
    }
}

fn is_our_cluster_server(node: &Node, peer: &Peer) -> bool {
    peer.cluster == node.identity.cluster && peer.member.is_cluster_server()
}

impl Connecting {
    fn give_up(self, node: &Node, reason: Option<CloseReason>, out: &mut Vec<Output>) -> State {
        out.extend(reason.map(|reason| Output::Close(self.conn, reason)));
        State::Isolated(Isolated { since: self.since, dial_at: Some(self.dialled + REDIAL + node.jitter()) })
    }

    fn welcomed(self, node: &mut Node, now: Duration, welcome: &Welcome, out: &mut Vec<Output>) -> State {
        let authority = match WirePosition::required(welcome.position) {
            Ok(position) if welcome.authority() == Authority::Full => position,
            Ok(_) => {
                node.tell(Fault::Protocol("an authority this release does not know".to_owned()), out);
                return self.give_up(node, Some(CloseReason::Protocol), out);
            }
            Err(fault) => {
                node.tell(Fault::Protocol(fault.to_string()), out);
                return self.give_up(node, Some(CloseReason::Protocol), out);
            }
        };
        let seen = node.position;
        if authority.history == seen.history && authority.epoch < seen.epoch {
            node.tell(Fault::StaleAuthority { said: authority.epoch, seen: seen.epoch }, out);
            return self.give_up(node, Some(CloseReason::StaleAuthority), out);
        }
        let Some(mut line) = self.line else {
            return self.give_up(node, Some(CloseReason::Protocol), out);
        };
        node.cluster_revision = authority.revision;
        node.registrations.restart();
        node.lines.restart();
        node.interest.restart();
        node.journal.restart();
        line.beat(now, node.heartbeat(now, 0));
        let (since, dialled) = (self.since, self.dialled);
        State::Synchronising(Session { since, dialled, line, authority, snapshots: 0, assembly: None })
    }
}

/// How a session ended.
#[derive(Debug)]
enum End {
    /// The connection is gone already.
    Gone,
    /// We close it.
    Close(CloseReason),
    /// This member stops: no further dial.
    Stop,
}

impl Session {
    fn handle(
        &mut self,
        node: &mut Node,
        now: Duration,
        event: Event,
        out: &mut Vec<Output>,
    ) -> Result<Taken, End> {
        match event {
            Event::Message(body) => self.message(node, now, body, out).map_err(|fault| match fault {
                Broken::Goodbye => End::Close(CloseReason::Stopping),
                Broken::Refused(refusal) => {
                    node.tell(Fault::Refused(refusal), out);
                    End::Close(CloseReason::Refused(refusal))
                }
                Broken::Protocol(what) => {
                    node.tell(Fault::Protocol(what), out);
                    End::Close(CloseReason::Protocol)
                }
            }),
            Event::Garbage(fault) => {
                node.tell(Fault::Protocol(fault.to_string()), out);
                Err(End::Close(CloseReason::Protocol))
            }
            Event::Overdue(reason) => Err(End::Close(reason)),
            Event::Closed => Err(End::Gone),
            Event::Stop => Err(End::Stop),
            Event::BeatDue => {
                self.line.beat(now, node.heartbeat(now, self.snapshots));
                Ok(Taken::Noted)
            }
            Event::Room(bytes) => {
                self.line.sent(now, bytes);
                Ok(Taken::Noted)
            }
            Event::DialDue
            | Event::Established(_)
            | Event::Applied
            | Event::Registration
            | Event::Line
            | Event::Interest
            | Event::Log => Ok(Taken::Noted),
        }
    }

    fn message(
        &mut self,
        node: &mut Node,
        now: Duration,
        body: Body,
        out: &mut Vec<Output>,
    ) -> Result<Taken, Broken> {
        match body {
            Body::Heartbeat(heartbeat) => {
                node.cluster_revision = WirePosition::required(heartbeat.position)?.revision;
                Ok(Taken::Noted)
            }
            Body::SnapshotBegin(begin) => self.snapshot_begins(&begin),
            Body::SnapshotRecords(records) => {
                let Some(assembly) = &mut self.assembly else { return broken("records outside a snapshot") };
                assembly.add(records.records.into_iter().filter_map(crate::wire::Record::known))?;
                Ok(Taken::Noted)
            }
            Body::SnapshotEnd(end) => self.snapshot_ends(node, now, &end.digest, out),
            Body::Changes(changes) => self.changed(node, now, changes, out),
            Body::Current(current) => self.caught_up(node, now, current.revision, out),
            Body::Lamps(lamps) => {
                let parsed = lamps.lamps.into_iter().map(crate::wire::Lamp::parsed);
                out.push(Output::Lamps(parsed.collect::<Result<_, _>>()?));
                Ok(Taken::Noted)
            }
            Body::LogAck(ack) => {
                if node.journal.acknowledged(&ack.ids) {
                    out.push(Output::WantLogs);
                }
                out.push(Output::LogAcked(ack.ids));
                Ok(Taken::Noted)
            }
            Body::Goodbye(_) => Err(Broken::Goodbye),
            Body::Refuse(refuse) => Err(Broken::Refused(refuse.refusal())),
            Body::Hello(_)
            | Body::Welcome(_)
            | Body::Live(_)
            | Body::Lines(_)
            | Body::Watch(_)
            | Body::Log(_) => broken("a message that has no place here"),
            Body::Part(_) => broken("a part within parts"),
        }
    }

    fn snapshot_begins(&mut self, begin: &SnapshotBegin) -> Result<Taken, Broken> {
        let position = WirePosition::required(begin.position)?;
        if position.history != self.authority.history {
            return broken("a snapshot of another history");
        }
        // One that was under way is void: the cluster server began anew.
        self.assembly = Some(Assembly::new(position, begin.records));
        Ok(Taken::Noted)
    }

    fn snapshot_ends(
        &mut self,
        node: &mut Node,
        now: Duration,
        said: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<Taken, Broken> {
        let Some(assembly) = self.assembly.take() else { return broken("the end of no snapshot") };
        let whole = assembly.finish(digest(said)?)?;
        node.position = whole.position;
        node.inventory = whole.inventory;
        self.snapshots += 1;
        out.push(Output::ApplySnapshot { position: whole.position, records: whole.records });
        self.line.beat(now, node.heartbeat(now, self.snapshots));
        Ok(Taken::Noted)
    }

    fn changed(
        &mut self,
        node: &mut Node,
        now: Duration,
        said: Changes,
        out: &mut Vec<Output>,
    ) -> Result<Taken, Broken> {
        if self.assembly.is_some() {
            return broken("changes within a snapshot");
        }
        if said.follows != node.position.revision || said.revision <= said.follows {
            return broken(format!(
                "changes from revision {} to {}, this node stands at {}",
                said.follows, said.revision, node.position.revision
            ));
        }
        let changes: Vec<_> = said.changes.into_iter().filter_map(crate::wire::Change::known).collect();
        changes.iter().for_each(|change| node.inventory.apply(change));
        node.position.revision = said.revision;
        node.cluster_revision = node.cluster_revision.max(said.revision);
        out.push(Output::Apply { position: node.position, changes });
        self.line.beat(now, node.heartbeat(now, self.snapshots));
        Ok(Taken::Noted)
    }

    fn caught_up(
        &mut self,
        node: &mut Node,
        now: Duration,
        revision: u64,
        out: &mut Vec<Output>,
    ) -> Result<Taken, Broken> {
        if self.assembly.is_some() || revision != node.position.revision {
            return broken(format!("caught up at revision {revision}, this node stands elsewhere"));
        }
        let position = Position { revision, ..self.authority };
        if position != node.position {
            // The epoch is remembered on disk as well: a stale cluster server is known after a restart too.
            node.position = position;
            out.push(Output::Apply { position, changes: Vec::new() });
        }
        self.line.beat(now, node.heartbeat(now, self.snapshots));
        Ok(Taken::CaughtUp)
    }

    /// Leaves the line, saying what is to be said, and plans the next attempt: at once if the last one is
    /// long ago.
    fn end(mut self, node: &Node, end: End, out: &mut Vec<Output>) -> Isolated {
        let conn = self.line.conn;
        let dial_at = self.dialled + REDIAL + node.jitter();
        match end {
            End::Gone => Isolated { since: self.since, dial_at: Some(dial_at) },
            End::Close(reason) => {
                out.push(Output::Close(conn, reason));
                Isolated { since: self.since, dial_at: Some(dial_at) }
            }
            End::Stop => {
                self.line.send(&Body::Goodbye(Goodbye {}));
                if let Some(bytes) = self.line.flush(self.since) {
                    out.push(Output::Send(conn, bytes));
                }
                out.push(Output::Close(conn, CloseReason::Stopping));
                Isolated { since: self.since, dial_at: None }
            }
        }
    }
}
