//! Addresses as From, To, Contact, Route and their kin carry them (RFC 3261 §20.10, §25.1 `name-addr`).

use crate::params::Params;
use crate::scan::{self, Cursor};
use crate::{Fault, Uri};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A display name, a URI, and the parameters of the header (not of the URI).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameAddr {
    /// Without quotes.
    pub display: Option<String>,
    /// The address.
    pub uri: Uri,
    /// Parameters of the header: tag, expires, q, +sip.instance.
    pub params: Params,
}

impl NameAddr {
    /// `<uri>`
    #[must_use]
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr { display: None, uri, params: Params::new() }
    }

    /// The same with a display name; an empty one is none.
    #[must_use]
    pub fn with_display(mut self, display: &str) -> NameAddr {
        self.display = (!display.is_empty()).then(|| display.to_owned());
        self
    }

    /// The same with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> NameAddr {
        self.params.set("tag", Some(tag));
        self
    }

    /// The same without its tag.
    #[must_use]
    pub fn without_tag(mut self) -> NameAddr {
        self.params.remove("tag");
        self
    }

    /// The tag of a From or To.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.raw("tag")
    }

    /// The name of the device: `+sip.instance` of a Contact, without quotes (RFC 5626 §4.1).
    #[must_use]
    pub fn instance(&self) -> Option<Cow<'_, str>> {
        self.params.value("+sip.instance")
    }

    /// Which of several connections of one device: `reg-id` of a Contact, 1 and above (RFC 5626 §4.2).
    #[must_use]
    pub fn reg_id(&self) -> Option<u32> {
        scan::number(self.params.raw("reg-id")?).filter(|id| *id > 0)
    }

    /// Reads one whole header element.
    pub fn parse(text: &str) -> Result<NameAddr, Fault> {
        NameAddr::read(scan::trim(text)).ok_or(Fault::Uri)
    }

    fn read(text: &str) -> Option<NameAddr> {
        let mut cursor = Cursor::new(text);
        let display = read_display(&mut cursor)?;
        if cursor.mark('<') {
            let (uri, rest) = cursor.rest.split_once('>')?;
            cursor.rest = rest;
            let params = Params::of_header(&mut cursor)?;
            let uri = Uri::parse(uri).ok()?;
            return cursor.is_done().then_some(NameAddr { display, uri, params });
        }
        // Without brackets parameters belong to the header, and the URI may hold no '?' and no ',' (RFC 3261 §20.10).
        let uri = cursor.take_while(|byte| !b"; \t?,<>\"".contains(&byte))?;
        let params = Params::of_header(&mut cursor)?;
        let fits = display.is_none() && cursor.is_done();
        fits.then_some(NameAddr { display: None, uri: Uri::parse(uri).ok()?, params })
    }
}

/// A quoted string, or tokens, before `<`; leaves the cursor at the start when there is no `<`.
fn read_display(cursor: &mut Cursor<'_>) -> Option<Option<String>> {
    cursor.blank();
    if cursor.rest.starts_with('"') {
        let quoted = cursor.quoted()?;
        cursor.blank();
        return cursor.rest.starts_with('<').then(|| Some(scan::unquote(quoted).into_owned()));
    }
    let Some((before, _)) = cursor.rest.split_once('<') else { return Some(None) };
    // RFC 3261 wants tokens here; phones put more. Taken is all that cannot be mistaken for something else.
    if before.bytes().any(|byte| b"\";,:@>".contains(&byte)) {
        return None;
    }
    cursor.rest = cursor.rest.split_at_checked(before.len())?.1;
    let display = scan::trim(before);
    Some((!display.is_empty()).then(|| display.to_owned()))
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", scan::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

impl FromStr for NameAddr {
    type Err = Fault;
    fn from_str(text: &str) -> Result<NameAddr, Fault> {
        NameAddr::parse(text)
    }
}

impl TryFrom<String> for NameAddr {
    type Error = Fault;
    fn try_from(text: String) -> Result<NameAddr, Fault> {
        NameAddr::parse(&text)
    }
}

impl From<NameAddr> for String {
    fn from(address: NameAddr) -> String {
        address.to_string()
    }
}

/// What the Contact headers of a message say together (RFC 3261 §10.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contacts {
    /// No Contact header.
    None,
    /// `Contact: *`
    Star,
    /// One or more addresses.
    List(Vec<NameAddr>),
}
