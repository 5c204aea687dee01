//! Who may call and see what: feature classes (SYN-02, IMP-11, TRM-05) and barred numbers (SYN-08, IMP-10).

use super::{Object, ObjectError, invalid};
use crate::ids::Extension;
use crate::record::Kind;
use serde::{Deserialize, Serialize};

/// Lists a feature class may name, and prefixes a list may have.
pub const ENTRIES_MAX: usize = 1_000;

/// A feature class; the key is its name. A subscriber has exactly one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureClass {
    /// What it is for, in the operator's words.
    #[serde(default)]
    pub description: String,
    /// Keys of the barred-number lists that apply to its subscribers.
    #[serde(default)]
    pub barred: Vec<String>,
    /// What its subscribers may see of the lines of those they may call.
    #[serde(default)]
    pub sees: Sight,
}

/// What may be seen of the line of another subscriber (TRM-05).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// Nothing: watching is refused.
    Nothing,
    /// What the line does, not with whom.
    #[default]
    States,
    /// With whom as well, unless that party keeps its number private.
    Parties,
}

impl Object for FeatureClass {
    const KIND: Kind = Kind::FeatureClass;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        if self.barred.len() > ENTRIES_MAX {
            return Err(invalid(Kind::FeatureClass, key, "barred", format!("at most {ENTRIES_MAX} lists")));
        }
        Ok(())
    }
}

/// A list of barred numbers; the key is its name. A number is barred when it begins with one of the prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarredNumbers {
    /// Beginnings of the numbers that may not be called.
    pub prefixes: Vec<Extension>,
}

impl Object for BarredNumbers {
    const KIND: Kind = Kind::BarredNumbers;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        if self.prefixes.len() > ENTRIES_MAX {
            return Err(invalid(
                Kind::BarredNumbers,
                key,
                "prefixes",
                format!("at most {ENTRIES_MAX} prefixes"),
            ));
        }
        Ok(())
    }
}
