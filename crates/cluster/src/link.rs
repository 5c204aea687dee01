//! What both ends of the link share: names, limits, reasons, and the judgement of silence.

use model::{ClusterId, Extension, MemberNumber};
use std::fmt;
use std::time::Duration;

/// Each end says that it lives this often.
pub const HEARTBEAT: Duration = Duration::from_millis(500);
/// A peer that sent no byte for this long is lost.
pub const SILENCE: Duration = Duration::from_millis(2_500);
/// A node dials again this long after the last attempt began, plus [`JITTER_MS_MAX`] at most.
pub const REDIAL: Duration = Duration::from_secs(1);
/// The random part of the redial pace, so that 230 nodes do not return in one instant.
pub const JITTER_MS_MAX: u64 = 250;
/// A connection that is not established and greeted within this time is given up.
pub const GREETING: Duration = Duration::from_millis(2_500);
/// A machine that was run this much later than it asked for was itself held up: the silence of that time
/// says nothing about its peers.
pub const LATE: Duration = Duration::from_millis(200);

/// A connection, named by the shell on the cluster server and by the machine on a node (see each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conn(pub u64);

impl fmt::Display for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// Who the certificate of the other end says it is; the shell has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The cluster of the certificate.
    pub cluster: ClusterId,
    /// The member of the certificate.
    pub member: MemberNumber,
}

/// One registration at an edge, as the cluster server needs it to find the phone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveBinding {
    /// The subscriber it belongs to.
    pub extension: Extension,
    /// The name of the device at its edge (`+sip.instance`, else the contact); unique for the extension.
    pub device: String,
    /// What people are shown of it, in the edge's own form (JSON). The link does not read it.
    pub detail: Vec<u8>,
}

/// What the line of one subscriber does at an edge: its phones and calls there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveLine {
    /// The subscriber.
    pub extension: Extension,
    /// What it does, in the edges' own form (JSON); none when it has neither phone nor call there. The link does
    /// not read it.
    pub detail: Option<Vec<u8>>,
}

/// A watched line as it is at the members other than the watching one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lamp {
    /// The subscriber.
    pub extension: Extension,
    /// What each member within reach says of it, nothing when it is at none of them; none when the member that
    /// would know is beyond a cut.
    pub said: Option<Vec<Vec<u8>>>,
}

/// A record that is gathered at the cluster server, such as a leg of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its name, unique in the cluster for ever: sending it twice is harmless.
    pub id: String,
    /// What it says, in its own form (JSON).
    pub body: Vec<u8>,
}

/// Why a cluster server does not take a node. Shown to the operator at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// No node of that number exists in this cluster.
    #[error("the cluster server knows no node of this number: create it in the manager")]
    UnknownNode,
    /// The node was removed from the cluster.
    #[error("this node was deleted from the cluster: start it TOTAL and deploy it again")]
    DeletedNode,
    /// The number belongs to another machine (DEP-29).
    #[error("this node number is bound to another machine's dongle id")]
    DongleDiffers,
    /// The certificate names another cluster.
    #[error("this machine belongs to another cluster")]
    WrongCluster,
    /// The certificate names another node than the one it says it is.
    #[error("the certificate is not that of this node number")]
    IdentityDiffers,
    /// The release is newer than the cluster server's, or more than one minor older (AMB-04).
    #[error(
        "the release is outside the cluster's window: the same as the cluster server's or one minor older"
    )]
    ReleaseOutsideWindow,
    /// The number is over the 230 nodes of a cluster (ARC-24).
    #[error("a cluster has at most 230 nodes")]
    TooManyNodes,
    /// The node has seen a later activation of this cluster than this cluster server's.
    #[error("this cluster server was superseded: the node has seen a higher epoch")]
    Superseded,
    /// A reason of a later release.
    #[error("refused for a reason this release does not know")]
    Other,
}

/// Why a machine wants a connection closed. What was sent before is flushed first if the line allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The node is not taken.
    Refused(Refusal),
    /// No byte for [`SILENCE`].
    Silence,
    /// Not established or greeted within [`GREETING`].
    GreetingTimeout,
    /// A newer link of the same node took over.
    Replaced,
    /// It does not read what it is sent.
    TooSlow,
    /// It broke the protocol.
    Protocol,
    /// The certificate is not that of the cluster server of this cluster.
    WrongPeer,
    /// The cluster server's epoch is lower than one this node has seen.
    StaleAuthority,
    /// This member stops.
    Stopping,
    /// No room for another connection.
    Full,
}
