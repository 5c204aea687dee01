//! Parameters: `;name=value` after a URI, an address, a Via (RFC 3261 §25.1 `generic-param`, `uri-parameter`).

use crate::scan::{self, Cursor};
use crate::uri::decode;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// An ordered list of parameters; names are compared without case, values are kept as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// None at all.
    #[must_use]
    pub fn new() -> Params {
        Params::default()
    }

    /// Parameters of a header: white space may stand around `;` and `=`, values may be quoted.
    pub(crate) fn of_header(cursor: &mut Cursor<'_>) -> Option<Params> {
        let mut params = Params::new();
        while cursor.mark(';') {
            let name = cursor.token()?;
            let value = if cursor.mark('=') { Some(header_value(cursor)?) } else { None };
            params.push_new(name, value)?;
        }
        cursor.blank();
        Some(params)
    }

    /// Parameters of a URI: no white space, no quotes.
    pub(crate) fn of_uri(text: &str) -> Option<Params> {
        let mut params = Params::new();
        for part in text.split(';') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            let fits = |text: &str| !text.is_empty() && text.bytes().all(is_uri_param_byte);
            if !fits(name) || value.is_some_and(|value| !fits(value)) {
                return None;
            }
            params.push_new(name, value)?;
        }
        Some(params)
    }

    /// A parameter that is there twice is a trap between two parsers: refused (RFC 3261 §7.3.1).
    fn push_new(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        if self.has(name) {
            return None;
        }
        self.0.push((name.to_owned(), value.map(str::to_owned)));
        Some(())
    }

    /// True when no parameter that both have differs (RFC 3261 §19.1.4).
    pub(crate) fn agree_where_both(&self, other: &Params) -> bool {
        self.iter().filter(|(name, _)| other.has(name)).all(|(name, value)| match (value, other.raw(name)) {
            (Some(one), Some(two)) => decode(one).eq_ignore_ascii_case(&decode(two)),
            (one, two) => one == two,
        })
    }

    /// True when the parameter is there, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The value, without its quotes if it has any.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw(name).map(scan::unquote)
    }

    /// The value as written.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        value.as_deref()
    }

    /// Sets or adds a parameter; a value that is no token is quoted when it is printed by [`Params::quoted`].
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(|text| scan::one_line(text).into_owned());
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
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
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// All of them in order; values as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// A token, a host (IPv6 with or without brackets) or a quoted string.
fn header_value<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    if cursor.rest.starts_with('"') {
        return cursor.quoted();
    }
    cursor.take_while(|byte| byte > b' ' && !b";,\"<>?=\\{}\x7f".contains(&byte))
}

/// RFC 3261 §25.1 `paramchar`, escapes by their percent sign.
fn is_uri_param_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$%".contains(&byte)
}
