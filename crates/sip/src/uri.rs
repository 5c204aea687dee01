//! URIs: sip, sips, tel, and any other scheme as a value (RFC 3261 §19.1, RFC 3966).
//!
//! Parts are kept as written, escapes included, so that printing gives back what was read. [`Uri::user`] decodes.

use crate::host::{Host, HostRef};
use crate::params::{Params, ParamsRef};
use crate::{Fault, scan};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What stands before the first colon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// RFC 3261
    Sip,
    /// RFC 3261, over TLS at each hop
    Sips,
    /// RFC 3966; the number is the URI's user
    Tel,
    /// Whatever else; what follows the colon is the URI's user.
    Other(String),
}

impl Scheme {
    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(text) => text,
        }
    }
}

/// A scheme where it stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemeRef<'a> {
    /// RFC 3261
    Sip,
    /// RFC 3261, over TLS at each hop
    Sips,
    /// RFC 3966
    Tel,
    /// Whatever else.
    Other(&'a str),
}

impl<'a> SchemeRef<'a> {
    fn parse(text: &'a str) -> Option<SchemeRef<'a>> {
        let known = [("sip", SchemeRef::Sip), ("sips", SchemeRef::Sips), ("tel", SchemeRef::Tel)];
        if let Some((_, scheme)) = known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(scheme);
        }
        let mut bytes = text.bytes();
        let starts = bytes.next()?.is_ascii_alphabetic();
        let fits =
            starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        fits.then_some(SchemeRef::Other(text))
    }

    /// The port a URI of this scheme means when it names none (RFC 3261 §19.1.2).
    pub(crate) fn default_port(self) -> Option<u16> {
        match self {
            SchemeRef::Sip => Some(5060),
            SchemeRef::Sips => Some(5061),
            SchemeRef::Tel | SchemeRef::Other(_) => None,
        }
    }

    fn to_scheme(self) -> Scheme {
        match self {
            SchemeRef::Sip => Scheme::Sip,
            SchemeRef::Sips => Scheme::Sips,
            SchemeRef::Tel => Scheme::Tel,
            SchemeRef::Other(text) => Scheme::Other(text.to_owned()),
        }
    }
}

/// A URI where it stands in a message; the parts of [`Uri`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UriRef<'a> {
    /// sip, sips, tel, other.
    pub scheme: SchemeRef<'a>,
    /// The user part with its escapes.
    pub user_raw: Option<&'a str>,
    /// Carried, never used.
    pub password: Option<&'a str>,
    /// The host; empty for tel and unknown schemes.
    pub host: HostRef<'a>,
    /// The port, if written.
    pub port: Option<u16>,
    /// `;transport=tcp;lr` and the like.
    pub params: ParamsRef<'a>,
    /// What follows `?`, as written.
    pub headers: Option<&'a str>,
}

impl<'a> UriRef<'a> {
    /// What a text that is no URI is read as, where one was checked before.
    pub(crate) fn none() -> UriRef<'a> {
        UriRef::of(SchemeRef::Sip, None)
    }

    fn of(scheme: SchemeRef<'a>, user_raw: Option<&'a str>) -> UriRef<'a> {
        let (host, params) = (HostRef::Name(""), ParamsRef::default());
        UriRef { scheme, user_raw, password: None, host, port: None, params, headers: None }
    }

    /// Reads a whole text as a URI.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<UriRef<'a>> {
        let (scheme, rest) = cut(text, b':')?;
        match SchemeRef::parse(scheme)? {
            scheme @ (SchemeRef::Sip | SchemeRef::Sips) => read_sip(scheme, rest),
            SchemeRef::Tel => read_tel(rest),
            scheme @ SchemeRef::Other(_) => {
                let fits = |byte: u8| byte > b' ' && !matches!(byte, b'<' | b'>' | b'"' | 0x7f);
                (!rest.is_empty() && rest.bytes().all(fits)).then(|| UriRef::of(scheme, Some(rest)))
            }
        }
    }

    /// True for sip and sips.
    #[must_use]
    pub fn is_sip(self) -> bool {
        matches!(self.scheme, SchemeRef::Sip | SchemeRef::Sips)
    }

    /// True when it is printed as it was written there: its scheme in small letters, its host no IPv6 reference, and no
    /// zeros before its port.
    pub(crate) fn is_plainly_written(self, raw: &str) -> bool {
        let scheme = match self.scheme {
            SchemeRef::Sip => raw.starts_with("sip:"),
            SchemeRef::Sips => raw.starts_with("sips:"),
            SchemeRef::Tel | SchemeRef::Other(_) => false,
        };
        let host = !matches!(self.host, HostRef::Address(IpAddr::V6(_)));
        scheme && host && (self.port.is_none() || !raw.contains(":0"))
    }

    /// The user, decoded; empty when there is none. For tel the number.
    #[must_use]
    pub fn user(self) -> Cow<'a, str> {
        decode(self.user_raw.unwrap_or_default())
    }

    /// Equality of RFC 3261 §19.1.4, as [`Uri::same_as`] has it.
    #[must_use]
    pub fn same_as(self, other: UriRef<'_>) -> bool {
        self.scheme == other.scheme
            && self.user() == other.user()
            && self.password == other.password
            && self.host.same_as(other.host)
            && self.port == other.port
            && params_agree(self.params, other.params)
            && params_agree(other.params, self.params)
            && self.headers == other.headers
    }

    /// For keeping.
    #[must_use]
    pub fn to_uri(self) -> Uri {
        Uri {
            scheme: self.scheme.to_scheme(),
            user_raw: self.user_raw.map(str::to_owned),
            password: self.password.map(str::to_owned),
            host: self.host.to_host(),
            port: self.port,
            params: self.params.to_params(),
            headers: self.headers.map(str::to_owned),
        }
    }
}

