//! A look at a description without reading it all: what decides whether media may go directly. Most descriptions are
//! looked at and passed on as they are, so it neither allocates nor judges.

use super::{Profile, SDP_BYTES_MAX};
use std::net::IpAddr;

/// What a description says at first sight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    /// The last `c=` address that means a place: where media go, as good as always.
    pub address: Option<IpAddr>,
    /// A section that is not refused speaks SRTP with keys in the description.
    pub srtp: bool,
    /// There are keys in it.
    pub keys: bool,
}

/// Looks at a description.
#[must_use]
pub fn glance(bytes: &[u8]) -> Glance {
    let mut seen = Glance::default();
    for line in bytes.get(..bytes.len().min(SDP_BYTES_MAX)).unwrap_or_default().split(|byte| *byte == b'\n') {
        match line {
            [b'c', b'=', value @ ..] => seen.address = address(value).or(seen.address),
            [b'm', b'=', value @ ..] => seen.srtp |= is_srtp(value),
            [b'a', b'=', value @ ..] => seen.keys |= value.starts_with(b"crypto:"),
            _ => {}
        }
    }
    seen
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let host = std::str::from_utf8(value).ok()?.split_ascii_whitespace().nth(2)?;
    let address: IpAddr = host.split('/').next()?.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}

fn is_srtp(value: &[u8]) -> bool {
    let mut words = value.split(|byte| *byte == b' ').skip(1);
    let (Some(port), Some(protocol)) = (words.next(), words.next()) else { return false };
    let protocol = std::str::from_utf8(protocol).unwrap_or_default();
    port != b"0" && Profile::of(protocol) == Profile::Srtp
}
