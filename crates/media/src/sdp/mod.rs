//! Session descriptions (RFC 8866), as far as audio needs them.
//!
//! What we do not interpret (`b=`, `k=`, unknown attributes, other media) is kept and printed again, so a
//! description that passes through stays what it was. Lines end with CRLF when printed; LF alone is read too.

//!
//! Three ways to use it: [`glance`] tells whether a description may pass as it is, [`Session::anchor`] turns one so that
//! media come to us, and the offer and answer of a phone of our own are in `negotiate`.

mod anchor;
mod crypto;
mod glance;
mod negotiate;
mod parse;
mod print;
mod profile;

pub use anchor::Placed;
pub use crypto::Crypto;
pub use glance::{Glance, glance};
pub use negotiate::{Codec, Local, Negotiated, NegotiationError, accept_answer, answer, offer};
pub use profile::Profile;

use std::net::{IpAddr, SocketAddr};

/// Bytes of a description we read.
pub const SDP_BYTES_MAX: usize = 65_536;
/// Media sections of a description we read.
pub const MEDIA_MAX: usize = 16;
/// Lines of a description we read.
pub const LINES_MAX: usize = 1_000;

/// Why a text is no session description. It is the sender's fault: 400, or 488 in an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Over [`SDP_BYTES_MAX`], [`LINES_MAX`] or [`MEDIA_MAX`].
    #[error("the session description is too large")]
    TooLarge,
    /// Not UTF-8.
    #[error("the session description is not UTF-8")]
    NotText,
    /// A line that is not `x=value`, or is in the wrong place.
    #[error("line {line} of the session description is malformed")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A line that must be there is not.
    #[error("the session description has no '{0}=' line")]
    Missing(char),
}

/// A session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `o=`: who made it, and which version of it this is.
    pub origin: Origin,
    /// `s=`.
    pub name: String,
    /// `c=`: where media go unless a media section says otherwise.
    pub connection: Option<IpAddr>,
    /// `a=` before the first media section.
    pub attributes: Vec<Attribute>,
    /// `m=` sections.
    pub media: Vec<Media>,
    /// Other lines before the first media section, in their order.
    pub other: Vec<(char, String)>,
}

/// `o=`: RFC 8866 § 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its user, `-` mostly.
    pub user: String,
    /// Names the session.
    pub id: u64,
    /// Raised with each change (RFC 3264 § 8).
    pub version: u64,
    /// The maker's host.
    pub host: String,
}

/// `a=name` or `a=name:value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Before the colon.
    pub name: String,
    /// After it.
    pub value: Option<String>,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video` …
    pub kind: String,
    /// Where it goes; 0 = refused.
    pub port: u16,
    /// `RTP/AVP` …
    pub protocol: String,
    /// Payload types, best first.
    pub formats: Vec<String>,
    /// Its own `c=`.
    pub connection: Option<IpAddr>,
    /// `a=`.
    pub attributes: Vec<Attribute>,
    /// Other lines, in their order.
    pub other: Vec<(char, String)>,
}

/// Who sends (RFC 3264 § 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// Only the maker of the description.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    const ALL: [Direction; 4] =
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive];

    /// From who sends.
    #[must_use]
    pub fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The attribute's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// True when the maker of the description sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// True when the maker of the description receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// What is left when the other side answers so.
    #[must_use]
    pub fn limited_by(self, other: Direction) -> Direction {
        Direction::of(self.sends() && other.receives(), self.receives() && other.sends())
    }
}

/// `a=rtpmap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpMap {
    /// `PCMA` …
    pub name: String,
    /// Samples a second.
    pub clock_hz: u32,
}

impl Session {
    /// Reads a description.
    ///
    /// # Errors
    /// [`SdpError`] names the line.
    pub fn parse(bytes: &[u8]) -> Result<Session, SdpError> {
        parse::session(bytes)
    }

    /// The first audio section that is not refused.
    #[must_use]
    pub fn audio(&self) -> Option<&Media> {
        self.media.iter().find(|media| media.kind == "audio" && media.port != 0)
    }

    /// Where a section's media go.
    #[must_use]
    pub fn address_of(&self, media: &Media) -> Option<SocketAddr> {
        media.connection.or(self.connection).map(|address| SocketAddr::new(address, media.port))
    }

    /// Who sends in a section: its own attribute, the session's, or both do (RFC 8866 § 6.7).
    #[must_use]
    pub fn direction_of(&self, media: &Media) -> Direction {
        direction(&media.attributes).or_else(|| direction(&self.attributes)).unwrap_or_default()
    }
}

impl Media {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name)?.value.as_deref()
    }

    /// What a payload type stands for: its `rtpmap`, or the static ones we know (RFC 3551 § 6).
    #[must_use]
    pub fn rtpmap(&self, payload_type: u8) -> Option<RtpMap> {
        let maps = self.attributes.iter().filter(|attribute| attribute.name == "rtpmap");
        let mapped = maps
            .filter_map(|attribute| rtpmap(attribute.value.as_deref()?))
            .find(|(t, _)| *t == payload_type);
        let known = |name: &str| Some(RtpMap { name: name.to_owned(), clock_hz: 8_000 });
        mapped.map(|(_, map)| map).or_else(|| match payload_type {
            0 => known("PCMU"),
            8 => known("PCMA"),
            9 => known("G722"),
            18 => known("G729"),
            _ => None,
        })
    }

    /// Payload types, best first.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|format| format.parse().ok())
    }

    /// `a=ptime`: milliseconds of a packet.
    #[must_use]
    pub fn ptime_ms(&self) -> Option<u16> {
        self.attribute("ptime")?.trim().parse().ok()
    }

    /// `a=rtcp` (RFC 3605): the port of RTCP when it is not the next one.
    #[must_use]
    pub fn rtcp_port(&self) -> Option<u16> {
        self.attribute("rtcp")?.split(' ').next()?.parse().ok()
    }
}

impl Attribute {
    /// `a=name`.
    #[must_use]
    pub fn flag(name: &str) -> Attribute {
        Attribute { name: name.to_owned(), value: None }
    }

    /// `a=name:value`.
    #[must_use]
    pub fn with(name: &str, value: impl Into<String>) -> Attribute {
        Attribute { name: name.to_owned(), value: Some(value.into()) }
    }
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| Direction::ALL.into_iter().find(|d| d.name() == attribute.name))
}

fn rtpmap(value: &str) -> Option<(u8, RtpMap)> {
    let (payload_type, encoding) = value.trim().split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let (name, clock) = (parts.next()?, parts.next()?);
    let map = RtpMap { name: name.to_owned(), clock_hz: clock.trim().parse().ok()? };
    Some((payload_type.parse().ok()?, map))
}

#[cfg(test)]
mod anchor_tests;
#[cfg(test)]
mod tests;
