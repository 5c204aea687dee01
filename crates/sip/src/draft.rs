//! A message being written: its text, and the places of its lines as they are written, so that what we have just
//! built need not be searched again.

use crate::head::{Head, HeadRef, Place, Table};
use crate::parts::Parts;
use crate::scan::{self, OneLine};
use crate::{Fault, MESSAGE_BYTES_MAX, Message, Name, ParseError};
use std::fmt::{Display, Write as _};

/// Bytes of a usual message of ours.
const USUAL_BYTES: usize = 1024;

/// A start line and header lines.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    text: String,
    table: Table,
    fault: Option<Fault>,
}

impl Draft {
    /// With this start line.
    pub(crate) fn new(start: impl Display) -> Draft {
        let mut text = String::with_capacity(USUAL_BYTES);
        // Writing to a String cannot fail; nor below.
        let _ = write!(OneLine(&mut text), "{start}");
        let table = Table::after_start(text.len());
        text.push_str("\r\n");
        Draft { text, table, fault: None }
    }

    /// One line; whatever the value holds, it stays one.
    pub(crate) fn line(&mut self, name: Name, value: impl Display) -> Place {
        let at = self.begin(name.as_str());
        let from = self.text.len();
        let _ = write!(OneLine(&mut self.text), "{value}");
        self.end(name, at, from)
    }

    /// One line with a name that [`Name`] may not know.
    pub(crate) fn line_named(&mut self, written: &str, value: impl Display) {
        if !scan::is_token(written) {
            self.fault = self.fault.or(Some(Fault::HeaderLine));
        }
        let at = self.begin(&scan::one_line(written));
        let from = self.text.len();
        let _ = write!(OneLine(&mut self.text), "{value}");
        self.end(Name::parse(written), at, from);
    }

    /// A line as it stood in a message that was read: it was checked then, so control characters in quoted pairs
    /// may stay.
    pub(crate) fn copy(&mut self, name: Name, written: &str, value: &str) -> Place {
        let at = self.begin(written);
        let from = self.text.len();
        self.text.push_str(value);
        self.end(name, at, from)
    }

    /// The lines until now.
    pub(crate) fn head_so_far(&self) -> HeadRef<'_> {
        HeadRef { text: &self.text, table: &self.table }
    }

    /// Where the start line ends.
    pub(crate) fn start(&self) -> Place {
        self.table.start()
    }

    /// Puts `more` behind a value that was written before.
    pub(crate) fn append(&mut self, value: Place, more: &str) -> Place {
        self.text.insert_str(value.end(), more);
        let longer = Place::new(value.start(), value.end() - value.start() + more.len());
        self.table.follow(value, value.end() - value.start() + more.len());
        longer
    }

    /// What was written at this place.
    pub(crate) fn at(&self, value: Place) -> &str {
        value.read(&self.text)
    }

    /// The bytes, with an empty line and the body behind the head.
    pub(crate) fn bytes(mut self, body: &[u8]) -> Vec<u8> {
        self.text.push_str("\r\n");
        let mut bytes = self.text.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// The message. An error is a mistake of ours in what was put in.
    pub(crate) fn message(self, body: &[u8]) -> Result<Message, ParseError> {
        Message::assemble(self.head(body)?, body).map(readable)
    }

    /// The message, when its parts are known because they were copied from another.
    pub(crate) fn message_of(self, parts: Parts, body: &[u8]) -> Result<Message, ParseError> {
        let message = Message::of_parts(self.head(body)?, parts, body);
        debug_assert_eq!(
            Parts::read(message.head()).as_ref(),
            Ok(message.parts()),
            "they are where they are"
        );
        Ok(readable(message))
    }

    fn head(mut self, body: &[u8]) -> Result<Head<'static>, ParseError> {
        self.text.push_str("\r\n");
        if self.text.len() + body.len() > MESSAGE_BYTES_MAX {
            return Err(Fault::TooLarge.into());
        }
        match self.fault {
            Some(fault) => Err(fault.into()),
            None => Ok(Head { text: self.text.into(), table: self.table }),
        }
    }

    fn begin(&mut self, written: &str) -> usize {
        let at = self.text.len();
        self.text.push_str(written);
        self.text.push_str(": ");
        at
    }

    fn end(&mut self, name: Name, at: usize, from: usize) -> Place {
        let value = self.text.get(from..).unwrap_or_default();
        let trimmed = scan::trim(value);
        let leading = if trimmed.is_empty() { 0 } else { value.len() - scan::trim_start(value).len() };
        let place = Place::new(from + leading, trimmed.len());
        if !self.table.push(name, at, place) {
            self.fault = self.fault.or(Some(Fault::TooManyHeaders));
        }
        self.text.push_str("\r\n");
        place
    }
}

/// What we have built is what a reader reads.
fn readable(message: Message) -> Message {
    debug_assert_eq!(Message::parse(&message.to_bytes()).as_ref(), Ok(&message));
    message
}
