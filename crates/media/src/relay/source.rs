//! From where an end may be heard (threat row 14: nobody injects sound, nobody draws it to himself).

use super::Why;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The one source of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Source {
    /// The signalling has not said it.
    #[default]
    Unknown,
    /// This address and no other: as signalled, or learnt.
    Known(SocketAddr),
    /// The first believed packet from this host will say it.
    Behind(IpAddr),
}

impl Source {
    pub(super) fn new(signalled: Option<SocketAddr>, learn_from: Option<IpAddr>) -> Source {
        match (signalled, learn_from) {
            (None, _) => Source::Unknown,
            (Some(address), None) => Source::Known(address),
            (Some(_), Some(host)) => Source::Behind(host),
        }
    }

    pub(super) fn check(self, from: SocketAddr) -> Result<(), Why> {
        match self {
            Source::Unknown => Err(Why::TooEarly),
            Source::Known(address) if address == from => Ok(()),
            Source::Behind(host) if host == from.ip() => Ok(()),
            Source::Known(_) | Source::Behind(_) => Err(Why::Stranger),
        }
    }

    /// The packet was believed: from now on it is this address alone.
    pub(super) fn learn(&mut self, from: SocketAddr) {
        if let Source::Behind(_) = self {
            *self = Source::Known(from);
        }
    }

    /// Where to send.
    pub(super) fn address(self) -> Option<SocketAddr> {
        match self {
            Source::Known(address) => Some(address),
            Source::Unknown | Source::Behind(_) => None,
        }
    }
}