/// The text before and behind the first `mark`.
fn cut(text: &str, mark: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(mark, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A URI. For tel and unknown schemes the host is empty and `user_raw` holds the number or the opaque part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Uri {
    /// sip, sips, tel, other.
    pub scheme: Scheme,
    /// The user part with its escapes; [`Uri::user`] has it decoded.
    pub user_raw: Option<String>,
    /// Deprecated by RFC 3261 §19.1.1; carried, never used.
    pub password: Option<String>,
    /// The host; empty for tel and unknown schemes.
    pub host: Host,
    /// The port, if written.
    pub port: Option<u16>,
    /// `;transport=tcp;lr` and the like.
    pub params: Params,
    /// What follows `?`, as written.
    pub headers: Option<String>,
}

impl Uri {
    /// `sip:user@host`; the user is escaped as needed.
    #[must_use]
    pub fn sip(user: &str, host: impl Into<Host>) -> Uri {
        let user_raw = (!user.is_empty()).then(|| escape(user, USER_BYTES));
        Uri { user_raw, ..Uri::host_only(host.into()) }
    }

    /// `sip:host`
    #[must_use]
    pub fn host_only(host: Host) -> Uri {
        Uri {
            scheme: Scheme::Sip,
            user_raw: None,
            password: None,
            host,
            port: None,
            params: Params::new(),
            headers: None,
        }
    }

    /// The same with a port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Uri {
        self.port = Some(port);
        self
    }

    /// The same with a parameter.
    #[must_use]
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Uri {
        self.params.set(name, value);
        self
    }

    /// The same with a header for the request that is made of it: `?Replaces=…` (RFC 3261 §19.1.1).
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Uri {
        let pair = format!("{name}={}", escape(value, HEADER_BYTES));
        self.headers = Some(match self.headers.take() {
            Some(before) => format!("{before}&{pair}"),
            None => pair,
        });
        self
    }

    /// Reads a whole text as a URI.
    pub fn parse(text: &str) -> Result<Uri, Fault> {
        UriRef::parse(text).map(UriRef::to_uri).ok_or(Fault::Uri)
    }

    /// To look into.
    #[must_use]
    pub fn as_ref(&self) -> UriRef<'_> {
        UriRef {
            scheme: match &self.scheme {
                Scheme::Sip => SchemeRef::Sip,
                Scheme::Sips => SchemeRef::Sips,
                Scheme::Tel => SchemeRef::Tel,
                Scheme::Other(text) => SchemeRef::Other(text),
            },
            user_raw: self.user_raw.as_deref(),
            password: self.password.as_deref(),
            host: self.host.as_ref(),
            port: self.port,
            params: self.params.as_ref(),
            headers: self.headers.as_deref(),
        }
    }

    /// True for sip and sips.
    #[must_use]
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user, decoded; empty when there is none. For tel the number.
    #[must_use]
    pub fn user(&self) -> Cow<'_, str> {
        decode(self.user_raw.as_deref().unwrap_or_default())
    }

    /// True when the phone keeps its connection for this address: `;ob` (RFC 5626 §4.2).
    #[must_use]
    pub fn is_outbound(&self) -> bool {
        self.params.has("ob")
    }

    /// Equality of RFC 3261 §19.1.4: escapes are looked through, host and parameters compared without case,
    /// parameters that only one side has are ignored but for user, ttl, method, maddr and transport.
    #[must_use]
    pub fn same_as(&self, other: &Uri) -> bool {
        self.as_ref().same_as(other.as_ref())
    }

    /// The URI without the parts a Request-URI may not have: headers and `method` (RFC 3261 §19.1.1 table 1).
    #[must_use]
    pub fn for_request_line(&self) -> Uri {
        let mut uri = self.clone();
        uri.headers = None;
        uri.params.remove("method");
        uri
    }

    /// The same, to be written: a copy is made only when there is something to leave out.
    pub(crate) fn in_request_line(&self) -> Cow<'_, Uri> {
        if self.headers.is_none() && !self.params.has("method") {
            Cow::Borrowed(self)
        } else {
            Cow::Owned(self.for_request_line())
        }
    }

    /// A header carried in the URI (`?Replaces=…`), decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let pairs = self.headers.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| decode(value)).next()
    }
}

