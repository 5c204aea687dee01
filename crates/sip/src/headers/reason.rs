//! Reason: why a request was sent or a call ended (RFC 3326 §2; in responses RFC 6432).

use super::HeaderValue;
use crate::params::Params;
use crate::scan::{self, Cursor};
use crate::{Name, Status};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reason of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `SIP`, `Q.850`, `preemption`.
    pub protocol: String,
    /// cause, text.
    pub params: Params,
}

impl Reason {
    /// `SIP;cause=200;text="Call completed elsewhere"`
    #[must_use]
    pub fn sip(status: Status, text: &str) -> Reason {
        Reason::of("SIP", status.code(), text)
    }

    /// `Q.850;cause=17;text="User busy"`
    #[must_use]
    pub fn q850(cause: u8, text: &str) -> Reason {
        Reason::of("Q.850", cause.into(), text)
    }

    fn of(protocol: &str, cause: u16, text: &str) -> Reason {
        let params = Params::new().with("cause", &cause.to_string());
        let params = if text.is_empty() { params } else { params.quoted("text", text) };
        Reason { protocol: protocol.to_owned(), params }
    }

    /// True for this protocol.
    #[must_use]
    pub fn is(&self, protocol: &str) -> bool {
        self.protocol.eq_ignore_ascii_case(protocol)
    }

    /// The number.
    #[must_use]
    pub fn cause(&self) -> Option<u16> {
        scan::number(self.params.raw("cause")?)
    }
}

impl HeaderValue for Reason {
    const NAME: Name = Name::Reason;

    fn read(text: &str) -> Option<Reason> {
        let mut cursor = Cursor::new(scan::trim(text));
        let protocol = cursor.token()?;
        let params = Params::of_header(&mut cursor).filter(|_| cursor.is_done())?;
        Some(Reason { protocol: protocol.to_owned(), params })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.protocol, self.params)
    }
}
