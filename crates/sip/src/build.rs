//! Messages of our own: responses to a request, and new requests.
//!
//! Values are written as one line each, whatever they hold: a header cannot be smuggled in through a display name.

use crate::address::NameAddrRef;
use crate::draft::Draft;
use crate::head::{HeadRef, Place};
use crate::parts::{Parts, Start};
use crate::scan;
use crate::{CSeq, HeaderValue, MAX_FORWARDS, Message, Method, Name, NameAddr, ParseError, Status, Uri, Via};
use std::fmt::Display;

/// A type and a body.
type Body = Option<(String, Vec<u8>)>;

/// Where the reason phrase stands: behind `SIP/2.0 200 `.
const REASON_AT: usize = 12;

/// Headers that a response has once: one more of them must be found when the message is checked.
const IS_A_PART: [Name; 9] = [
    Name::From,
    Name::To,
    Name::CallId,
    Name::CSeq,
    Name::MaxForwards,
    Name::ContentType,
    Name::ContentLength,
    Name::Expires,
    Name::SessionExpires,
];

/// The last lines of a head, and the body behind it.
fn finished(mut draft: Draft, body: Body) -> (Draft, Vec<u8>) {
    let (content_type, body) = body.unwrap_or_default();
    if !content_type.is_empty() {
        draft.line(Name::ContentType, content_type);
    }
    draft.line(Name::ContentLength, body.len());
    (draft, body)
}

/// A response in the making (RFC 3261 §8.2.6).
#[derive(Debug, Clone)]
pub struct Response {
    draft: Draft,
    body: Body,
    to: Place,
    /// Its parts, as copied from a request that was checked.
    parts: Option<Parts>,
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
        response.parts = response.copied_parts(request, status);
        if status == Status::TRYING
            && let Some(timestamp) = request.header(Name::Timestamp)
        {
            response.draft.copy(Name::Timestamp, Name::Timestamp.as_str(), timestamp);
        }
        if status > Status::TRYING && (status.is_provisional() || status.is_success()) {
            for value in request.headers(Name::RecordRoute) {
                response.draft.copy(Name::RecordRoute, Name::RecordRoute.as_str(), value);
            }
        }
        response
    }

    /// From a head alone: of a message that could not be understood.
    pub(crate) fn refusing(head: HeadRef<'_>, status: Status, reason: &str) -> Response {
        let mut draft = Draft::new(format_args!("SIP/2.0 {status} {reason}"));
        for value in head.values(Name::Via) {
            draft.copy(Name::Via, Name::Via.as_str(), value);
        }
        let mut copy = |name: Name| draft.copy(name, name.as_str(), head.value(name).unwrap_or_default());
        copy(Name::From);
        let to = copy(Name::To);
        copy(Name::CallId);
        copy(Name::CSeq);
        Response { draft, body: None, to, parts: None }
    }

    /// Where the copied values stand now; they are the first lines of this message.
    fn copied_parts(&self, request: &Message, status: Status) -> Option<Parts> {
        let (old, head) = (request.parts(), self.draft.head_so_far());
        let place = |name: Name| head.lines().find(|(line, _)| line.name == name).map(|(line, _)| line.value);
        let old_via = request.head().lines().find(|(line, _)| line.name == Name::Via)?.0.value;
        let (via, from) = (place(Name::Via)?, place(Name::From)?);
        let reason_at = self.draft.start().end().min(REASON_AT);
        Some(Parts {
            start: Start::Response(status, Place::new(reason_at, self.draft.start().end() - reason_at)),
            via: old.via.copied(old_via, via),
            branch: old.branch.map(|branch| branch.copied(old_via, via)),
            from,
            from_tag: old.from_tag.map(|tag| tag.copied(old.from, from)),
            to: self.to,
            to_tag: old.to_tag.map(|tag| tag.copied(old.to, self.to)),
            call_id: place(Name::CallId)?,
            cseq: old.cseq.clone(),
            max_forwards: None,
        })
    }

    /// Our tag; used only when the To of the request has none.
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Response {
        let tagged = match &self.parts {
            Some(parts) => parts.to_tag.is_some(),
            None => {
                let to = self.draft.at(self.to);
                NameAddrRef::parse(to).map_or_else(|| to.contains("tag"), |to| to.tag().is_some())
            }
        };
        if tagged {
            return self;
        }
        if !scan::is_token(tag) {
            self.parts = None;
        }
        let old = self.to;
        self.to = self.draft.append(old, &format!(";tag={}", scan::one_line(tag)));
        if let Some(parts) = &mut self.parts {
            parts.moved(old, self.to);
            parts.to_tag = Some(Place::new(self.to.end() - tag.len(), tag.len()));
        }
        self
    }

    /// Our Contact.
    #[must_use]
    pub fn contact(self, contact: &NameAddr) -> Response {
        self.header(Name::Contact, contact)
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: Name, value: impl Display) -> Response {
        if IS_A_PART.contains(&name) {
            self.parts = None;
        }
        self.draft.line(name, value);
        self
    }

    /// One more header of a kind that has a type.
    #[must_use]
    pub fn typed<V: HeaderValue>(self, value: &V) -> Response {
        self.header(V::NAME, value)
    }

    /// One more header that [`Name`] does not know.
    #[must_use]
    pub fn header_named(mut self, name: &str, value: impl Display) -> Response {
        if IS_A_PART.contains(&Name::parse(name)) {
            self.parts = None;
        }
        self.draft.line_named(name, value);
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Response {
        self.body = Some((content_type.to_owned(), body.to_vec()));
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
    pub fn bytes(self) -> Vec<u8> {
        let (draft, body) = finished(self.draft, self.body);
        draft.bytes(&body)
    }

    /// The message. An error is a mistake of ours in what was put in.
    pub fn message(self) -> Result<Message, ParseError> {
        let (draft, body) = finished(self.draft, self.body);
        match self.parts {
            Some(parts) => draft.message_of(parts, &body),
            None => draft.message(&body),
        }
    }
}

/// A request in the making (RFC 3261 §8.1.1).
#[derive(Debug, Clone)]
pub struct Request {
    draft: Draft,
    body: Body,
    method: Method,
    has_max_forwards: bool,
}

impl Request {
    /// A request line. Via, From, To, Call-ID and CSeq must follow; Max-Forwards is added if it does not.
    #[must_use]
    pub fn new(method: Method, uri: &Uri) -> Request {
        let draft = Draft::new(format_args!("{method} {} SIP/2.0", uri.in_request_line()));
        Request { draft, body: None, method, has_max_forwards: false }
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
    pub fn header(mut self, name: Name, value: impl Display) -> Request {
        self.draft.line(name, value);
        self
    }

    /// One more header of a kind that has a type.
    #[must_use]
    pub fn typed<V: HeaderValue>(self, value: &V) -> Request {
        self.header(V::NAME, value)
    }

    /// One more header that [`Name`] does not know.
    #[must_use]
    pub fn header_named(mut self, name: &str, value: impl Display) -> Request {
        self.draft.line_named(name, value);
        self
    }

    /// The body.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Request {
        self.body = Some((content_type.to_owned(), body.to_vec()));
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
        let (draft, body) = self.finished();
        draft.bytes(&body)
    }

    /// The message. An error is a mistake of ours in what was put in.
    pub fn message(self) -> Result<Message, ParseError> {
        let (draft, body) = self.finished();
        draft.message(&body)
    }

    fn finished(self) -> (Draft, Vec<u8>) {
        let counted = if self.has_max_forwards { self } else { self.max_forwards(MAX_FORWARDS) };
        finished(counted.draft, counted.body)
    }
}
