//! The lexical ground of RFC 3261 §25: tokens, quoted strings, white space, comma lists.
//!
//! Works on unfolded text: the head turns every fold into spaces first, so LWS is here just SP and HTAB.

use std::borrow::Cow;

/// RFC 3261 §25.1 `token`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
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
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        self
    }

    /// Takes `wanted` with white space around it (SLASH, EQUAL, SEMI, COLON of the grammar).
    pub(crate) fn mark(&mut self, wanted: char) -> bool {
        match self.rest.trim_start_matches([' ', '\t']).strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest.trim_start_matches([' ', '\t']);
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

/// Writes `text` as a quoted string; what a head may not hold becomes a space.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_ascii_control() => quoted.push(' '),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
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

/// A decimal number without sign; `None` when it is none or does not fit.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Makes a value fit for a head: one line, no control characters.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let forbidden = |letter: char| letter.is_ascii_control() && letter != '\t';
    if text.contains(forbidden) { Cow::Owned(text.replace(forbidden, " ")) } else { Cow::Borrowed(text) }
}
