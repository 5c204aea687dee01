//! The lexical ground of RFC 3261 §25: tokens, quoted strings, white space, comma lists.
//!
//! Works on unfolded text: the head turns every fold into spaces first, so LWS is here just SP and HTAB.

use std::borrow::Cow;
use std::fmt;

/// RFC 3261 §25.1 `token`: one bit for each of the 128 letters.
const TOKEN: u128 = bits(b"-.!%*_+`'~") | bits(b"0123456789") | bits(LETTERS) | bits(CAPITALS);
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";

const fn bits(mut letters: &[u8]) -> u128 {
    let mut set = 0;
    while let [letter, rest @ ..] = letters {
        set |= 1 << *letter;
        letters = rest;
    }
    set
}

/// RFC 3261 §25.1 `token`.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte < 128 && (TOKEN >> byte) & 1 == 1
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

#[inline]
pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[inline]
pub(crate) fn trim(text: &str) -> &str {
    let blanks = text.bytes().rev().take_while(|byte| is_blank(*byte)).count();
    trim_start(text.get(..text.len() - blanks).unwrap_or_default())
}

#[inline]
pub(crate) fn trim_start(text: &str) -> &str {
    let blanks = text.bytes().take_while(|byte| is_blank(*byte)).count();
    text.get(blanks..).unwrap_or_default()
}

/// A place in a text, moving forward.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// Skips white space.
    pub(crate) fn blank(&mut self) -> &mut Self {
        self.rest = trim_start(self.rest);
        self
    }

    /// Takes `wanted` with white space around it (SLASH, EQUAL, SEMI, COLON of the grammar).
    pub(crate) fn mark(&mut self, wanted: char) -> bool {
        match trim_start(self.rest).strip_prefix(wanted) {
            Some(rest) => {
                self.rest = trim_start(rest);
                true
            }
            None => false,
        }
    }

    /// Takes bytes while `keep` holds; `None` when there is not one.
    pub(crate) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> Option<&'a str> {
        let end = self.rest.bytes().position(|byte| !keep(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }

    pub(crate) fn token(&mut self) -> Option<&'a str> {
        self.take_while(is_token_byte)
    }

    /// Takes a quoted string, quotes included.
    pub(crate) fn quoted(&mut self) -> Option<&'a str> {
        let end = quoted_end(self.rest)?;
        let (taken, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Where the quoted string at the start of `text` ends (after its closing quote).
fn quoted_end(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'"' {
        return None;
    }
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next()?;
            }
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The content of a quoted string; text without quotes is returned as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    Cow::Owned(plain)
}

/// A text as a quoted string; what a head may not hold becomes a space.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        if self.0.bytes().any(|byte| matches!(byte, b'"' | b'\\') || byte.is_ascii_control()) {
            for letter in self.0.chars() {
                match letter {
                    '"' | '\\' => write!(f, "\\{letter}")?,
                    letter if letter.is_ascii_control() => f.write_str(" ")?,
                    letter => write!(f, "{letter}")?,
                }
            }
        } else {
            f.write_str(self.0)?;
        }
        f.write_str("\"")
    }
}

/// Writes `text` as a quoted string.
pub(crate) fn quote(text: &str) -> String {
    Quoted(text).to_string()
}

/// Splits a header value at its commas, outside quotes and angle brackets. Elements are trimmed; empty ones are
/// kept, so that who parses them refuses them.
#[derive(Debug, Clone)]
pub(crate) struct Elements<'a> {
    rest: Option<&'a str>,
}

impl<'a> Elements<'a> {
    pub(crate) fn of(text: &'a str) -> Elements<'a> {
        Elements { rest: Some(text) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let end = element_end(text);
        let (element, rest) = text.split_at_checked(end)?;
        self.rest = rest.strip_prefix(',');
        Some(trim(element))
    }
}

fn element_end(text: &str) -> usize {
    if memchr::memchr(b',', text.as_bytes()).is_none() {
        return text.len();
    }
    let (mut in_quotes, mut in_brackets, mut escaped) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            b'<' => in_brackets = true,
            b'>' => in_brackets = false,
            b',' if !in_brackets => return at,
            _ => {}
        }
    }
    text.len()
}

/// Where the first `wanted` outside quotes stands, or the end.
pub(crate) fn end_outside_quotes(text: &str, wanted: u8) -> usize {
    let end = memchr::memchr(wanted, text.as_bytes()).unwrap_or(text.len());
    if memchr::memchr(b'"', text.get(..end).unwrap_or_default().as_bytes()).is_none() {
        return end;
    }
    let (mut in_quotes, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_quotes => escaped = true,
            b'"' => in_quotes = !in_quotes,
            byte if byte == wanted && !in_quotes => return at,
            _ => {}
        }
    }
    text.len()
}

/// A decimal number without sign; `None` when it is none or does not fit.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// What no line of a head may hold.
#[inline]
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// How many such bytes there are.
pub(crate) fn controls(bytes: &[u8]) -> usize {
    // In pieces whose count fits a byte, so that sixteen bytes are looked at together.
    let count =
        |piece: &[u8]| piece.iter().fold(0_u8, |sum, byte| sum.wrapping_add(u8::from(is_control(*byte))));
    bytes.chunks(128).map(|piece| usize::from(count(piece))).sum()
}

/// Makes a value fit for a head: one line, no control characters.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if controls(text.as_bytes()) == 0 {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(is_control_letter, " "))
}

fn is_control_letter(letter: char) -> bool {
    letter.is_ascii_control() && letter != '\t'
}

/// Writes values into a head, as [`one_line`] makes them.
pub(crate) struct OneLine<'a>(pub(crate) &'a mut String);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(&one_line(text));
        Ok(())
    }
}
