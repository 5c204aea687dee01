//! The head of a message: start line and header table, found in one pass. Datagrams and streams both come
//! through here, so a length is never read in two ways.
//!
//! The text is kept nearly as it came, with the same length: a fold becomes spaces (RFC 3261 §7.3.1 lets us), so
//! every value is one piece of text. A head that is not UTF-8 is read as Latin-1, because phones send it.
//!
//! The table holds places, not texts: a message is one piece of text and one small table beside it.

use crate::error::Fault;
use crate::scan;
use crate::{HEAD_BYTES_MAX, HEADER_LINES_MAX, MESSAGE_BYTES_MAX, Method, Name, ParseError};
use memchr::memmem;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Bytes of a head that we write: every place in it, and what a stamp adds, fits 16 bits.
const PLACES_MAX: usize = 65_000;

/// Header lines of a usual message; only a longer one needs memory of its own for its table.
const LINES_USUAL: usize = 24;

/// A piece of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    at: u16,
    len: u16,
}

impl Place {
    pub(crate) fn new(at: usize, len: usize) -> Place {
        let fit = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Place { at: fit(at), len: fit(len) }
    }

    /// Where `piece`, a part of `text`, stands in it.
    pub(crate) fn of(text: &str, piece: &str) -> Place {
        let at = piece.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Place::new(at, piece.len())
    }

    pub(crate) fn start(self) -> usize {
        self.at.into()
    }

    pub(crate) fn end(self) -> usize {
        self.start() + usize::from(self.len)
    }

    pub(crate) fn read(self, text: &str) -> &str {
        text.get(self.start()..self.end()).unwrap_or_default()
    }

    /// The same piece of a value that was copied: where `from` was, `to` is.
    pub(crate) fn copied(self, from: Place, to: Place) -> Place {
        Place::new((self.start() + to.start()).saturating_sub(from.start()), self.len.into())
    }

    /// The same piece after `old` became `new_len` bytes long: what stands behind it moves, what holds it grows.
    pub(crate) fn moved(self, old: Place, new_len: usize) -> Place {
        let shifted = |at: usize| (at + new_len).saturating_sub(usize::from(old.len));
        if self.start() >= old.end() {
            Place::new(shifted(self.start()), self.len.into())
        } else if self.start() <= old.start() && self.end() >= old.end() {
            Place::new(self.start(), shifted(self.end()) - self.start())
        } else {
            self
        }
    }
}

/// One header line, by its places in the text. Its name as written stands before the value, up to the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: Name,
    at: u16,
    /// The value, trimmed.
    pub(crate) value: Place,
}

/// Where everything is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    start: Place,
    lines: SmallVec<[Line; LINES_USUAL]>,
}

impl Table {
    /// With a start line of this length.
    pub(crate) fn after_start(start_len: usize) -> Table {
        Table { start: Place::new(0, start_len), lines: SmallVec::new() }
    }

    pub(crate) fn start(&self) -> Place {
        self.start
    }

    /// Notes one more line; false when there are too many.
    pub(crate) fn push(&mut self, name: Name, at: usize, value: Place) -> bool {
        let fits = self.lines.len() < HEADER_LINES_MAX && value.end() <= PLACES_MAX;
        if fits {
            self.lines.push(Line { name, at: Place::new(at, 0).at, value });
        }
        fits
    }

    /// Follows a change of the text: `old` became `new_len` bytes long.
    pub(crate) fn follow(&mut self, old: Place, new_len: usize) {
        for line in &mut self.lines {
            line.at = Place { at: line.at, len: 0 }.moved(old, new_len).at;
            line.value = line.value.moved(old, new_len);
        }
    }
}

/// A head to read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadRef<'a> {
    pub(crate) text: &'a str,
    pub(crate) table: &'a Table,
}

impl<'a> HeadRef<'a> {
    pub(crate) fn start(self) -> &'a str {
        self.table.start.read(self.text)
    }

    pub(crate) fn lines(self) -> impl Iterator<Item = (&'a Line, &'a str)> {
        self.table.lines.iter().map(move |line| (line, line.value.read(self.text)))
    }

    /// The name of a line as it was written.
    pub(crate) fn written_name(self, line: &Line) -> &'a str {
        let from_name = self.text.get(line.at.into()..line.value.start()).unwrap_or_default();
        let colon = memchr::memchr(b':', from_name.as_bytes()).unwrap_or(from_name.len());
        scan::trim(from_name.get(..colon).unwrap_or_default())
    }

    /// The value of the first line of this name.
    pub(crate) fn value(self, name: Name) -> Option<&'a str> {
        self.values(name).next()
    }

    pub(crate) fn values(self, name: Name) -> impl Iterator<Item = &'a str> {
        let lines = self.table.lines.iter().filter(move |line| line.name == name);
        lines.map(move |line| line.value.read(self.text))
    }

    /// The method, when the start line begins like a request.
    pub(crate) fn request_method(self) -> Option<Method> {
        let (word, _) = self.start().split_once(' ')?;
        scan::is_token(word).then(|| Method::from(word))
    }

    /// What Content-Length says: one rule for datagrams and streams. Two that agree are one (RFC 4475 §3.3.9
    /// shows why two that differ are an attack).
    pub(crate) fn content_length(self) -> Result<Option<usize>, Fault> {
        let mut length = None;
        for value in self.values(Name::ContentLength) {
            let this = scan::number::<usize>(value).filter(|length| *length <= MESSAGE_BYTES_MAX);
            let this = this.ok_or(Fault::ContentLength)?;
            if length.is_some_and(|length| length != this) {
                return Err(Fault::ContentLength);
            }
            length = Some(this);
        }
        Ok(length)
    }

    /// What Content-Length says on a stream, where a message without one has no end (RFC 3261 §20.14): once, and at a
    /// name that nobody overlooks.
    pub(crate) fn stream_length(self) -> Result<usize, Fault> {
        let mut lines = self.table.lines.iter().filter(|line| line.name == Name::ContentLength);
        let bare = |line: &Line| {
            let written = self.text.get(line.at.into()..).and_then(|rest| rest.split_once(':'));
            written.is_some_and(|(name, _)| scan::is_token(name))
        };
        match (lines.next(), lines.next()) {
            (Some(line), None) if bare(line) => self.content_length()?.ok_or(Fault::ContentLength),
            _ => Err(Fault::ContentLength),
        }
    }
}

