//! RAck: which reliable provisional response a PRACK confirms (RFC 3262 §7.2).

use super::HeaderValue;
use crate::scan::{self, Cursor};
use crate::{CSeq, Message, Name};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The RSeq of a response, and the CSeq of the request it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RAck {
    /// RSeq, 1 and above.
    pub rseq: u32,
    /// CSeq of the INVITE.
    pub cseq: CSeq,
}

impl RAck {
    /// What confirms this provisional response; `None` when it asks for no confirmation.
    #[must_use]
    pub fn of(response: &Message) -> Option<RAck> {
        let rseq = response.number(Name::RSeq).ok()??;
        let asked = response.has_option(Name::Require, super::option_tag::REL100);
        (asked && rseq > 0).then(|| RAck { rseq, cseq: response.cseq().clone() })
    }
}

impl HeaderValue for RAck {
    const NAME: Name = Name::RAck;

    fn read(text: &str) -> Option<RAck> {
        let mut cursor = Cursor::new(scan::trim(text));
        let rseq = scan::number(cursor.token()?).filter(|rseq| *rseq > 0)?;
        cursor.take_while(scan::is_blank)?;
        Some(RAck { rseq, cseq: CSeq::parse(cursor.rest)? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}
