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

/// A host where it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostRef<'a> {
    /// An address.
    Address(IpAddr),
    /// A domain name.
    Name(&'a str),
}

impl<'a> HostRef<'a> {
    /// Reads a whole text as a host.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<HostRef<'a>> {
        if let Some(inner) = text.strip_prefix('[') {
            return ipv6(inner.strip_suffix(']')?).map(|address| HostRef::Address(address.into()));
        }
        // A name may begin with a digit; an address does.
        if text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && let Ok(address) = text.parse::<std::net::Ipv4Addr>()
        {
            return Some(HostRef::Address(address.into()));
        }
        let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(is_name_byte);
        fits.then_some(HostRef::Name(text))
    }

    /// The address, if it is one.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self {
            HostRef::Address(address) => Some(address),
            HostRef::Name(_) => None,
        }
    }

    /// True when it is this text, without regard to case; an address is compared as an address.
    #[must_use]
    pub fn is(self, text: &str) -> bool {
        match self {
            HostRef::Name(name) => !name.is_empty() && name.eq_ignore_ascii_case(text),
            HostRef::Address(_) => HostRef::parse(text).is_some_and(|other| self.same_as(other)),
        }
    }

    /// Equality of RFC 3261 §19.1.4: names without case.
    #[must_use]
    pub fn same_as(self, other: HostRef<'_>) -> bool {
        match (self, other) {
            (HostRef::Address(one), HostRef::Address(two)) => one == two,
            (HostRef::Name(one), HostRef::Name(two)) => one.eq_ignore_ascii_case(two),
            _ => false,
        }
    }

    /// For keeping.
    #[must_use]
    pub fn to_host(self) -> Host {
        match self {
            HostRef::Address(address) => Host::Address(address),
            HostRef::Name(name) => Host::Name(name.to_owned()),
        }
    }
}

impl Host {
    /// Reads a whole text as a host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Host> {
        HostRef::parse(text).map(HostRef::to_host)
    }

    /// To look into.
    #[must_use]
    pub fn as_ref(&self) -> HostRef<'_> {
        match self {
            Host::Address(address) => HostRef::Address(*address),
            Host::Name(name) => HostRef::Name(name),
        }
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
        self.as_ref().is(text)
    }

    /// Equality of RFC 3261 §19.1.4: names without case.
    #[must_use]
    pub fn same_as(&self, other: &Host) -> bool {
        self.as_ref().same_as(other.as_ref())
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
