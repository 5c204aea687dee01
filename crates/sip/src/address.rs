//! Addresses as From, To, Contact, Route and their kin carry them (RFC 3261 §20.10, §25.1 `name-addr`).

use crate::params::{Params, ParamsRef};
use crate::scan::{self, Cursor};
use crate::uri::UriRef;
use crate::{Fault, Uri};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An address where it stands in a message; the parts of [`NameAddr`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddrRef<'a> {
    /// As written, with its quotes if it has any.
    display_raw: Option<&'a str>,
    /// The address.
    pub uri: UriRef<'a>,
    /// The same as written.
    uri_raw: &'a str,
    /// Parameters of the header: tag, expires, q, +sip.instance.
    pub params: ParamsRef<'a>,
}

impl<'a> NameAddrRef<'a> {
    /// What a text that is no address is read as, where one was checked before.
    pub(crate) fn none() -> NameAddrRef<'a> {
        NameAddrRef { display_raw: None, uri: UriRef::none(), uri_raw: "", params: ParamsRef::default() }
    }

    /// Reads one whole header element.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<NameAddrRef<'a>> {
        let mut cursor = Cursor::new(scan::trim(text));
        let display_raw = read_display(&mut cursor)?;
        if cursor.mark('<') {
            let end = memchr::memchr(b'>', cursor.rest.as_bytes())?;
            let uri_raw = cursor.rest.get(..end)?;
            cursor.rest = cursor.rest.get(end + 1..)?;
            let params = ParamsRef::of_header(&mut cursor)?;
            let uri = UriRef::parse(uri_raw)?;
            return cursor.is_done().then_some(NameAddrRef { display_raw, uri, uri_raw, params });
        }
        // Without brackets parameters belong to the header, and the URI may hold no '?' and no ',' (RFC 3261 §20.10).
        let uri_raw = cursor.take_while(|byte| !b"; \t?,<>\"".contains(&byte))?;
        let params = ParamsRef::of_header(&mut cursor)?;
        let fits = display_raw.is_none() && cursor.is_done();
        fits.then_some(NameAddrRef { display_raw: None, uri: UriRef::parse(uri_raw)?, uri_raw, params })
    }

    /// The display name, without quotes.
    #[must_use]
    pub fn display(self) -> Option<Cow<'a, str>> {
        self.display_raw.map(scan::unquote)
    }

    /// The name of the device, as [`NameAddr::instance`] has it.
    #[must_use]
    pub fn instance(self) -> Option<Cow<'a, str>> {
        self.params.value("+sip.instance")
    }

    /// The URI as [`Uri`] prints it: as written, but for what may be written in several ways.
    #[must_use]
    pub fn uri_text(self) -> Cow<'a, str> {
        if self.uri.is_plainly_written(self.uri_raw) {
            Cow::Borrowed(self.uri_raw)
        } else {
            Cow::Owned(self.uri.to_uri().to_string())
        }
    }

    /// The tag of a From or To.
    #[must_use]
    pub fn tag(self) -> Option<&'a str> {
        self.params.raw("tag")
    }

    /// For keeping.
    #[must_use]
    pub fn to_name_addr(self) -> NameAddr {
        NameAddr {
            display: self.display().map(Cow::into_owned),
            uri: self.uri.to_uri(),
            params: self.params.to_params(),
        }
    }
}

/// A quoted string, or tokens, before `<`; leaves the cursor at the start when there is no `<`.
fn read_display<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a str>> {
    cursor.blank();
    if cursor.rest.starts_with('"') {
        let quoted = cursor.quoted()?;
        cursor.blank();
        return cursor.rest.starts_with('<').then_some(Some(quoted));
    }
    let Some(before) = memchr::memchr(b'<', cursor.rest.as_bytes()) else { return Some(None) };
    let (before, rest) = cursor.rest.split_at_checked(before)?;
    // RFC 3261 wants tokens here; phones put more. Taken is all that cannot be mistaken for something else.
    if before.bytes().any(|byte| matches!(byte, b'"' | b';' | b',' | b':' | b'@' | b'>')) {
        return None;
    }
    cursor.rest = rest;
    let display = scan::trim(before);
    Some((!display.is_empty()).then_some(display))
}

/// A display name, a URI, and the parameters of the header (not of the URI).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
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
        NameAddrRef::parse(text).map(NameAddrRef::to_name_addr).ok_or(Fault::Uri)
    }
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

impl Serialize for NameAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
