//! History-Info: the targets a request had so far, the first one first (RFC 7044 §5).

use super::{DiversionReason, HeaderValue, Privacy, Reason};
use crate::{Name, NameAddr, Uri, scan};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Deeper indexes than this are refused: a request has at most 70 hops.
const INDEX_DEPTH_MAX: usize = 70;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryInfo {
    /// The target; its URI may carry Reason and Privacy in its header part and the cause of RFC 4458.
    pub address: NameAddr,
    /// Where it stands in the tree of targets: 1, 1.1, 1.2 …
    pub index: Vec<u32>,
}

impl HistoryInfo {
    /// A target at this place.
    #[must_use]
    pub fn new(target: Uri, index: &[u32]) -> HistoryInfo {
        HistoryInfo { address: NameAddr::new(target), index: index.to_vec() }
    }

    /// The same target, reached because the one at `before` sent the call on (RFC 7044 §10.4 `mp`, RFC 4458).
    #[must_use]
    pub fn diverted_from(mut self, before: &[u32], reason: DiversionReason) -> HistoryInfo {
        self.address.uri.params.set("cause", Some(&reason.cause().to_string()));
        self.address.params.set("mp", Some(&dotted(before)));
        self
    }

    /// Why the call came to this target, when the entry says so: by the URI's cause, or the Reason of an entry.
    #[must_use]
    pub fn cause(&self) -> Option<u16> {
        let uri = &self.address.uri;
        match uri.params.raw("cause") {
            Some(cause) => scan::number(cause),
            None => Reason::read(&uri.header(Name::Reason.as_str())?)?.cause(),
        }
    }

    /// True when the entry must not leave the trust domain (RFC 7044 §10.1).
    #[must_use]
    pub fn is_private(&self) -> bool {
        let privacy = self.address.uri.header(Name::Privacy.as_str()).and_then(|text| Privacy::read(&text));
        privacy.is_some_and(|privacy| privacy.history || privacy.hides_the_caller())
    }
}

impl HeaderValue for HistoryInfo {
    const NAME: Name = Name::HistoryInfo;

    fn read(text: &str) -> Option<HistoryInfo> {
        let mut address = NameAddr::parse(text).ok()?;
        let index: Option<Vec<u32>> = address.params.raw("index")?.split('.').map(scan::number).collect();
        let index = index.filter(|index| index.len() <= INDEX_DEPTH_MAX)?;
        address.params.remove("index");
        Some(HistoryInfo { address, index })
    }
}

impl fmt::Display for HistoryInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = NameAddr { params: crate::Params::new(), ..self.address.clone() };
        write!(f, "{address};index={}{}", dotted(&self.index), self.address.params)
    }
}

fn dotted(index: &[u32]) -> String {
    index.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
