//! Special numbers by location: one number, answered where the caller is.

use super::{Object, ObjectError, invalid};
use crate::ids::{Extension, MemberNumber};
use crate::record::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A special number; the key is the number dialled, for example `112`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecialNumber {
    /// What it is for, in the operator's words.
    #[serde(default)]
    pub description: String,
    /// An emergency number passes barring, lock, licences, overload and every state.
    #[serde(default)]
    pub emergency: bool,
    /// Who answers where no location says otherwise.
    pub target: Extension,
    /// Who answers a caller attached to that member; reachable there even when the member is cut off.
    #[serde(default)]
    pub local_targets: BTreeMap<MemberNumber, Extension>,
}

impl SpecialNumber {
    /// Who answers a caller attached to `member`.
    #[must_use]
    pub fn target_at(&self, member: MemberNumber) -> &Extension {
        self.local_targets.get(&member).unwrap_or(&self.target)
    }
}

impl Object for SpecialNumber {
    const KIND: Kind = Kind::SpecialNumber;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        if let Err(fault) = key.parse::<Extension>() {
            return Err(invalid(Kind::SpecialNumber, key, "key", fault.to_string()));
        }
        Ok(())
    }
}
