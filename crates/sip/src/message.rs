//! One SIP message, checked and immutable.
//!
//! Its Via, From, To, Call-ID, CSeq and Max-Forwards were checked when it was made: they are plain getters. What
//! only some readers need (Contact, Route, lists, numbers) is read on demand and may then be found malformed;
//! answer that with [`Fault::status`].
//!
//! A message is one text and the places of its parts. `from_ref`, `via_ref` and their kin look into that text and
//! cost no memory; `from`, `via` and their kin make the owned form when they are first asked for, and keep it.

use crate::address::NameAddrRef;
use crate::head::{self, Head, HeadRef, Place, Table};
use crate::parts::{Parts, Start};
use crate::scan::{self, Elements};
use crate::uri::UriRef;
use crate::via::{self, ViaRef};
use crate::{CSeq, Contacts, Fault, MESSAGE_BYTES_MAX, Method, Name, NameAddr, ParseError, Status, Uri, Via};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Bytes that a stamp usually adds: an address and a port.
const STAMP_BYTES_USUAL: usize = 64;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartLine {
    /// A request.
    Request {
        /// The method; unknown ones are values.
        method: Method,
        /// The Request-URI; unknown schemes are values.
        uri: Uri,
    },
    /// A response.
    Response {
        /// The status code.
        status: Status,
        /// The reason phrase, as the peer wrote it.
        reason: String,
    },
}

/// A message. Cloning shares the bytes.
#[derive(Clone)]
pub struct Message(Arc<Parsed>);

#[derive(Clone)]
struct Parsed {
    /// The head, and the body behind it when that is text.
    text: Arc<str>,
    head_len: usize,
    /// A body that is not UTF-8.
    body_apart: Option<Box<[u8]>>,
    table: Table,
    parts: Parts,
    owned: Owned,
}

/// The owned forms that somebody asked for.
#[derive(Clone, Default)]
struct Owned {
    start: OnceLock<Box<StartLine>>,
    via: OnceLock<Box<Via>>,
    from: OnceLock<Box<NameAddr>>,
    to: OnceLock<Box<NameAddr>>,
}

