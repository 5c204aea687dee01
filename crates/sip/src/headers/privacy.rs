//! Privacy: what the caller wants hidden (RFC 3323 §4.2, RFC 3325 §9.3, RFC 7044 §10.1).

use super::HeaderValue;
use crate::{Name, scan};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The wishes; words we do not know ask for nothing we could do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privacy {
    /// `header`: headers that betray where the caller is.
    pub header: bool,
    /// `session`: the media addresses.
    pub session: bool,
    /// `user`: everything that the caller could have hidden itself.
    pub user: bool,
    /// `id`: P-Asserted-Identity stays inside the trust domain (RFC 3325 §9.3).
    pub id: bool,
    /// `history`: History-Info stays inside (RFC 7044 §10.1).
    pub history: bool,
    /// `none`: nothing is to be hidden, whatever the network would do by itself.
    pub none: bool,
    /// `critical`: without it the call shall not be made (500).
    pub critical: bool,
}

impl Privacy {
    /// `Privacy: id`
    pub const ID: Privacy = Privacy {
        header: false,
        session: false,
        user: false,
        id: true,
        history: false,
        none: false,
        critical: false,
    };

    /// True when the called may not learn who calls.
    #[must_use]
    pub fn hides_the_caller(self) -> bool {
        (self.id || self.user || self.header) && !self.none
    }

    fn words(self) -> [(bool, &'static str); 7] {
        [
            (self.none, "none"),
            (self.header, "header"),
            (self.session, "session"),
            (self.user, "user"),
            (self.id, "id"),
            (self.history, "history"),
            (self.critical, "critical"),
        ]
    }
}

impl HeaderValue for Privacy {
    const NAME: Name = Name::Privacy;

    /// The list is separated by semicolons; some phones write commas.
    fn read(text: &str) -> Option<Privacy> {
        let mut privacy = Privacy::default();
        for word in text.split([';', ',']).map(scan::trim) {
            match word.to_ascii_lowercase().as_str() {
                "none" => privacy.none = true,
                "header" => privacy.header = true,
                "session" => privacy.session = true,
                "user" => privacy.user = true,
                "id" => privacy.id = true,
                "history" => privacy.history = true,
                "critical" => privacy.critical = true,
                other if scan::is_token(other) => {}
                _ => return None,
            }
        }
        Some(privacy)
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (_, word) in self.words().into_iter().filter(|(wanted, _)| *wanted) {
            write!(f, "{between}{word}")?;
            between = ";";
        }
        Ok(())
    }
}
