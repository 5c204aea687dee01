//! CSeq: the order of requests in a dialog (RFC 3261 §8.1.1.5, §20.16).

use crate::Method;
use crate::scan::{self, Cursor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Sequence numbers are below 2^31 (RFC 3261 §8.1.1.5).
pub(crate) const CSEQ_MAX: u32 = (1 << 31) - 1;

/// A sequence number and its method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CSeq {
    /// The number.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    pub(crate) fn parse(text: &str) -> Option<CSeq> {
        let mut cursor = Cursor::new(scan::trim(text));
        let number = scan::number::<u32>(cursor.token()?).filter(|number| *number <= CSEQ_MAX)?;
        cursor.take_while(scan::is_blank)?;
        let method = cursor.token()?;
        cursor.is_done().then(|| CSeq { number, method: Method::from(method) })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}