impl Message {
    /// Reads a datagram. Bytes behind the body are ignored; a body shorter than Content-Length is refused
    /// (RFC 3261 §18.3).
    pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
        let (head, body) = split(bytes)?;
        Message::assemble(head, body)
    }

    /// Reads a datagram from `source`; a request is stamped with it, as [`Message::stamped`] does, in the same pass.
    pub fn received(bytes: &[u8], source: SocketAddr) -> Result<Message, ParseError> {
        let (head, body) = split(bytes)?;
        match Parts::read(head.as_ref()) {
            Ok(parts) if matches!(parts.start, Start::Request(_)) => {
                let (head, parts) = stamped(&head, parts, source, body.len());
                Ok(Message::of_parts(head, parts, body))
            }
            Ok(parts) => Ok(Message::of_parts(head, parts, body)),
            Err(fault) => Err(ParseError::new(fault, Some(head.into_owned()))),
        }
    }

    /// Puts together what is known to be right: of a message that was checked, or that we have written.
    pub(crate) fn of_parts(head: Head<'_>, parts: Parts, body: &[u8]) -> Message {
        let head_len = head.text.len();
        let (text, body_apart): (Arc<str>, _) = match std::str::from_utf8(body) {
            Ok("") => (head.text.as_ref().into(), None),
            Ok(body) => {
                let mut text = head.text.into_owned();
                text.push_str(body);
                (text.into(), None)
            }
            Err(_) => (head.text.as_ref().into(), Some(body.into())),
        };
        let (table, owned) = (head.table, Owned::default());
        Message(Arc::new(Parsed { text, head_len, body_apart, table, parts, owned }))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// Checks what every message must have.
    pub(crate) fn assemble(head: Head<'_>, body: &[u8]) -> Result<Message, ParseError> {
        match Parts::read(head.as_ref()) {
            Ok(parts) => Ok(Message::of_parts(head, parts, body)),
            Err(fault) => Err(ParseError::new(fault, Some(head.into_owned()))),
        }
    }

    /// Notes in the top Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4). Do this first with every
    /// request from a socket.
    #[must_use]
    pub fn stamped(mut self, source: SocketAddr) -> Message {
        let parsed = Arc::make_mut(&mut self.0);
        let old = parsed.parts.via;
        let mut text = String::with_capacity(parsed.text.len() + STAMP_BYTES_USUAL);
        text.push_str(parsed.text.get(..old.start()).unwrap_or_default());
        let branch = via::write_stamped(&mut text, old.read(&parsed.text), source);
        let new_len = text.len() - old.start();
        text.push_str(parsed.text.get(old.end()..).unwrap_or_default());
        parsed.head_len = (parsed.head_len + text.len()).saturating_sub(parsed.text.len());
        parsed.text = text.into();
        parsed.table.follow(old, new_len);
        parsed.parts.follow(old, new_len, branch);
        parsed.owned.via = OnceLock::new();
        self
    }

    /// The first line.
    #[must_use]
    pub fn start(&self) -> &StartLine {
        self.0.owned.start.get_or_init(|| {
            Box::new(match self.0.parts.start {
                Start::Request(uri) => StartLine::Request {
                    method: self.0.parts.cseq.method.clone(),
                    uri: self.0.uri_at(uri).to_uri(),
                },
                Start::Response(status, reason) => {
                    StartLine::Response { status, reason: reason.read(&self.0.text).to_owned() }
                }
            })
        })
    }

    /// True for a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.0.parts.start, Start::Request(_))
    }

    /// The method of a request, or of the request that this response answers.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.parts.cseq.method
    }

    /// The Request-URI of a request.
    #[must_use]
    pub fn request_uri(&self) -> Option<&Uri> {
        match self.start() {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI of a request, where it stands.
    #[must_use]
    pub fn request_uri_ref(&self) -> Option<UriRef<'_>> {
        match self.0.parts.start {
            Start::Request(uri) => Some(self.0.uri_at(uri)),
            Start::Response(..) => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self.0.parts.start {
            Start::Request(_) => None,
            Start::Response(status, _) => Some(status),
        }
    }

    /// The top Via.
    #[must_use]
    pub fn via(&self) -> &Via {
        self.0.owned.via.get_or_init(|| Box::new(self.via_ref().to_via()))
    }

    /// The top Via, where it stands.
    #[must_use]
    pub fn via_ref(&self) -> ViaRef<'_> {
        self.0.parts.via_in(&self.0.text)
    }

    /// The branch of the top Via.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.0.parts.branch.map(|place| place.read(&self.0.text))
    }

    /// The second Via of a response that is to be forwarded, if there is one and it can be read.
    #[must_use]
    pub fn next_via(&self) -> Option<Via> {
        self.list(Name::Via).nth(1).and_then(Via::parse)
    }

    /// From.
    #[must_use]
    pub fn from(&self) -> &NameAddr {
        self.0.owned.from.get_or_init(|| Box::new(self.from_ref().to_name_addr()))
    }

    /// From, where it stands.
    #[must_use]
    pub fn from_ref(&self) -> NameAddrRef<'_> {
        self.0.address_at(self.0.parts.from)
    }

    /// The tag of From.
    #[must_use]
    pub fn from_tag(&self) -> Option<&str> {
        self.0.parts.from_tag.map(|place| place.read(&self.0.text))
    }

    /// To.
    #[must_use]
    pub fn to(&self) -> &NameAddr {
        self.0.owned.to.get_or_init(|| Box::new(self.to_ref().to_name_addr()))
    }

    /// To, where it stands.
    #[must_use]
    pub fn to_ref(&self) -> NameAddrRef<'_> {
        self.0.address_at(self.0.parts.to)
    }

    /// The tag of To.
    #[must_use]
    pub fn to_tag(&self) -> Option<&str> {
        self.0.parts.to_tag.map(|place| place.read(&self.0.text))
    }

    /// Call-ID; compared byte by byte (RFC 3261 §20.8).
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.0.parts.call_id.read(&self.0.text)
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> &CSeq {
        &self.0.parts.cseq
    }

    /// Max-Forwards, if the message has it (RFC 2543 had none).
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.0.parts.max_forwards
    }

    /// The value of the first line of this header.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&str> {
        self.head().value(name)
    }

    /// The value of the first line of a header by its text: for those [`Name`] does not know.
    #[must_use]
    pub fn header_named(&self, name: &str) -> Option<&str> {
        let head = self.head();
        let mut lines = head.lines();
        lines.find(|(line, _)| head.written_name(line).eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The values of all lines of this header, one a line.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &str> {
        self.head().values(name)
    }

    /// Every line in order: the name as written, and the value.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = self.head();
        head.lines().map(move |(line, value)| (head.written_name(line), value))
    }

    /// The elements of a comma list over all its lines (RFC 3261 §7.3.1).
    pub fn list(&self, name: Name) -> impl Iterator<Item = &str> {
        self.headers(name).flat_map(Elements::of)
    }

    /// The addresses of Route, Record-Route, Path, P-Asserted-Identity, Diversion, History-Info and their kin.
    pub fn addresses(&self, name: Name) -> Result<Vec<NameAddr>, Fault> {
        self.list(name).map(|element| NameAddr::parse(element).map_err(|_| Fault::Header(name))).collect()
    }

    /// One address: Refer-To, Referred-By, Reply-To.
    pub fn address(&self, name: Name) -> Result<Option<NameAddr>, Fault> {
        Ok(self.addresses(name)?.into_iter().next())
    }

    /// What the Contact headers say; a star must stand alone (RFC 3261 §10.2.2).
    pub fn contacts(&self) -> Result<Contacts, Fault> {
        let mut elements = self.list(Name::Contact).peekable();
        match elements.peek() {
            None => return Ok(Contacts::None),
            Some(&"*") => {
                elements.next();
                let alone = elements.next().is_none();
                return if alone { Ok(Contacts::Star) } else { Err(Fault::Header(Name::Contact)) };
            }
            Some(_) => {}
        }
        self.addresses(Name::Contact).map(Contacts::List)
    }

    /// The first Contact address: the remote target of a dialog.
    pub fn contact(&self) -> Result<Option<NameAddr>, Fault> {
        match self.contacts()? {
            Contacts::List(list) => Ok(list.into_iter().next()),
            Contacts::None | Contacts::Star => Ok(None),
        }
    }

    /// A header that is a number of seconds or a sequence number: Expires, Min-Expires, Min-SE, RSeq.
    pub fn number(&self, name: Name) -> Result<Option<u32>, Fault> {
        let Some(value) = self.header(name) else { return Ok(None) };
        let digits = value.split([';', ' ', '(', '\t']).next().unwrap_or_default();
        scan::number(digits).map(Some).ok_or(Fault::Header(name))
    }

    /// Expires, in seconds.
    pub fn expires_s(&self) -> Result<Option<u32>, Fault> {
        self.number(Name::Expires)
    }

    /// True when Supported, Require, Proxy-Require or Allow lists this word.
    #[must_use]
    pub fn has_option(&self, name: Name, option: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(option))
    }

    /// The body; empty when there is none.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.0.body_apart {
            Some(body) => body,
            None => self.0.text.as_bytes().get(self.0.head_len..).unwrap_or_default(),
        }
    }

    /// The media type without parameters, in lower case: `application/sdp`.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let value = self.header(Name::ContentType)?;
        let media: String =
            value.split(';').next()?.chars().filter(|letter| !letter.is_whitespace()).collect();
        (!media.is_empty()).then(|| media.to_ascii_lowercase())
    }

    /// True when this is its media type, whatever its parameters.
    #[must_use]
    pub fn has_type(&self, media: &str) -> bool {
        let bare =
            |value: &str| scan::trim(value.split(';').next().unwrap_or_default()).eq_ignore_ascii_case(media);
        self.header(Name::ContentType).is_some_and(bare) || self.content_type().as_deref() == Some(media)
    }

    /// True for a request inside a dialog: its To has a tag.
    #[must_use]
    pub fn is_in_dialog(&self) -> bool {
        self.0.parts.to_tag.is_some()
    }

    /// The bytes: as they came, but for folds, Latin-1 and the stamp.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0.body_apart {
            Some(body) => [self.0.text.as_bytes(), body].concat(),
            None => self.0.text.as_bytes().to_vec(),
        }
    }

    /// How many they are.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.text.len() + self.0.body_apart.as_ref().map_or(0, |body| body.len())
    }

    /// The same bytes, shared with this message where that can be.
    #[must_use]
    pub fn to_wire(&self) -> Arc<[u8]> {
        match &self.0.body_apart {
            Some(_) => self.to_bytes().into(),
            None => Arc::clone(&self.0.text).into(),
        }
    }

    pub(crate) fn head(&self) -> HeadRef<'_> {
        let text = self.0.text.get(..self.0.head_len).unwrap_or_default();
        HeadRef { text, table: &self.0.table }
    }
}

