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
use crate::scan::{self, Elements};
use crate::uri::UriRef;
use crate::via::{self, ViaRef};
use crate::{CSeq, Contacts, Fault, MESSAGE_BYTES_MAX, Method, Name, NameAddr, ParseError, Status, Uri, Via};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
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

/// The places and values of what every message must have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub(crate) start: Start,
    /// The top element of the first Via line.
    pub(crate) via: Place,
    pub(crate) branch: Option<Place>,
    pub(crate) from: Place,
    pub(crate) from_tag: Option<Place>,
    pub(crate) to: Place,
    pub(crate) to_tag: Option<Place>,
    pub(crate) call_id: Place,
    pub(crate) cseq: CSeq,
    pub(crate) max_forwards: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start {
    /// Place of the Request-URI.
    Request(Place),
    /// Status, and place of the reason phrase.
    Response(Status, Place),
}

impl Message {
    /// Reads a datagram. Bytes behind the body are ignored; a body shorter than Content-Length is refused
    /// (RFC 3261 §18.3).
    pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
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
            Ok(body) => Message::assemble(head, body),
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

impl Parsed {
    fn uri_at(&self, place: Place) -> UriRef<'_> {
        UriRef::parse(place.read(&self.text)).unwrap_or(UriRef::none())
    }

    fn address_at(&self, place: Place) -> NameAddrRef<'_> {
        NameAddrRef::parse(place.read(&self.text)).unwrap_or(NameAddrRef::none())
    }
}

impl Parts {
    pub(crate) fn read(head: HeadRef<'_>) -> Result<Parts, Fault> {
        let (start, method) = read_start(head)?;
        let known = Required::find(head)?;
        let place = |piece: &str| Place::of(head.text, piece);
        let top = Elements::of(known.via.ok_or(Fault::Absent(Name::Via))?).next().unwrap_or_default();
        let via = ViaRef::parse(top).ok_or(Fault::Header(Name::Via))?;
        let (from, from_tag) = required_address(known.from, Name::From)?;
        let (to, to_tag) = required_address(known.to, Name::To)?;
        let call_id = known.call_id.ok_or(Fault::Absent(Name::CallId))?;
        if call_id.is_empty() || call_id.bytes().any(scan::is_blank) {
            return Err(Fault::Header(Name::CallId));
        }
        let cseq = CSeq::parse(known.cseq.ok_or(Fault::Absent(Name::CSeq))?);
        let cseq = cseq.ok_or(Fault::Header(Name::CSeq))?;
        if method.is_some_and(|method| method != cseq.method.as_str()) {
            return Err(Fault::CSeqMethod);
        }
        let max_forwards = match known.max_forwards {
            Some(value) => Some(scan::number(value).ok_or(Fault::Header(Name::MaxForwards))?),
            None => None,
        };
        Ok(Parts {
            start,
            via: place(top),
            branch: via.branch().map(place),
            from: place(from),
            from_tag: from_tag.map(place),
            to: place(to),
            to_tag: to_tag.map(place),
            call_id: place(call_id),
            cseq,
            max_forwards,
        })
    }

    fn via_in<'a>(&self, text: &'a str) -> ViaRef<'a> {
        ViaRef::parse(self.via.read(text)).unwrap_or(ViaRef::none())
    }

    /// Follows a To that became longer.
    pub(crate) fn moved(&mut self, old: Place, new: Place) {
        self.to = new;
        self.call_id = self.call_id.moved(old, new.end() - new.start());
    }

    /// Follows a change of the top Via, in which the branch stands there now.
    fn follow(&mut self, old: Place, new_len: usize, branch: Option<Range<usize>>) {
        for place in [&mut self.via, &mut self.from, &mut self.to, &mut self.call_id] {
            *place = place.moved(old, new_len);
        }
        for place in [&mut self.from_tag, &mut self.to_tag].into_iter().flatten() {
            *place = place.moved(old, new_len);
        }
        self.branch = branch.map(|branch| Place::new(branch.start, branch.len()));
    }
}

/// The values of the headers that every message has, found in one walk.
#[derive(Default)]
struct Required<'a> {
    via: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    call_id: Option<&'a str>,
    cseq: Option<&'a str>,
    max_forwards: Option<&'a str>,
}

impl<'a> Required<'a> {
    /// Refuses a second line of what makes no sense twice.
    fn find(head: HeadRef<'a>) -> Result<Required<'a>, Fault> {
        let mut found = Required::default();
        let [mut content_type, mut expires, mut session_expires] = [None; 3];
        for (line, value) in head.lines() {
            let slot = match line.name {
                Name::Via => {
                    found.via = found.via.or(Some(value));
                    continue;
                }
                Name::From => &mut found.from,
                Name::To => &mut found.to,
                Name::CallId => &mut found.call_id,
                Name::CSeq => &mut found.cseq,
                Name::MaxForwards => &mut found.max_forwards,
                Name::ContentType => &mut content_type,
                Name::Expires => &mut expires,
                Name::SessionExpires => &mut session_expires,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Fault::Repeated(line.name));
            }
        }
        Ok(found)
    }
}

/// The value and its tag.
fn required_address(value: Option<&str>, name: Name) -> Result<(&str, Option<&str>), Fault> {
    let value = value.ok_or(Fault::Absent(name))?;
    let address = NameAddrRef::parse(value).ok_or(Fault::Header(name))?;
    Ok((value, address.tag()))
}

/// Exactly one space between the parts, none behind (RFC 3261 §7.1, §7.2).
fn read_start(head: HeadRef<'_>) -> Result<(Start, Option<&str>), Fault> {
    let line = head.start();
    if let Some(rest) = strip_prefix_ignore_case(line, "SIP/") {
        let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if version != "2.0" {
            return Err(Fault::Version);
        }
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = scan::number::<u16>(code).filter(|_| code.len() == 3).ok_or(Fault::StartLine)?;
        let status = Status::try_from(code).map_err(|_| Fault::StartLine)?;
        return Ok((Start::Response(status, Place::of(head.text, reason)), None));
    }
    let (method, rest) =
        line.split_once(' ').filter(|(method, _)| scan::is_token(method)).ok_or(Fault::StartLine)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Fault::StartLine)?;
    let version = strip_prefix_ignore_case(version, "SIP/").ok_or(Fault::StartLine)?;
    if version != "2.0" {
        let numbers = version.split_once('.').is_some_and(|(major, minor)| {
            scan::number::<u32>(major).is_some() && scan::number::<u32>(minor).is_some()
        });
        return Err(if numbers { Fault::Version } else { Fault::StartLine });
    }
    // Headers have no place in a Request-URI (RFC 3261 §19.1.1, RFC 4475 §3.1.2.12).
    UriRef::parse(uri).filter(|uri| uri.headers.is_none()).ok_or(Fault::RequestUri)?;
    Ok((Start::Request(Place::of(head.text, uri)), Some(method)))
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
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
