//! Messages of our own: responses to a request, and new requests.
//!
//! Values are written as one line each, whatever they hold: a header cannot be smuggled in through a display name.

use crate::head::Head;
use crate::scan;
use crate::{CSeq, HeaderValue, MAX_FORWARDS, Message, Method, Name, NameAddr, ParseError, Status, Uri, Via};
use std::fmt::Display;

/// Lines and a body, written when finished.
#[derive(Debug, Clone)]
struct Draft {
    head: String,
    body: Option<(String, Vec<u8>)>,
}

impl Draft {
    fn new(start: &str) -> Draft {
        let mut head = String::with_capacity(1024);
        head.push_str(&scan::one_line(start));
        head.push_str("\r\n");
        Draft { head, body: None }
    }

    fn line(&mut self, name: &str, value: &str) {
        write_line(&mut self.head, name, value);
    }

    /// A value of a message that was read: it was checked then, and is given back as it was.
    fn copy(&mut self, name: Name, value: &str) {
        copy_line(&mut self.head, name.as_str(), value);
    }

    fn bytes(mut self) -> Vec<u8> {
        let (content_type, body) = self.body.take().unwrap_or_default();
        if !content_type.is_empty() {
            self.line(Name::ContentType.as_str(), &content_type);
        }
        self.line(Name::ContentLength.as_str(), &body.len().to_string());
        self.head.push_str("\r\n");
        let mut bytes = self.head.into_bytes();
        bytes.extend_from_slice(&body);
        bytes
    }
}

pub(crate) fn write_line(head: &mut String, name: &str, value: &str) {
    head.push_str(&scan::one_line(name));
    head.push_str(": ");
    head.push_str(&scan::one_line(value));
    head.push_str("\r\n");
}

/// A line as it stood: it was checked at parsing, so control characters in quoted pairs may stay.
pub(crate) fn copy_line(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    head.push_str(value);
    head.push_str("\r\n");
}

/// A response in the making (RFC 3261 §8.2.6).
#[derive(Debug, Clone)]
pub struct Response {
    draft: Draft,
    to: String,
    to_tag: Option<String>,
}

impl Response {
    /// A response with the Via, From, To, Call-ID and CSeq of the request, its Timestamp in a 100, and its
    /// Record-Route in every response that may make a dialog (RFC 3261 §8.2.6, §12.1.1).
    #[must_use]
    pub fn to(request: &Message, status: Status) -> Response {
        Response::with_reason(request, status, status.reason())
    }

    /// The same with a reason phrase of its own.
    #[must_use]
    pub fn with_reason(request: &Message, status: Status, reason: &str) -> Response {
        let mut response = Response::refusing(request.head(), status, reason);
        if status == Status::TRYING
            && let Some(timestamp) = request.header(Name::Timestamp)
        {
            response.draft.copy(Name::Timestamp, timestamp);
        }
        if status > Status::TRYING && (status.is_provisional() || status.is_success()) {
            for value in request.headers(Name::RecordRoute) {
                response.draft.copy(Name::RecordRoute, value);
            }
        }
        response
    }

    /// From a head alone: of a message that could not be understood.
    pub(crate) fn refusing(head: &Head, status: Status, reason: &str) -> Response {
        let mut draft = Draft::new(&format!("SIP/2.0 {status} {reason}"));
        for value in head.values(Name::Via) {
            draft.copy(Name::Via, value);
        }
        for name in [Name::From, Name::CallId, Name::CSeq] {
            draft.copy(name, head.value(name).unwrap_or_default());
        }
        Response { draft, to: head.value(Name::To).unwrap_or_default().to_owned(), to_tag: None }
    }

    /// Our tag; used only when the To of the request has none.
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Response {
        self.to_tag = Some(tag.to_owned());
        self
    }

    /// Our Contact.
    #[must_use]
    pub fn contact(self, contact: &NameAddr) -> Response {
        self.header(Name::Contact, contact)
    }

    /// One more header.
    #[must_use]
    pub fn header(self, name: Name, value: impl Display) -> Response {
        self.header_named(name.as_str(), value)
    }

    /// One more header of a kind that has a type.
    #[must_use]
    pub fn typed<V: HeaderValue>(self, value: &V) -> Response {
        self.header(V::NAME, value)
    }

