//! The fields of a challenge or of credentials: `Digest name=value, name="value"` (RFC 3261 §25.1), and what a
//! request proves itself with.

use super::{Algorithm, Malformed};
use crate::scan::{self, Cursor, Elements};
use crate::{HostRef, Message, Name, UriRef};
use smallvec::SmallVec;
use std::borrow::Cow;

/// More fields than any scheme has.
const FIELDS_MAX: usize = 32;

/// As many as phones write.
const FIELDS_USUAL: usize = 11;

/// Bytes of one header line with credentials.
const LINE_BYTES_MAX: usize = 2_048;

/// Bytes of a user's name, and of a client's nonce.
const TEXT_BYTES_MAX: usize = 256;

/// Header lines with credentials a request may have: one for each realm on its way.
const LINES_MAX: usize = 8;

/// The fields of one header line, quotes off. A field that is there twice spoils all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields<'a>(SmallVec<[(&'a str, Cow<'a, str>); FIELDS_USUAL]>);

impl<'a> Fields<'a> {
    /// `None` when it is not the Digest scheme; an error when it is, and broken.
    pub(super) fn parse(line: &'a str) -> Option<Result<Fields<'a>, Malformed>> {
        let mut cursor = Cursor::new(scan::trim(line));
        let scheme = cursor.token()?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        if line.len() > LINE_BYTES_MAX {
            return Some(Err(Malformed));
        }
        Some(Fields::read(cursor.blank().rest).ok_or(Malformed))
    }

    fn read(text: &'a str) -> Option<Fields<'a>> {
        let mut fields = Fields(SmallVec::new());
        for element in Elements::of(text) {
            let mut cursor = Cursor::new(element);
            let name = cursor.token()?;
            let value = cursor.mark('=').then_some(cursor.rest)?;
            let fits = if value.starts_with('"') {
                cursor.quoted().is_some() && cursor.blank().is_done()
            } else {
                !value.is_empty() && !value.bytes().any(|byte| scan::is_blank(byte) || byte == b'"')
            };
            if !fits || fields.0.len() == FIELDS_MAX || fields.value(name).is_some() {
                return None;
            }
            fields.0.push((name, scan::unquote(scan::trim(value))));
        }
        Some(fields)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.field(name).map(Cow::as_ref)
    }

    fn field(&self, name: &str) -> Option<&Cow<'a, str>> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What a request proves itself with, for one realm, where it stands in the request.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    pub(super) user: Cow<'a, str>,
    pub(super) nonce: Cow<'a, str>,
    pub(super) uri: Cow<'a, str>,
    /// In lower case.
    pub(super) response: Cow<'a, str>,
    pub(super) cnonce: Cow<'a, str>,
    pub(super) nc: Cow<'a, str>,
    pub(super) count: u32,
    pub(super) algorithm: Algorithm,
}

impl<'a> Credentials<'a> {
    /// Who the sender says it is; nothing is proven yet.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The first readable credentials for `realm`; `None` for what deserves a new challenge.
    pub(super) fn of(
        request: &'a Message,
        header: Name,
        realm: &str,
    ) -> Result<Option<Credentials<'a>>, Malformed> {
        if request.headers(header).nth(LINES_MAX).is_some() {
            return Err(Malformed);
        }
        for line in request.headers(header) {
            let Some(fields) = Fields::parse(line) else { continue };
            let fields = fields?;
            if fields.value("realm") == Some(realm) {
                return Credentials::read(&fields, request);
            }
        }
        Ok(None)
    }

    /// `Ok(None)` for another algorithm than we know, no `qop=auth`, and a hashed user name, which we never ask for
    /// (RFC 7616 §3.4.4).
    fn read(fields: &Fields<'a>, request: &Message) -> Result<Option<Credentials<'a>>, Malformed> {
        let Some(algorithm) = Algorithm::named(fields.value("algorithm")) else { return Ok(None) };
        let authenticates = fields.value("qop").is_some_and(|qop| qop.eq_ignore_ascii_case("auth"));
        let hashed = fields.value("userhash").is_some_and(|flag| !flag.eq_ignore_ascii_case("false"));
        if !authenticates || hashed {
            return Ok(None);
        }
        let text = |name: &str| {
            let value = fields.field(name).filter(|value| value.len() <= TEXT_BYTES_MAX);
            value.cloned().ok_or(Malformed)
        };
        let uri = fields.field("uri").ok_or(Malformed)?.clone();
        let covered = request.request_uri_ref().is_some_and(|asked| covers(&uri, asked));
        let nc = text("nc")?;
        let hexadecimal = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
        let count = u32::from_str_radix(&nc, 16).ok().filter(|_| hexadecimal && covered).ok_or(Malformed)?;
        Ok(Some(Credentials {
            user: text("username")?,
            nonce: text("nonce")?,
            uri,
            response: small_letters(text("response")?),
            cnonce: text("cnonce")?,
            nc,
            count,
            algorithm,
        }))
    }
}

fn small_letters(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => text,
    }
}

/// What proves a user is not printed.
impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.user)
    }
}

/// True when the URI under the digest is the Request-URI (RFC 7616 §3.4.6): the same resource, so that credentials
/// cannot be moved to another number. What no resource of ours depends on may differ, because phones write it in
/// one of the two places only: the default port, and parameters that one side lacks.
///
/// A test tool (SIPp) signs just the address it sends to. That is taken for that address, and only when it is one
/// and not a name: phones sign names, and what they sign for their registrar must open nothing else.
fn covers(signed: &str, asked: UriRef<'_>) -> bool {
    let Some(signed) = UriRef::parse(signed) else { return false };
    if signed.scheme != asked.scheme || !signed.host.same_as(asked.host) || signed.headers.is_some() {
        return false;
    }
    if signed.user_raw.is_none() && signed.params.is_empty() && matches!(signed.host, HostRef::Address(_)) {
        return true;
    }
    let port = |uri: UriRef<'_>| uri.port.or_else(|| uri.scheme.default_port());
    signed.user() == asked.user()
        && signed.password == asked.password
        && port(signed) == port(asked)
        && signed.params.agree_where_both(asked.params)
}
