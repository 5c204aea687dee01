//! Parameters: `;name=value` after a URI, an address, a Via (RFC 3261 §25.1 `generic-param`, `uri-parameter`).
//!
//! Kept as the text they are written in: reading one parameter of three costs no copy of the other two.

use crate::Fault;
use crate::scan::{self, Cursor};
use crate::uri::decode;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// More parameters than anybody writes; a longer list would be a way to make us count.
const PARAMS_MAX: usize = 64;

/// Parameters where they stand in a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParamsRef<'a>(&'a str);

impl<'a> ParamsRef<'a> {
    /// Parameters of a header: white space may stand around `;` and `=`, values may be quoted.
    pub(crate) fn of_header(cursor: &mut Cursor<'a>) -> Option<ParamsRef<'a>> {
        let start = cursor.rest;
        let mut count = 0;
        while cursor.mark(';') {
            let before = taken(start, cursor.rest);
            let name = cursor.token()?;
            if cursor.mark('=') {
                header_value(cursor)?;
            }
            once(before, name, &mut count)?;
        }
        let params = taken(start, cursor.rest);
        cursor.blank();
        Some(ParamsRef(params))
    }

    /// Parameters of a URI, their first semicolon included: no white space, no quotes.
    pub(crate) fn of_uri(text: &'a str) -> Option<ParamsRef<'a>> {
        let mut count = 0;
        let mut rest = text;
        while let Some(here) = rest.strip_prefix(';') {
            let end = memchr::memchr(b';', here.as_bytes()).unwrap_or(here.len());
            let (part, behind) = here.split_at_checked(end)?;
            let (name, value) = halves(part);
            let fits = |text: &str| !text.is_empty() && text.bytes().all(is_uri_param_byte);
            if part.bytes().any(scan::is_blank) || !fits(name) || value.is_some_and(|value| !fits(value)) {
                return None;
            }
            once(taken(text, rest), name, &mut count)?;
            rest = behind;
        }
        rest.is_empty().then_some(ParamsRef(text))
    }

    /// True when no parameter that both have differs (RFC 3261 §19.1.4).
    pub(crate) fn agree_where_both(self, other: ParamsRef<'_>) -> bool {
        self.iter().filter(|(name, _)| other.has(name)).all(|(name, value)| match (value, other.raw(name)) {
            (Some(one), Some(two)) => decode(one).eq_ignore_ascii_case(&decode(two)),
            (one, two) => one == two,
        })
    }

    /// True when the parameter is there, with or without a value.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The value, without its quotes if it has any.
    #[must_use]
    pub fn value(self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).map(scan::unquote)
    }

    /// The value as written.
    #[must_use]
    pub fn raw(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1
    }

    /// As it stands.
    pub(crate) fn text(self) -> &'a str {
        self.0
    }

    /// All of them in order; values as written.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        ParamsIter(self.0)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// For keeping: without the white space between them.
    #[must_use]
    pub fn to_params(self) -> Params {
        if !self.0.bytes().any(scan::is_blank) {
            return Params(self.0.to_owned());
        }
        let mut text = String::with_capacity(self.0.len());
        for (name, value) in self.iter() {
            push(&mut text, name, value);
        }
        Params(text)
    }
}

/// A parameter that is there twice is a trap between two parsers: refused (RFC 3261 §7.3.1).
fn once(before: &str, name: &str, count: &mut usize) -> Option<()> {
    *count += 1;
    (*count <= PARAMS_MAX && !ParamsRef(before).has(name)).then_some(())
}

/// What of `whole` is no longer in `rest`, its end.
fn taken<'a>(whole: &'a str, rest: &str) -> &'a str {
    whole.get(..whole.len() - rest.len()).unwrap_or_default()
}

/// Walks a list that was checked.
struct ParamsIter<'a>(&'a str);

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        let text = scan::trim_start(self.0).strip_prefix(';')?;
        let (one, rest) = text.split_at_checked(scan::end_outside_quotes(text, b';'))?;
        self.0 = rest;
        Some(halves(one))
    }
}

fn halves(one: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'=', one.as_bytes()).and_then(|at| one.split_at_checked(at)) {
        Some((name, value)) => (scan::trim(name), Some(scan::trim(value.get(1..).unwrap_or_default()))),
        None => (scan::trim(one), None),
    }
}

fn push(text: &mut String, name: &str, value: Option<&str>) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}

/// An ordered list of parameters; names are compared without case, values are kept as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Params(String);

impl Params {
    /// None at all.
    #[must_use]
    pub fn new() -> Params {
        Params::default()
    }

    /// Parameters of a header, for keeping.
    pub(crate) fn of_header(cursor: &mut Cursor<'_>) -> Option<Params> {
        ParamsRef::of_header(cursor).map(ParamsRef::to_params)
    }

    /// To look into.
    #[must_use]
    pub fn as_ref(&self) -> ParamsRef<'_> {
        ParamsRef(&self.0)
    }

    /// True when the parameter is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.as_ref().has(name)
    }

    /// The value, without its quotes if it has any.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_ref().value(name)
    }

    /// The value as written.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.as_ref().raw(name)
    }

    /// Sets or adds a parameter; a value that is no token is quoted when it is set by [`Params::quoted`].
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(scan::one_line);
        if !self.has(name) {
            return push(&mut self.0, name, value.as_deref());
        }
        let mut text = String::with_capacity(self.0.len() + value.as_deref().map_or(0, str::len));
        for (known, old) in self.as_ref().iter() {
            let this = known.eq_ignore_ascii_case(name);
            push(&mut text, known, if this { value.as_deref() } else { old });
        }
        self.0 = text;
    }

    /// The same list with this parameter set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Params {
        self.set(name, Some(value));
        self
    }

    /// The same list with this parameter set to a quoted string (`+sip.instance`).
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Params {
        self.set(name, Some(&scan::quote(value)));
        self
    }

    /// Takes a parameter out.
    pub fn remove(&mut self, name: &str) {
        if !self.has(name) {
            return;
        }
        let mut text = String::with_capacity(self.0.len());
        for (known, value) in self.as_ref().iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name)) {
            push(&mut text, known, value);
        }
        self.0 = text;
    }

    /// All of them in order; values as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.as_ref().iter()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Params {
    type Error = Fault;
    fn try_from(text: String) -> Result<Params, Fault> {
        let mut cursor = Cursor::new(&text);
        let read = Params::of_header(&mut cursor).filter(|_| cursor.is_done());
        read.ok_or(Fault::HeaderLine)
    }
}

impl From<Params> for String {
    fn from(params: Params) -> String {
        params.0
    }
}

/// A token, a host (IPv6 with or without brackets) or a quoted string.
fn header_value<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    if cursor.rest.starts_with('"') {
        return cursor.quoted();
    }
    cursor.take_while(|byte| {
        byte > b' '
            && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>' | b'?' | b'=' | b'\\' | b'{' | b'}' | 0x7f)
    })
}

/// RFC 3261 §25.1 `paramchar`, escapes by their percent sign.
fn is_uri_param_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b'['
                | b']'
                | b'/'
                | b':'
                | b'&'
                | b'+'
                | b'$'
                | b'%'
        )
}
