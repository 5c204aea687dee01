//! The host of a URI or a Via: a name, an IPv4 address or an IPv6 reference (RFC 3261 §25.1, RFC 5118).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host; names are kept as written and compared without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A domain name. Empty in URIs that have no host (tel, unknown schemes).
    Name(String),
}

impl Host {
    /// A name that is empty: what a URI without host has.
    pub(crate) const NONE: Host = Host::Name(String::new());

    /// Reads a whole text as a host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[') {
            return ipv6(inner.strip_suffix(']')?).map(|address| Host::Address(address.into()));
        }
        if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Host::Address(address.into()));
        }
        let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(is_name_byte);
        fits.then(|| Host::Name(text.to_owned()))
    }

    /// The address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }

    /// True when it is this text, without regard to case; an address is compared as an address.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        Host::parse(text).is_some_and(|other| self.same_as(&other))
    }

    /// Equality of RFC 3261 §19.1.4: names without case.
    #[must_use]
    pub fn same_as(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Address(one), Host::Address(two)) => one == two,
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            _ => false,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        Host::Address(address)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// An address with or without its brackets, as Via `received` comes in both ways (RFC 5118 §4.5).
pub(crate) fn bare_address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    inner.parse().ok().or_else(|| ipv6(inner).map(IpAddr::V6))
}

/// The ABNF of RFC 3261 made some write `:::`; RFC 5118 §4.10 asks to read it as `::`.
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok().or_else(|| text.replacen(":::", "::", 1).parse().ok())
}

/// Underscore is no host character, but real networks have it.
pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}
