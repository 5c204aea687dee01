//! One SIP message, checked and immutable.
//!
//! Its Via, From, To, Call-ID, CSeq and Max-Forwards were parsed when it was made: they are plain getters. What
//! only some readers need (Contact, Route, lists, numbers) is read on demand and may then be found malformed;
//! answer that with [`Fault::status`].

use crate::head::{self, Head};
use crate::scan::{self, Elements};
use crate::{CSeq, Contacts, Fault, MESSAGE_BYTES_MAX, Method, Name, NameAddr, ParseError, Status, Uri, Via};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

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
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<Parsed>);

#[derive(Clone, PartialEq, Eq)]
struct Parsed {
    head: Head,
    body: Vec<u8>,
    start: StartLine,
    via: Via,
    from: NameAddr,
    to: NameAddr,
    cseq: CSeq,
    max_forwards: Option<u8>,
}

/// Headers that make no sense twice.
const ONCE: [Name; 8] = [
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::ContentType,
    Name::Expires,
    Name::SessionExpires,
];

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
        let head = Head::scan(head).map_err(|(fault, head)| ParseError::new(fault, head))?;
        let body = match head.content_length() {
            Ok(length) => rest.get(..length.unwrap_or(rest.len())).ok_or(Fault::ContentLength),
            Err(fault) => Err(fault),
        };
        match body {
            Ok(body) => Message::assemble(head, body.to_vec()),
            Err(fault) => Err(ParseError::new(fault, Some(head))),
        }
    }

    /// Checks what every message must have.
    pub(crate) fn assemble(head: Head, body: Vec<u8>) -> Result<Message, ParseError> {
        match Parsed::typed(&head) {
            Ok(typed) => {
                let Typed { start, via, from, to, cseq, max_forwards } = typed;
                Ok(Message(Arc::new(Parsed { head, body, start, via, from, to, cseq, max_forwards })))
            }
            Err(fault) => Err(ParseError::new(fault, Some(head))),
        }
    }

    /// Notes in the top Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4). Do this first with every
    /// request from a socket.
    #[must_use]
    pub fn stamped(mut self, source: SocketAddr) -> Message {
        let parsed = Arc::make_mut(&mut self.0);
        parsed.via.stamp(source);
        parsed.head.replace_first_element(Name::Via, &parsed.via.to_string());
        self
    }

    /// The first line.
    #[must_use]
    pub fn start(&self) -> &StartLine {
        &self.0.start
    }

    /// True for a request.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self.0.start, StartLine::Request { .. })
    }

    /// The method of a request, or of the request that this response answers.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.cseq.method
    }

    /// The Request-URI of a request.
    #[must_use]
    pub fn request_uri(&self) -> Option<&Uri> {
        match &self.0.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match &self.0.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(*status),
        }
    }

    /// The top Via.
    #[must_use]
    pub fn via(&self) -> &Via {
        &self.0.via
    }

    /// The second Via of a response that is to be forwarded, if there is one and it can be read.
    #[must_use]
    pub fn next_via(&self) -> Option<Via> {
        self.list(Name::Via).nth(1).and_then(Via::parse)
    }

    /// From.
    #[must_use]
    pub fn from(&self) -> &NameAddr {
        &self.0.from
    }

    /// To.
    #[must_use]
    pub fn to(&self) -> &NameAddr {
        &self.0.to
    }

    /// Call-ID; compared byte by byte (RFC 3261 §20.8).
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.0.head.value(Name::CallId).unwrap_or_default()
    }

    /// CSeq.
    #[must_use]
    pub fn cseq(&self) -> &CSeq {
        &self.0.cseq
    }

    /// Max-Forwards, if the message has it (RFC 2543 had none).
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.0.max_forwards
    }

    /// The value of the first line of this header.
    #[must_use]
    pub fn header(&self, name: Name) -> Option<&str> {
        self.0.head.value(name)
    }

    /// The value of the first line of a header by its text: for those [`Name`] does not know.
    #[must_use]
    pub fn header_named(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.head.lines();
        lines
            .find(|(line, _)| self.0.head.written_name(line).eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The values of all lines of this header, one a line.
    pub fn headers(&self, name: Name) -> impl Iterator<Item = &str> {
        self.0.head.values(name)
    }

    /// Every line in order: the name as written, and the value.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.head.lines().map(|(line, value)| (self.0.head.written_name(line), value))
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
        &self.0.body
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
        self.0.to.tag().is_some()
    }

    /// The bytes: as they came, but for folds, Latin-1 and the stamp.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.head.text().len() + self.0.body.len());
        bytes.extend_from_slice(self.0.head.text().as_bytes());
        bytes.extend_from_slice(&self.0.body);
        bytes
    }

    pub(crate) fn head(&self) -> &Head {
        &self.0.head
    }
}

struct Typed {
    start: StartLine,
    via: Via,
    from: NameAddr,
    to: NameAddr,
    cseq: CSeq,
    max_forwards: Option<u8>,
}

impl Parsed {
    fn typed(head: &Head) -> Result<Typed, Fault> {
        let start = read_start(head.start())?;
        if let Some(name) = ONCE.into_iter().find(|name| head.values(*name).nth(1).is_some()) {
            return Err(Fault::Repeated(name));
        }
        let top = Elements::of(required(head, Name::Via)?).next().unwrap_or_default();
        let via = Via::parse(top).ok_or(Fault::Header(Name::Via))?;
        let from = required_address(head, Name::From)?;
        let to = required_address(head, Name::To)?;
        let call_id = required(head, Name::CallId)?;
        if call_id.is_empty() || call_id.bytes().any(scan::is_blank) {
            return Err(Fault::Header(Name::CallId));
        }
        let cseq = CSeq::parse(required(head, Name::CSeq)?).ok_or(Fault::Header(Name::CSeq))?;
        if matches!(&start, StartLine::Request { method, .. } if *method != cseq.method) {
            return Err(Fault::CSeqMethod);
        }
        let max_forwards = match head.value(Name::MaxForwards) {
            Some(value) => Some(scan::number(value).ok_or(Fault::Header(Name::MaxForwards))?),
            None => None,
        };
        Ok(Typed { start, via, from, to, cseq, max_forwards })
    }
}

fn required(head: &Head, name: Name) -> Result<&str, Fault> {
    head.value(name).ok_or(Fault::Absent(name))
}

fn required_address(head: &Head, name: Name) -> Result<NameAddr, Fault> {
    NameAddr::parse(required(head, name)?).map_err(|_| Fault::Header(name))
}

/// Exactly one space between the parts, none behind (RFC 3261 §7.1, §7.2).
fn read_start(line: &str) -> Result<StartLine, Fault> {
    if let Some(rest) = strip_prefix_ignore_case(line, "SIP/") {
        let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        if version != "2.0" {
            return Err(Fault::Version);
        }
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = scan::number::<u16>(code).filter(|_| code.len() == 3).ok_or(Fault::StartLine)?;
        let status = Status::try_from(code).map_err(|_| Fault::StartLine)?;
        return Ok(StartLine::Response { status, reason: reason.to_owned() });
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
    let uri = Uri::parse(uri).ok().filter(|uri| uri.headers.is_none()).ok_or(Fault::RequestUri)?;
    Ok(StartLine::Request { method: Method::from(method), uri })
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} | {} | {})", self.0.head.start(), self.call_id(), self.0.cseq)
    }
}

/// The whole message as text, for traces and ladders. It holds numbers and names of people.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.head.text())?;
        f.write_str(&String::from_utf8_lossy(&self.0.body))
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
