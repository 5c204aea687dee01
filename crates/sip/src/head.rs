//! The head of a message: start line and header table, found in one pass. Datagrams and streams both come
//! through here, so a length is never read in two ways.
//!
//! The text is kept nearly as it came, with the same length: a fold becomes spaces (RFC 3261 §7.3.1 lets us), so
//! every value is one piece of text. A head that is not UTF-8 is read as Latin-1, because phones send it.

use crate::error::Fault;
use crate::scan;
use crate::{HEADER_LINES_MAX, MESSAGE_BYTES_MAX, Method, Name};
use memchr::memmem;
use std::ops::Range;

/// One header line, by its places in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: Name,
    /// The name as written.
    name_at: Range<usize>,
    /// The value, trimmed.
    value_at: Range<usize>,
}

/// Start line and header table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    text: String,
    start_at: Range<usize>,
    lines: Vec<Line>,
}

/// How long the head at the start of `bytes` is, its empty line included; `None` when the end is not there yet.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

impl Head {
    /// Reads a whole head, empty line included. A head with a broken line is returned with its fault, so that it
    /// can still be answered.
    pub(crate) fn scan(bytes: &[u8]) -> Result<Head, (Fault, Option<Head>)> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err((Fault::TooLarge, None));
        }
        let text = unfold(decode(bytes)).map_err(|fault| (fault, None))?;
        let mut head = Head { text, start_at: 0..0, lines: Vec::new() };
        match head.find_lines() {
            Ok(()) => Ok(head),
            Err(fault) => Err((fault, Some(head))),
        }
    }

    fn find_lines(&mut self) -> Result<(), Fault> {
        let mut at = 0;
        let mut outcome = Ok(());
        let text = self.text.as_str();
        for piece in text.split("\r\n") {
            let place = at..at + piece.len();
            at = place.end + 2;
            if place.start == 0 {
                self.start_at = place;
            } else if piece.is_empty() {
                break;
            } else if self.lines.len() == HEADER_LINES_MAX {
                return Err(Fault::TooManyHeaders);
            } else if let Some(line) = Line::read(piece, place.start) {
                self.lines.push(line);
            } else {
                outcome = Err(Fault::HeaderLine);
            }
        }
        outcome
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn start(&self) -> &str {
        self.piece(&self.start_at)
    }

    pub(crate) fn piece(&self, place: &Range<usize>) -> &str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&Line, &str)> {
        self.lines.iter().map(|line| (line, self.piece(&line.value_at)))
    }

    /// The name of a line as it was written.
    pub(crate) fn written_name(&self, line: &Line) -> &str {
        self.piece(&line.name_at)
    }

    /// The value of the first line of this name.
    pub(crate) fn value(&self, name: Name) -> Option<&str> {
        self.values(name).next()
    }

    pub(crate) fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.lines().filter(move |(line, _)| line.name == name).map(|(_, value)| value)
    }

    /// The method, when the start line begins like a request.
    pub(crate) fn request_method(&self) -> Option<Method> {
        let (word, _) = self.start().split_once(' ')?;
        scan::is_token(word).then(|| Method::from(word))
    }

    /// What Content-Length says: one rule for datagrams and streams. Two that agree are one (RFC 4475 §3.3.9
    /// shows why two that differ are an attack).
    pub(crate) fn content_length(&self) -> Result<Option<usize>, Fault> {
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

    /// Replaces the first element of the first line of `name`, and moves what stands behind it.
    pub(crate) fn replace_first_element(&mut self, name: Name, element: &str) {
        let Some(index) = self.lines.iter().position(|line| line.name == name) else { return };
        let Some(place) = self.lines.get(index).map(|line| line.value_at.clone()) else { return };
        let old_len = scan::Elements::of(self.piece(&place)).next().map_or(0, str::len);
        let leading = self.piece(&place).len() - self.piece(&place).trim_start_matches([' ', '\t']).len();
        let start = place.start + leading;
        self.text.replace_range(start..start + old_len, element);
        let moved = |at: usize| (at + element.len()).saturating_sub(old_len);
        for line in self.lines.iter_mut().skip(index + 1) {
            line.name_at = moved(line.name_at.start)..moved(line.name_at.end);
            line.value_at = moved(line.value_at.start)..moved(line.value_at.end);
        }
        if let Some(line) = self.lines.get_mut(index) {
            line.value_at.end = moved(line.value_at.end);
        }
    }
}

impl Line {
    /// `name HCOLON value`; white space may stand before the colon, and must not hide the header there.
    fn read(piece: &str, start: usize) -> Option<Line> {
        let colon = piece.find(':')?;
        let (name, value) = piece.split_at_checked(colon)?;
        let name = name.trim_end_matches([' ', '\t']);
        if !scan::is_token(name) {
            return None;
        }
        let value = value.strip_prefix(':')?;
        let trimmed = scan::trim(value);
        let leading = value.len() - value.trim_start_matches([' ', '\t']).len();
        let value_start = start + colon + 1 + if trimmed.is_empty() { 0 } else { leading };
        Some(Line {
            name: Name::parse(name),
            name_at: start..start + name.len(),
            value_at: value_start..value_start + trimmed.len(),
        })
    }
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
    let suspicious = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    let mut bytes = text.into_bytes();
    let mut at = 0;
    let mut lines = 0;
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| suspicious(*byte))) {
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
