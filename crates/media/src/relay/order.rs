//! What a relay is told and what it tells: the words between the signalling and the media.

use super::{Standing, Why};
use crate::srtp::{MasterKey, Suite};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The name of an anchored stream. It is never given twice by one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId(pub u64);

/// One of the two ends of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The one that began the call.
    Caller,
    /// The other.
    Called,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Called,
            Side::Called => Side::Caller,
        }
    }
}

/// The terms of a stream, whole: an order always says all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The caller's end.
    pub caller: End,
    /// The called end.
    pub called: End,
    /// Carried without a look into it: neither RTP nor RTCP (UDPTL).
    pub opaque: bool,
}

impl Spec {
    /// One of the ends.
    #[must_use]
    pub fn end(&self, side: Side) -> &End {
        match side {
            Side::Caller => &self.caller,
            Side::Called => &self.called,
        }
    }

    /// One of the ends.
    pub fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }
}

/// The terms of one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Our address towards it: the even port, RTP. RTCP is at the next one.
    pub local: SocketAddr,
    /// Its own; `None` while it is not known or takes nothing.
    pub remote: Option<Remote>,
    /// SRTP ends here, with these keys; else packets pass as they are.
    pub keys: Option<Keys>,
}

/// Where an end receives, and where it may send from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// RTP.
    pub rtp: SocketAddr,
    /// RTCP.
    pub rtcp: SocketAddr,
    /// The end is behind a NAT: its addresses say nothing, and the first packet from this host says where it is.
    pub learn_from: Option<IpAddr>,
}

/// The keys of an end at which SRTP ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The suite both agreed upon.
    pub suite: Suite,
    /// What we seal with.
    pub ours: MasterKey,
    /// What it seals with; `None` until it said so.
    pub theirs: Option<MasterKey>,
}

/// What a relay is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Take these ports and relay. A stream of a process before goes on where that stood when it told last; a new one
    /// stands nowhere.
    Open(StreamId, Spec, Option<Box<Standing>>),
    /// The terms have changed; the ports are the same.
    Alter(StreamId, Spec),
    /// Give the ports back. It is answered with [`Report::Closed`].
    Close(StreamId),
}

/// What a relay tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// A port could not be taken: this stream carries nothing.
    Failed(StreamId),
    /// Neither end has been heard for a while.
    Silent(StreamId),
    /// It is heard again.
    Heard(StreamId),
    /// This is to be kept for [`Order::Open`], should the process die.
    Stands(StreamId, Box<Standing>),
    /// It is closed; this is what each end sent.
    Closed(StreamId, Traffic, Traffic),
}

/// What one end has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets that were believed, RTCP too.
    pub packets: u64,
    /// Their bytes, without UDP and IP.
    pub bytes: u64,
    /// RTP packets that never came (RFC 3550 appendix A.3).
    pub lost: u64,
    /// Packets that were not carried.
    pub dropped: BTreeMap<Why, u64>,
}

impl Traffic {
    /// Adds another stream's.
    pub fn add(&mut self, other: &Traffic) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        for (why, count) in &other.dropped {
            *self.dropped.entry(*why).or_default() += count;
        }
    }
}
