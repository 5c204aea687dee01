//! Releases as the field writes them: `R7.0`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A software release, `R<major>.<minor>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    /// The number before the point.
    pub major: u8,
    /// The number after it.
    pub minor: u8,
}

/// The release of this build.
pub const THIS: Release = Release { major: 7, minor: 0 };
/// The lowest release a cluster server or node may have (DCS-16, DEP-26).
pub const MINIMUM: Release = Release { major: 6, minor: 1 };

/// The text is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a release: expected R<major>.<minor>, for example R7.0")]
pub struct NotARelease(pub String);

impl FromStr for Release {
    type Err = NotARelease;
    fn from_str(text: &str) -> Result<Self, NotARelease> {
        let fault = || NotARelease(text.to_owned());
        let (major, minor) = text.strip_prefix('R').and_then(|t| t.split_once('.')).ok_or_else(fault)?;
        Ok(Release { major: major.parse().map_err(|_| fault())?, minor: minor.parse().map_err(|_| fault())? })
    }
}

impl TryFrom<String> for Release {
    type Error = NotARelease;
    fn try_from(text: String) -> Result<Self, NotARelease> {
        text.parse()
    }
}

impl From<Release> for String {
    fn from(release: Release) -> String {
        release.to_string()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "R{}.{}", self.major, self.minor)
    }
}
