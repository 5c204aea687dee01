//! Replaces: the dialog that an INVITE takes the place of (RFC 3891 §6.1).

use super::HeaderValue;
use crate::params::Params;
use crate::scan::{self, Cursor};
use crate::{Dialog, Fault, Name, Uri};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A dialog, named from the side of who receives the INVITE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// The receiver's own tag.
    pub to_tag: String,
    /// The tag of the receiver's peer.
    pub from_tag: String,
    /// Only while the dialog is early, else 486 (RFC 3891 §3).
    pub early_only: bool,
}

impl Replaces {
    /// For the peer of this dialog of ours: it is the receiver.
    #[must_use]
    pub fn peer_of(dialog: &Dialog) -> Replaces {
        Replaces {
            call_id: dialog.call_id.clone(),
            to_tag: dialog.remote_tag().to_owned(),
            from_tag: dialog.local_tag().to_owned(),
            early_only: false,
        }
    }

    /// True when it names this dialog of ours.
    #[must_use]
    pub fn names(&self, dialog: &Dialog) -> bool {
        // A tag of 0 stands for a peer that has none (RFC 3891 §6.1).
        let same = |ours: &str, named: &str| ours == named || (ours.is_empty() && named == "0");
        self.call_id == dialog.call_id
            && same(dialog.local_tag(), &self.to_tag)
            && same(dialog.remote_tag(), &self.from_tag)
    }

    /// The one in the header part of a Refer-To: `<sip:x@y?Replaces=…>` (RFC 3891 §4).
    pub fn of_uri(uri: &Uri) -> Result<Option<Replaces>, Fault> {
        let Some(text) = uri.header(Name::Replaces.as_str()) else { return Ok(None) };
        Replaces::read(&text).map(Some).ok_or(Fault::Header(Name::Replaces))
    }
}

impl HeaderValue for Replaces {
    const NAME: Name = Name::Replaces;

    fn read(text: &str) -> Option<Replaces> {
        let mut cursor = Cursor::new(scan::trim(text));
        let call_id = cursor.take_while(|byte| !scan::is_blank(byte) && byte != b';' && byte != b',')?;
        let params = Params::of_header(&mut cursor).filter(|_| cursor.is_done())?;
        let tag = |name: &str| params.raw(name).filter(|tag| scan::is_token(tag)).map(str::to_owned);
        Some(Replaces {
            call_id: call_id.to_owned(),
            to_tag: tag("to-tag")?,
            from_tag: tag("from-tag")?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        f.write_str(if self.early_only { ";early-only" } else { "" })
    }
}
