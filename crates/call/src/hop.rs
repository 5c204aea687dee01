//! The next hop of a message: a phone's flow, or the cluster.

use serde::{Deserialize, Serialize};
use sip::Flow;
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
    /// True for the way to the other members.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self, Hop::Cluster)
    }
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
