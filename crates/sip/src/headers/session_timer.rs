//! Session-Expires and Min-SE: how long a session lives without a word, and who says it (RFC 4028 §4, §5).

use super::HeaderValue;
use crate::Name;
use crate::params::Params;
use crate::scan::{self, Cursor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The least session interval there may be, in seconds (RFC 4028 §4).
pub const SESSION_EXPIRES_LEAST_S: u32 = 90;

/// Who refreshes: named by who sent the request that the header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answers it.
    Uas,
}

impl Refresher {
    /// As the header names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        }
    }
}

/// `Session-Expires: 1800;refresher=uac`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionExpires {
    /// The session interval, in seconds.
    pub interval_s: u32,
    /// Who refreshes; a request may leave it to the answer.
    pub refresher: Option<Refresher>,
}

impl HeaderValue for SessionExpires {
    const NAME: Name = Name::SessionExpires;

    fn read(text: &str) -> Option<SessionExpires> {
        let (interval_s, params) = seconds(text)?;
        let refresher = match params.raw("refresher") {
            None if params.has("refresher") => return None,
            None => None,
            Some(word) if word.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(word) if word.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return None,
        };
        Some(SessionExpires { interval_s, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval_s)?;
        match self.refresher {
            Some(refresher) => write!(f, ";refresher={}", refresher.as_str()),
            None => Ok(()),
        }
    }
}

/// `Min-SE: 90`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MinSe(
    /// The least interval somebody on the way takes, in seconds.
    pub u32,
);

impl HeaderValue for MinSe {
    const NAME: Name = Name::MinSe;

    fn read(text: &str) -> Option<MinSe> {
        seconds(text).map(|(seconds, _)| MinSe(seconds))
    }
}

impl fmt::Display for MinSe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn seconds(text: &str) -> Option<(u32, Params)> {
    let mut cursor = Cursor::new(scan::trim(text));
    let seconds = scan::number(cursor.token()?)?;
    let params = Params::of_header(&mut cursor).filter(|_| cursor.is_done())?;
    Some((seconds, params))
}