fn read_sip<'a>(scheme: SchemeRef<'a>, rest: &'a str) -> Option<UriRef<'a>> {
    let (userinfo, rest) = match cut(rest, b'@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, rest),
    };
    let (rest, headers) = match cut(rest, b'?') {
        Some((rest, headers)) => (rest, Some(headers)),
        None => (rest, None),
    };
    let params_at = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
    let (hostport, params) = rest.split_at_checked(params_at)?;
    let params = ParamsRef::of_uri(params)?;
    let (host, port) = host_port(hostport)?;
    let (user_raw, password) = match userinfo {
        Some(userinfo) => read_userinfo(userinfo)?,
        None => (None, None),
    };
    if headers.is_some_and(|text| {
        text.is_empty() || !well_escaped(text, |byte| b"[]/?:+$-_.!~*'()=&".contains(&byte))
    }) {
        return None;
    }
    Some(UriRef { scheme, user_raw, password, host, port, params, headers })
}

fn read_userinfo(text: &str) -> Option<(Option<&str>, Option<&str>)> {
    let (user, password) = match cut(text, b':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    // '#' is no user character, but phones send it unescaped in feature codes.
    if user.is_empty() || !well_escaped(user, |byte| b"-_.!~*'()&=+$,;?/#".contains(&byte)) {
        return None;
    }
    if password.is_some_and(|text| !well_escaped(text, |byte| b"-_.!~*'()&=+$,".contains(&byte))) {
        return None;
    }
    Some((Some(user), password))
}

fn read_tel(rest: &str) -> Option<UriRef<'_>> {
    let params_at = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
    let (number, params) = rest.split_at_checked(params_at)?;
    let params = ParamsRef::of_uri(params)?;
    let fits = !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_hexdigit() || b"+-.()*#".contains(&byte));
    fits.then(|| UriRef { params, ..UriRef::of(SchemeRef::Tel, Some(number)) })
}

/// `host [":" port]` without white space.
fn host_port(text: &str) -> Option<(HostRef<'_>, Option<u16>)> {
    let host_end =
        if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at_checked(host_end)?;
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(scan::number::<u16>(digits)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((HostRef::parse(host)?, port))
}

fn params_agree(one: ParamsRef<'_>, two: ParamsRef<'_>) -> bool {
    const BOTH_OR_NONE: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    one.agree_where_both(two)
        && one.iter().all(|(name, _)| {
            two.has(name) || !BOTH_OR_NONE.iter().any(|known| known.eq_ignore_ascii_case(name))
        })
}

/// Every byte alphanumeric, one of `also`, or a percent sign with two hexadecimal digits.
fn well_escaped(text: &str, also: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|byte| byte.is_ascii_hexdigit())),
            byte => byte.is_ascii_alphanumeric() || also(byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// Looks through escapes; a text whose escapes do not make UTF-8 stays as written.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escaped =
            (byte == b'%').then(|| Some((hex(ahead.next()?)? << 4) | hex(ahead.next()?)?)).flatten();
        if escaped.is_some() {
            bytes = ahead;
        }
        plain.push(escaped.unwrap_or(byte));
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What a user part may hold unescaped besides letters and digits (RFC 3261 §25.1 `user`).
const USER_BYTES: &[u8] = b"-_.!~*'()&=+$,;?/";

/// What the value of a URI's header may hold unescaped (RFC 3261 §25.1 `hvalue`).
const HEADER_BYTES: &[u8] = b"[]/?:+$-_.!~*'()";

/// Escapes all but letters, digits and `also`.
fn escape(text: &str, also: &[u8]) -> String {
    let mut raw = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || also.contains(&byte) {
            raw.push(char::from(byte));
        } else {
            raw.push_str(&format!("%{byte:02X}"));
        }
    }
    raw
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if let Some(user) = &self.user_raw {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            if self.is_sip() {
                f.write_str("@")?;
            }
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Uri {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Uri, Fault> {
        Uri::parse(text)
    }
}

impl TryFrom<String> for Uri {
    type Error = Fault;
    fn try_from(text: String) -> Result<Uri, Fault> {
        Uri::parse(&text)
    }
}

impl Serialize for Uri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
