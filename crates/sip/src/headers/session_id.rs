//! Session-ID: one name for a call over all its legs (RFC 7989 §5).

use super::HeaderValue;
use crate::Name;
use crate::params::Params;
use crate::scan::{self, Cursor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The halves of both ends: 32 lower-case hexadecimal digits each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionId {
    /// Of who sends the message.
    pub local: String,
    /// Of its peer; `None` in a header of RFC 7329, which had no such half.
    pub remote: Option<String>,
}

impl SessionId {
    /// The half of an end that has none yet (RFC 7989 §5).
    pub const NIL: &'static str = "00000000000000000000000000000000";

    /// Both halves.
    #[must_use]
    pub fn new(local: &str, remote: &str) -> SessionId {
        SessionId { local: local.to_owned(), remote: Some(remote.to_owned()) }
    }
}

impl HeaderValue for SessionId {
    const NAME: Name = Name::SessionId;

    fn read(text: &str) -> Option<SessionId> {
        let mut cursor = Cursor::new(scan::trim(text));
        let local = half(cursor.token()?)?;
        let params = Params::of_header(&mut cursor).filter(|_| cursor.is_done())?;
        let remote = match params.raw("remote") {
            Some(text) => Some(half(text)?),
            None => None,
        };
        Some(SessionId { local, remote })
    }
}

/// Upper case is read as well: RFC 7989 §5 forbids sending it only.
fn half(text: &str) -> Option<String> {
    let fits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        match &self.remote {
            Some(remote) => write!(f, ";remote={remote}"),
            None => Ok(()),
        }
    }
}
