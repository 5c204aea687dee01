//! The settings of media: the section `[media]` of the file.

use call::{AnchorWhen, MediaSettings, PortRange};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// Threads a machine may give to media.
const THREADS_MAX: u8 = 16;

/// How media travel, and through which ports when they travel through this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// When media go through this machine instead of from phone to phone: `needed` (a phone is behind a NAT, SRTP on one
    /// side only, IPv4 with IPv6) or `always`.
    pub anchor: AnchorWhen,
    /// The first and the last UDP port of media, 1024 to 65535. An anchored call takes four.
    pub first_port: u16,
    /// See `first_port`.
    pub last_port: u16,
    /// The address told to phones behind a NAT and to the other members. Needed when this machine is behind a NAT itself,
    /// or has several addresses; else the one the phone talks to.
    pub address: Option<IpAddr>,
    /// Take and give SRTP keys (SDES) over signalling without TLS as well. Whoever reads the signalling can listen then.
    pub keys_without_tls: bool,
    /// Seconds of silence of both sides after which an anchored call shows it, 5 to 3600.
    pub silence_seconds: u32,
    /// Threads that relay media, 1 to 16. One carries some 1,500 calls.
    pub threads: u8,
}

impl Default for MediaConfig {
    fn default() -> MediaConfig {
        let MediaSettings { anchor, ports, address, keys_without_tls, silence } = MediaSettings::default();
        MediaConfig {
            anchor,
            first_port: ports.first,
            last_port: ports.last,
            address,
            keys_without_tls,
            silence_seconds: u32::try_from(silence.as_secs()).unwrap_or_default(),
            threads: 1,
        }
    }
}

impl MediaConfig {
    /// What the call side is told.
    #[must_use]
    pub fn settings(&self) -> MediaSettings {
        MediaSettings {
            anchor: self.anchor,
            ports: PortRange { first: self.first_port, last: self.last_port },
            address: self.address,
            keys_without_tls: self.keys_without_tls,
            silence: Duration::from_secs(u64::from(self.silence_seconds)),
        }
    }

    /// The field that cannot be, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        if self.first_port < 1_024 || self.last_port < self.first_port.saturating_add(3) {
            return Some(("media.first_port", "1024 or more, and three below last_port at least"));
        }
        if !(5..=3_600).contains(&self.silence_seconds) {
            return Some(("media.silence_seconds", "5 to 3600 seconds"));
        }
        if !(1..=THREADS_MAX).contains(&self.threads) {
            return Some(("media.threads", "1 to 16"));
        }
        None
    }
}