/// The head and the body of a datagram.
fn split(bytes: &[u8]) -> Result<(Head<'_>, &[u8]), ParseError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(Fault::TooLarge.into());
    }
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = bytes.get(start..).unwrap_or_default();
    let head_len = head::length(bytes).ok_or(Fault::HeadWithoutEnd)?;
    let (head, rest) = bytes.split_at_checked(head_len).ok_or(Fault::HeadWithoutEnd)?;
    let head = Head::scan(head)?;
    let body = match head.as_ref().content_length() {
        Ok(length) => rest.get(..length.unwrap_or(rest.len())).ok_or(Fault::ContentLength),
        Err(fault) => Err(fault),
    };
    match body {
        Ok(body) => Ok((head, body)),
        Err(fault) => Err(ParseError::new(fault, Some(head.into_owned()))),
    }
}

/// A head whose top Via notes where the message came from, with room for a body.
fn stamped(head: &Head<'_>, mut parts: Parts, source: SocketAddr, room: usize) -> (Head<'static>, Parts) {
    let (old, written) = (parts.via, head.text.as_ref());
    let mut text = String::with_capacity(written.len() + STAMP_BYTES_USUAL + room);
    text.push_str(written.get(..old.start()).unwrap_or_default());
    let branch = via::write_stamped(&mut text, old.read(written), source);
    let new_len = text.len() - old.start();
    text.push_str(written.get(old.end()..).unwrap_or_default());
    let mut table = head.table.clone();
    table.follow(old, new_len);
    parts.follow(old, new_len, branch);
    (Head { text: text.into(), table }, parts)
}

impl Parsed {
    fn uri_at(&self, place: Place) -> UriRef<'_> {
        UriRef::parse(place.read(&self.text)).unwrap_or(UriRef::none())
    }

    fn address_at(&self, place: Place) -> NameAddrRef<'_> {
        NameAddrRef::parse(place.read(&self.text)).unwrap_or(NameAddrRef::none())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} | {} | {})", self.head().start(), self.call_id(), self.cseq())
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.0.text == other.0.text && self.0.body_apart == other.0.body_apart
    }
}

impl Eq for Message {}

/// The whole message as text, for traces and ladders. It holds numbers and names of people.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head().text)?;
        f.write_str(&String::from_utf8_lossy(self.body()))
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Message, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Message::parse(&bytes).map_err(serde::de::Error::custom)
    }
}
