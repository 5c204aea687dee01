//! Why a message is refused, and the answer that can still be given.
//!
//! Every fault here is the peer's: it sent bytes that are not SIP. Our own mistakes do not pass this way.

use crate::build::Response;
use crate::head::Head;
use crate::{Method, Name, Status};
use std::fmt;

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A header that must be there once is absent (RFC 3261 §8.1.1).
    #[error("missing {0} header")]
    Absent(Name),
    /// A header that may be there once is there twice.
    #[error("more than one {0} header")]
    Repeated(Name),
    /// The value of a header does not follow its grammar.
    #[error("bad {0} header")]
    Header(Name),
    /// A stream of nothing but keep-alives.
    #[error("too many keep-alives")]
    Flood,
    /// A header line has no colon, a bad name, or folds the start line.
    #[error("bad header line")]
    HeaderLine,
    /// A byte that no SIP head may hold: NUL, control characters, bare CR or LF.
    #[error("control character in the message head")]
    ControlCharacter,
    /// The method in CSeq is not the method of the request (RFC 3261 §8.1.1.5).
    #[error("CSeq method is not the request method")]
    CSeqMethod,
    /// Content-Length says more than arrived, or two of them differ, or it is no length.
    #[error("bad Content-Length")]
    ContentLength,
    /// No empty line ends the head.
    #[error("head without end")]
    HeadWithoutEnd,
    /// Request-URI that is not a URI.
    #[error("bad Request-URI")]
    RequestUri,
    /// The first line is neither a request line nor a status line.
    #[error("bad start line")]
    StartLine,
    /// More than [`crate::MESSAGE_BYTES_MAX`].
    #[error("message too large")]
    TooLarge,
    /// More than [`crate::HEADER_LINES_MAX`].
    #[error("too many header lines")]
    TooManyHeaders,
    /// Not SIP/2.0.
    #[error("SIP version not supported")]
    Version,
    /// A text that should be a URI is none.
    #[error("bad URI")]
    Uri,
}

impl Fault {
    /// The status a server answers this fault with.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Fault::Version => Status::VERSION_NOT_SUPPORTED,
            Fault::TooLarge => Status::MESSAGE_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }
}

/// A refused message: the fault, and what of the message was readable.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// What is wrong.
    pub fault: Fault,
    remains: Option<Box<Head<'static>>>,
}

impl ParseError {
    pub(crate) fn new(fault: Fault, remains: Option<Head<'static>>) -> ParseError {
        ParseError { fault, remains: remains.map(Box::new) }
    }

    /// The 400 or 505 this message deserves, if it was a request whose Via, From, To, Call-ID and CSeq can be
    /// copied. An ACK is never answered, nor is a response (RFC 3261 §17.1.1.3, §18.1.2).
    #[must_use]
    pub fn answer(&self, to_tag: &str) -> Option<Vec<u8>> {
        let head = self.remains.as_deref()?.as_ref();
        let method = head.request_method()?;
        if method == Method::Ack {
            return None;
        }
        let needed = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq];
        if needed.iter().any(|name| head.value(*name).is_none_or(str::is_empty)) {
            return None;
        }
        Some(Response::refusing(head, self.fault.status(), &self.fault.to_string()).to_tag(to_tag).bytes())
    }
}

impl fmt::Debug for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParseError({:?})", self.fault)
    }
}

impl From<Fault> for ParseError {
    fn from(fault: Fault) -> ParseError {
        ParseError { fault, remains: None }
    }
}