/// Text and table of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) table: Table,
}

/// How long the head at the start of `bytes` is, its empty line included; `None` when the end is not there yet.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

impl<'t> Head<'t> {
    /// Reads a whole head, empty line included. A head with a broken line is returned with its fault, so that it
    /// can still be answered.
    pub(crate) fn scan(bytes: &'t [u8]) -> Result<Head<'t>, ParseError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(decode(bytes)),
        };
        if text.len() > HEAD_BYTES_MAX {
            return Err(Fault::TooLarge.into());
        }
        if let Some(table) = plain(&text) {
            return Ok(Head { text, table });
        }
        let text = unfold(text.into_owned())?;
        let (table, outcome) = lines(&text);
        let head = Head { text: Cow::Owned(text), table };
        match outcome {
            Ok(()) => Ok(head),
            Err(fault) => Err(ParseError::new(fault, Some(head))),
        }
    }

    pub(crate) fn as_ref(&self) -> HeadRef<'_> {
        HeadRef { text: &self.text, table: &self.table }
    }

    /// For keeping.
    pub(crate) fn into_owned(self) -> Head<'static> {
        Head { text: Cow::Owned(self.text.into_owned()), table: self.table }
    }
}

/// The table of a head without fold, stray control character or broken line; `None` sends it the slow way.
fn plain(text: &str) -> Option<Table> {
    let mut table = Table::default();
    let (mut at, mut ends) = (0, 0);
    for end in memchr::memchr_iter(b'\n', text.as_bytes()) {
        let piece = text.get(at..end)?.strip_suffix('\r')?;
        ends += 1;
        if at == 0 {
            table.start = Place::new(0, piece.len());
        } else if !piece.is_empty() {
            let (name, value) = read_line(piece, at)?;
            if !table.push(name, at, value) {
                return None;
            }
        } else if end + 1 != text.len() {
            return None;
        }
        at = end + 1;
    }
    (scan::controls(text.as_bytes()) == 2 * ends).then_some(table)
}

/// The table of any head that has been unfolded, with all lines that can be read.
fn lines(text: &str) -> (Table, Result<(), Fault>) {
    let mut table = Table::default();
    let mut outcome = Ok(());
    let mut at = 0;
    for piece in text.split("\r\n") {
        if at == 0 {
            table.start = Place::new(0, piece.len());
        } else if piece.is_empty() {
            break;
        } else if let Some((name, value)) = read_line(piece, at) {
            if !table.push(name, at, value) {
                return (table, Err(Fault::TooManyHeaders));
            }
        } else {
            outcome = Err(Fault::HeaderLine);
        }
        at += piece.len() + 2;
    }
    (table, outcome)
}

/// `name HCOLON value`; white space may stand before the colon, and must not hide the header there.
fn read_line(piece: &str, start: usize) -> Option<(Name, Place)> {
    let colon = memchr::memchr(b':', piece.as_bytes())?;
    let (name, value) = (piece.get(..colon)?, piece.get(colon + 1..)?);
    let name = if name.ends_with([' ', '\t']) { name.trim_end_matches([' ', '\t']) } else { name };
    if !scan::is_token(name) {
        return None;
    }
    let trimmed = scan::trim(value);
    let leading = if trimmed.is_empty() { 0 } else { value.len() - scan::trim_start(value).len() };
    Some((Name::parse(name), Place::new(start + colon + 1 + leading, trimmed.len())))
}

/// UTF-8 as it is; every other byte as the Latin-1 letter it most likely is.
fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
    }
    text
}

/// Turns folds into spaces and refuses what no head may hold: bare CR or LF, a fold of the start line, control
/// characters (allowed after a backslash only: RFC 3261 §25.1 `quoted-pair`).
fn unfold(text: String) -> Result<String, Fault> {
    let mut bytes = text.into_bytes();
    let mut at = 0;
    let mut lines = 0;
    while let Some(step) =
        bytes.get(at..).and_then(|rest| rest.iter().position(|byte| scan::is_control(*byte)))
    {
        at += step;
        match bytes.get(at..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] if lines == 0 => return Err(Fault::HeaderLine),
            [b'\r', b'\n', b' ' | b'\t', ..] => {
                if let Some(fold) = bytes.get_mut(at..at + 2) {
                    fold.fill(b' ');
                }
            }
            [b'\r', b'\n', ..] => lines += 1,
            [b'\r' | b'\n', ..] => return Err(Fault::ControlCharacter),
            _ if at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\\') => {
                at += 1;
                continue;
            }
            _ => return Err(Fault::ControlCharacter),
        }
        at += 2;
    }
    String::from_utf8(bytes).map_err(|_| Fault::ControlCharacter)
}
