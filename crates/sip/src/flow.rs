//! Where a message came from and where an answer goes back: transport, both addresses, and the connection.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// RFC 3261 §18
    Udp,
    /// RFC 3261 §18.3
    Tcp,
    /// RFC 3261 §26.3.1
    Tls,
}

impl Transport {
    /// As a Via writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// True when what is sent arrives or the loss is seen: no retransmission then (RFC 3261 §17).
    #[must_use]
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }
}

/// One path between us and a peer (RFC 5626 calls it a flow).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// How.
    pub transport: Transport,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The number the shell gave the connection; 0 for UDP. A closed connection's number is never given again.
    pub connection: u64,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str().to_ascii_lowercase(), self.remote)
    }
}

/// The next hop of a transaction, as the owner of a [`crate::Layer`] names it.
pub trait Hop: Clone + PartialEq + fmt::Debug {
    /// False when lost bytes must be repaired by retransmission.
    fn is_reliable(&self) -> bool;
}

impl Hop for Flow {
    fn is_reliable(&self) -> bool {
        self.transport.is_reliable()
    }
}
