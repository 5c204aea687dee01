//! What the cluster server's side is told, what it says, and the names of both for tables and people.

use crate::link::{CloseReason, Conn, Lamp, LiveBinding, LiveLine, LogEntry, Peer, Refusal};
use crate::wire::Body;
use model::{Change, Extension, MemberNumber, Position, Release};
use std::time::Duration;

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
    /// Lines of subscribers changed at the cluster server itself.
    Lines(Vec<LiveLine>),
    /// A phone of the cluster server watches this line, or none does any more.
    Watch(Extension, bool),
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
    /// Lines that the cluster server's own phones watch are so at the nodes.
    Lamps(Vec<Lamp>),
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
    /// Lines of the node.
    Lines,
    /// What phones of the node watch.
    Watch,
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
        EventName::Lines,
        EventName::Watch,
        EventName::Log,
        EventName::Goodbye,
        EventName::Foreign,
    ];

    /// What a message of a node amounts to.
    pub(super) fn of(body: &Body) -> EventName {
        match body {
            Body::Hello(_) => EventName::Hello,
            Body::Heartbeat(_) => EventName::Heartbeat,
            Body::Live(_) => EventName::Live,
            Body::Lines(_) => EventName::Lines,
            Body::Watch(_) => EventName::Watch,
            Body::Log(_) => EventName::Log,
            Body::Goodbye(_) => EventName::Goodbye,
            _ => EventName::Foreign,
        }
    }
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