    /// One more header that [`Name`] does not know.
    #[must_use]
    pub fn header_named(mut self, name: &str, value: impl Display) -> Response {
        self.draft.line(name, &value.to_string());
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Response {
        self.draft.body = Some((content_type.to_owned(), body.to_vec()));
        self
    }

    /// Type and body of another message, unless it has none.
    #[must_use]
    pub fn body_of(self, other: &Message) -> Response {
        match other.header(Name::ContentType) {
            Some(content_type) if !other.body().is_empty() => self.body(content_type, other.body()),
            _ => self,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(mut self) -> Vec<u8> {
        let tagged =
            NameAddr::parse(&self.to).map_or_else(|_| self.to.contains("tag"), |to| to.tag().is_some());
        let to = match self.to_tag {
            Some(tag) if !tagged => format!("{};tag={}", self.to, scan::one_line(&tag)),
            _ => self.to,
        };
        self.draft.copy(Name::To, &to);
        self.draft.bytes()
    }

    /// The message. An error is a mistake of ours in what was put in.
    pub fn message(self) -> Result<Message, ParseError> {
        Message::parse(&self.bytes())
    }
}

/// A request in the making (RFC 3261 §8.1.1).
#[derive(Debug, Clone)]
pub struct Request {
    draft: Draft,
    method: Method,
    has_max_forwards: bool,
}

impl Request {
    /// A request line. Via, From, To, Call-ID and CSeq must follow; Max-Forwards is added if it does not.
    #[must_use]
    pub fn new(method: Method, uri: &Uri) -> Request {
        let draft = Draft::new(&format!("{method} {} SIP/2.0", uri.for_request_line()));
        Request { draft, method, has_max_forwards: false }
    }

    /// Our Via.
    #[must_use]
    pub fn via(self, via: &Via) -> Request {
        self.header(Name::Via, via)
    }

    /// Who asks.
    #[must_use]
    pub fn from(self, from: &NameAddr) -> Request {
        self.header(Name::From, from)
    }

    /// Who is asked.
    #[must_use]
    pub fn to(self, to: &NameAddr) -> Request {
        self.header(Name::To, to)
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(self, call_id: &str) -> Request {
        self.header(Name::CallId, call_id)
    }

    /// The sequence number.
    #[must_use]
    pub fn cseq(self, number: u32) -> Request {
        let cseq = CSeq { number, method: self.method.clone() };
        self.header(Name::CSeq, cseq)
    }

    /// Hops left: what the request on the other side of a B2BUA had, minus one (DESIGN § 7).
    #[must_use]
    pub fn max_forwards(mut self, hops: u8) -> Request {
        self.has_max_forwards = true;
        self.header(Name::MaxForwards, hops)
    }

    /// Our Contact.
    #[must_use]
    pub fn contact(self, contact: &NameAddr) -> Request {
        self.header(Name::Contact, contact)
    }

    /// The route set, one line each.
    #[must_use]
    pub fn route(mut self, route: &[NameAddr]) -> Request {
        for hop in route {
            self = self.header(Name::Route, hop);
        }
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(self, name: Name, value: impl Display) -> Request {
        self.header_named(name.as_str(), value)
    }

    /// One more header of a kind that has a type.
    #[must_use]
    pub fn typed<V: HeaderValue>(self, value: &V) -> Request {
        self.header(V::NAME, value)
    }

    /// One more header that [`Name`] does not know.
    #[must_use]
    pub fn header_named(mut self, name: &str, value: impl Display) -> Request {
        self.draft.line(name, &value.to_string());
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Request {
        self.draft.body = Some((content_type.to_owned(), body.to_vec()));
        self
    }

    /// Type and body of another message, unless it has none.
    #[must_use]
    pub fn body_of(self, other: &Message) -> Request {
        match other.header(Name::ContentType) {
            Some(content_type) if !other.body().is_empty() => self.body(content_type, other.body()),
            _ => self,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let finished = if self.has_max_forwards { self } else { self.max_forwards(MAX_FORWARDS) };
        finished.draft.bytes()
    }

    /// The message. An error is a mistake of ours in what was put in.
    pub fn message(self) -> Result<Message, ParseError> {
        Message::parse(&self.bytes())
    }
}
