//! The next hop of a message: a phone's flow, or the cluster.

use serde::{Deserialize, Serialize};
use sip::{Flow, Transport, Uri, UriRef};
use std::fmt;

/// Where a message comes from or goes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// A phone: the flow its messages come over.
    Phone(Flow),
    /// The other members: on a node its present uplink, on the cluster server its own relay. What the
    /// shell cannot send it drops; retransmission repairs it.
    Cluster,
}

impl Hop {
    /// The hop for requests to a phone that asks to be called at `contact`. Over UDP a phone may listen on another
    /// port than it sends from: with its own address in the Contact that port is taken. Another address there is
    /// behind a NAT, and only the flow it came on leads to it.
    #[must_use]
    pub fn towards(self, contact: &Uri) -> Hop {
        self.towards_ref(contact.as_ref())
    }

    /// The same for a contact where it stands in a message.
    pub(crate) fn towards_ref(self, contact: UriRef<'_>) -> Hop {
        match self {
            Hop::Phone(flow) => Hop::Phone(listening(flow, contact)),
            Hop::Cluster => Hop::Cluster,
        }
    }

    /// True for the way to the other members.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self, Hop::Cluster)
    }
}

/// The port of a SIP URI that names none (RFC 3261 § 19.1.2).
const SIP_PORT: u16 = 5060;

fn listening(mut flow: Flow, contact: UriRef<'_>) -> Flow {
    let same_host = contact.host.address() == Some(flow.remote.ip());
    if flow.transport == Transport::Udp && same_host {
        flow.remote.set_port(contact.port.unwrap_or(SIP_PORT));
    }
    flow
}

impl sip::Hop for Hop {
    /// The connection under the cluster hop may be replaced at any time, losing what was on it: for
    /// transactions it is as unreliable as UDP.
    fn is_reliable(&self) -> bool {
        match self {
            Hop::Phone(flow) => flow.transport.is_reliable(),
            Hop::Cluster => false,
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hop::Phone(flow) => write!(f, "{}", flow.remote),
            Hop::Cluster => f.write_str("cluster"),
        }
    }
}
