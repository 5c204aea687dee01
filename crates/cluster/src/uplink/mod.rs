//! The node's side of the link.

use crate::link::{CloseReason, Conn, LiveBinding, LogEntry, Peer, Refusal};
use model::{Change, ClusterId, DongleId, HardwareType, MemberNumber, Position, Record, Release};
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

/// The node's machine.
#[derive(Debug)]
pub struct Uplink {
    identity: Identity,
}

impl Uplink {
    /// The next instant at which `Tick` is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        None
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
