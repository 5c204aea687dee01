//! The names of transactions: short hashes of what RFC 3261 §17.1.3 and §17.2.3 compare.
//!
//! Anybody can compute them, so anybody can make two of his own transactions share a name. The machines therefore
//! keep what they were named after as long as they are alive to it, and compare it ([`same_transaction`]): the second
//! one is refused, and nobody's else is touched, since the branch of another's next request cannot be known.

use crate::host::HostRef;
use crate::scan::Elements;
use crate::via::ViaRef;
use crate::{Message, Method};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher as _;
use std::net::IpAddr;

/// Names a client transaction: branch and method (RFC 3261 §17.1.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The transaction of a request of ours, or of a response to it.
    #[must_use]
    pub fn of(message: &Message) -> ClientKey {
        ClientKey::named(message.branch().unwrap_or_default(), message.method())
    }

    fn named(branch: &str, method: &Method) -> ClientKey {
        let mut name = Name::new(b"client");
        name.part(branch);
        name.part(method.as_str());
        ClientKey(name.hash())
    }

    pub(super) fn number(&self) -> u64 {
        self.0
    }

    pub(super) fn numbered(number: u64) -> ClientKey {
        ClientKey(number)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a server transaction: branch, sent-by and method, an ACK under its INVITE (RFC 3261 §17.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerKey(u64);

impl ServerKey {
    /// The transaction of a request that came.
    #[must_use]
    pub fn of(request: &Message) -> ServerKey {
        match request.method() {
            Method::Ack => ServerKey::named(request, &Method::Invite),
            method => ServerKey::named(request, method),
        }
    }

    /// The INVITE that a CANCEL is about (RFC 3261 §9.2).
    #[must_use]
    pub fn cancelled_by(cancel: &Message) -> ServerKey {
        ServerKey::named(cancel, &Method::Invite)
    }

    fn named(request: &Message, method: &Method) -> ServerKey {
        let via = request.via_ref();
        let mut name = match via.unique_branch() {
            Some(branch) => {
                let mut name = Name::new(b"server");
                name.part(branch);
                name.sent_by(via);
                name
            }
            // RFC 2543 had no unique branch: the request itself is the name.
            None => {
                let mut name = Name::new(b"2543");
                name.part(&request.via().to_string());
                name.number(identity(request, method));
                name
            }
        };
        name.part(method.as_str());
        ServerKey(name.hash())
    }

    pub(super) fn number(&self) -> u64 {
        self.0
    }

    pub(super) fn numbered(number: u64) -> ServerKey {
        ServerKey(number)
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What two copies of one request have in common however they travelled (RFC 3261 §8.2.2.2).
pub(super) fn identity(request: &Message, method: &Method) -> u64 {
    let mut name = Name::new(b"identity");
    name.part(request.call_id());
    name.part(request.from_tag().unwrap_or_default());
    name.number(request.cseq().number.into());
    name.part(method.as_str());
    name.hash()
}

/// True when a request that has the name of a transaction really belongs to it.
pub(super) fn same_transaction(one: ViaRef<'_>, other: ViaRef<'_>) -> bool {
    match (one.unique_branch(), other.unique_branch()) {
        (Some(one_branch), Some(other_branch)) => {
            one_branch == other_branch && one.host.same_as(other.host) && one.port == other.port
        }
        (None, None) => true,
        _ => false,
    }
}

/// The top Via of a response of ours: its second line.
pub(super) fn via_of(wire: &[u8]) -> Option<ViaRef<'_>> {
    let mut lines = memchr::memchr_iter(b'\n', wire);
    let (start, end) = (lines.next()? + 1, lines.next()?);
    let line = std::str::from_utf8(wire.get(start..end)?).ok()?;
    ViaRef::parse(Elements::of(line.strip_prefix("Via: ")?.trim_end()).next()?)
}

/// A hash in the making; each part ends with a byte that no part holds.
struct Name(SipHasher13);

impl Name {
    fn new(kind: &[u8]) -> Name {
        let mut hasher = SipHasher13::new();
        hasher.write(kind);
        Name(hasher)
    }

    fn part(&mut self, text: &str) {
        self.0.write(text.as_bytes());
        self.0.write_u8(b'\n');
    }

    fn number(&mut self, number: u64) {
        self.0.write_u64(number);
    }

    fn sent_by(&mut self, via: ViaRef<'_>) {
        match via.host {
            HostRef::Address(IpAddr::V4(address)) => self.0.write(&address.octets()),
            HostRef::Address(IpAddr::V6(address)) => self.0.write(&address.octets()),
            HostRef::Name(name) => name.bytes().for_each(|byte| self.0.write_u8(byte.to_ascii_lowercase())),
        }
        self.number(via.port.map_or(u64::MAX, u64::from));
    }

    fn hash(self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> ViaRef<'_> {
        ViaRef::parse(text).unwrap()
    }

    #[test]
    fn two_transactions_of_one_name_are_told_apart_by_branch_and_host() {
        let one = via("SIP/2.0/UDP host.example:5060;branch=z9hG4bKa");
        assert!(same_transaction(one, via("SIP/2.0/TCP HOST.example:5060;rport;branch=z9hG4bKa")));
        assert!(!same_transaction(one, via("SIP/2.0/UDP host.example:5060;branch=z9hG4bKb")));
        assert!(!same_transaction(one, via("SIP/2.0/UDP host.example;branch=z9hG4bKa")));
        assert!(!same_transaction(one, via("SIP/2.0/UDP other.example:5060;branch=z9hG4bKa")));
        assert!(!same_transaction(one, via("SIP/2.0/UDP host.example:5060")));
    }

    #[test]
    fn a_response_of_ours_tells_whose_it_is() {
        let wire = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h:5;branch=z9hG4bKa, SIP/2.0/UDP i\r\nFrom: <sip:a>\r\n\r\n\xff";
        assert_eq!(via_of(wire).and_then(ViaRef::branch), Some("z9hG4bKa"));
        assert_eq!(via_of(b"SIP/2.0 200 OK\r\nFrom: <sip:a>\r\n\r\n"), None);
        assert_eq!(via_of(b"SIP/2.0 200 OK"), None);
    }
}
