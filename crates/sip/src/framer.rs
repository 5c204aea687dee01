//! Messages out of a byte stream (RFC 3261 §18.3, §7.5; keep-alive of RFC 5626 §3.5.1).
//!
//! One framer a connection. After an error the stream has no known place any more: answer what can be answered and
//! close it. Where two readers of one stream could see two different messages there is no message (RFC 3261 would have
//! some of them): a length that is absent, that stands there twice, that is behind a name with white space after it
//! (others overlook such a header), that is no plain number; a head that does not end; nothing but keep-alives.

use crate::head::{self, Head};
use crate::scan::is_token_byte;
use crate::{Fault, HEAD_BYTES_MAX, MESSAGE_BYTES_MAX, Message, ParseError};

/// Keep-alives that may come together. A phone sends one in some seconds, and a few may have waited on the way.
const KEEP_ALIVES_MAX: usize = 16;

/// What a stream brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// A message that is framed well and otherwise bad: answer it, go on reading.
    Malformed(ParseError),
    /// Two CRLF between messages: answer with one CRLF.
    Ping,
    /// One CRLF between messages: the answer to our ping.
    Pong,
}

/// Why a stream cannot be read on. What was framed before it is in the output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream lost its framing: {0}")]
pub struct FramingError(
    /// The message that broke it; it may deserve an answer before the connection is closed.
    #[source]
    pub ParseError,
);

#[derive(Debug, Clone)]
enum State {
    /// Between messages, or inside a head whose first `seen` bytes hold no end.
    Head { seen: usize },
    /// The head is known, the body is still coming.
    Body { head: Box<Head<'static>>, length: usize },
    /// An error was given; nothing is read any more.
    Lost,
}

/// How far one step came.
enum Step {
    /// It took this many bytes; there may be more to do.
    Took(usize),
    /// More must be read first.
    Starved,
}

/// Finds messages in a stream.
#[derive(Debug, Clone)]
pub struct Framer {
    buffer: Vec<u8>,
    state: State,
    /// The last thing was half a ping.
    after_crlf: bool,
    /// Keep-alives of this push since the last message.
    keep_alives: usize,
}

impl Default for Framer {
    fn default() -> Framer {
        Framer::new()
    }
}

impl Framer {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Framer {
        Framer { buffer: Vec::new(), state: State::Head { seen: 0 }, after_crlf: false, keep_alives: 0 }
    }

    /// True between two messages: a connection may be closed here without tearing one.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.buffer.is_empty() && matches!(self.state, State::Head { .. })
    }

    /// Takes what was read and gives what is complete. The buffer never holds more than one message of the largest
    /// size and what was pushed last.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), FramingError> {
        if matches!(self.state, State::Lost) {
            return Err(FramingError(Fault::TooLarge.into()));
        }
        self.buffer.extend_from_slice(bytes);
        self.keep_alives = 0;
        let mut used = 0;
        let outcome = loop {
            match self.step(used, out) {
                Ok(Step::Took(bytes)) => used += bytes,
                Ok(Step::Starved) => break Ok(()),
                Err(error) => {
                    self.state = State::Lost;
                    break Err(FramingError(error));
                }
            }
        };
        self.buffer.drain(..used.min(self.buffer.len()));
        if self.buffer.is_empty() {
            // A connection is idle nearly always, and there are many.
            self.buffer = Vec::new();
        }
        outcome
    }

    fn step(&mut self, used: usize, out: &mut Vec<Frame>) -> Result<Step, ParseError> {
        match std::mem::replace(&mut self.state, State::Head { seen: 0 }) {
            State::Head { seen } => self.in_head(used, seen, out),
            State::Body { head, length } => Ok(self.in_body(used, head, length, out)),
            State::Lost => {
                self.state = State::Lost;
                Ok(Step::Starved)
            }
        }
    }

    fn in_head(&mut self, used: usize, seen: usize, out: &mut Vec<Frame>) -> Result<Step, ParseError> {
        let rest = self.buffer.get(used..).unwrap_or_default();
        match rest {
            [b'\r', b'\n', b'\r', b'\n', ..] => {
                out.push(Frame::Ping);
                self.after_crlf = false;
                return self.kept_alive(4);
            }
            [b'\r', b'\n', ..] => {
                // A ping torn into two segments is still a ping.
                out.push(if self.after_crlf { Frame::Ping } else { Frame::Pong });
                self.after_crlf = !self.after_crlf;
                return self.kept_alive(2);
            }
            [] | [b'\r'] => return Ok(Step::Starved),
            // No head begins like this: it need not be waited for.
            [first, ..] if !is_token_byte(*first) => return Err(Fault::StartLine.into()),
            _ => self.after_crlf = false,
        }
        let from = seen.saturating_sub(3);
        let end = rest.get(from..).and_then(head::length).map(|length| from + length);
        match end {
            Some(end) => {
                let head = Head::scan(rest.get(..end).unwrap_or_default()).map(Head::into_owned);
                self.after_head(head, end)
            }
            None if rest.len() > HEAD_BYTES_MAX => Err(Fault::TooLarge.into()),
            None => {
                self.state = State::Head { seen: rest.len() };
                Ok(Step::Starved)
            }
        }
    }

    fn kept_alive(&mut self, bytes: usize) -> Result<Step, ParseError> {
        self.keep_alives += 1;
        if self.keep_alives > KEEP_ALIVES_MAX { Err(Fault::Flood.into()) } else { Ok(Step::Took(bytes)) }
    }

    /// Any doubt about the head is a doubt about where the next message begins, so it ends the stream.
    fn after_head(
        &mut self,
        head: Result<Head<'static>, ParseError>,
        head_len: usize,
    ) -> Result<Step, ParseError> {
        let head = head?;
        let length = match head.as_ref().stream_length() {
            Ok(length) => length,
            Err(fault) => return Err(ParseError::new(fault, Some(head))),
        };
        if head_len + length > MESSAGE_BYTES_MAX {
            return Err(ParseError::new(Fault::TooLarge, Some(head)));
        }
        self.keep_alives = 0;
        self.state = State::Body { head: Box::new(head), length };
        Ok(Step::Took(head_len))
    }

    fn in_body(
        &mut self,
        used: usize,
        head: Box<Head<'static>>,
        length: usize,
        out: &mut Vec<Frame>,
    ) -> Step {
        let rest = self.buffer.get(used..).unwrap_or_default();
        let Some(body) = rest.get(..length) else {
            self.state = State::Body { head, length };
            return Step::Starved;
        };
        out.push(match Message::assemble(*head, body) {
            Ok(message) => Frame::Message(message),
            Err(error) => Frame::Malformed(error),
        });
        Step::Took(length)
    }
}
