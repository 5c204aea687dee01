//! The extension numbering plan (SYN-06): which digits are what.

use super::{Object, ObjectError, invalid};
use crate::ids::Extension;
use crate::record::Kind;
use serde::{Deserialize, Serialize};

/// What the numbers of a range are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeUse {
    /// Extensions of subscribers.
    Extensions,
}

/// A range of numbers of equal length; the key is a name of the operator's choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberingRange {
    /// The first number of the range.
    pub first: Extension,
    /// The last one, as long as the first.
    pub last: Extension,
    /// What its numbers are for.
    #[serde(rename = "use")]
    pub range_use: RangeUse,
}

impl NumberingRange {
    /// True when `digits` is a number of this range.
    #[must_use]
    pub fn contains(&self, digits: &Extension) -> bool {
        let (first, last, digits) = (self.first.as_str(), self.last.as_str(), digits.as_str());
        digits.len() == first.len() && first <= digits && digits <= last
    }

    /// True when the two ranges share a number.
    #[must_use]
    pub fn overlaps(&self, other: &NumberingRange) -> bool {
        self.contains(&other.first) || other.contains(&self.first)
    }
}

impl Object for NumberingRange {
    const KIND: Kind = Kind::NumberingRange;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        let digits_only = |number: &Extension| number.as_str().bytes().all(|b| b.is_ascii_digit());
        if !digits_only(&self.first) || !digits_only(&self.last) {
            return Err(invalid(Kind::NumberingRange, key, "first", "a range is made of digits 0-9 only"));
        }
        if self.first.as_str().len() != self.last.as_str().len() {
            return Err(invalid(
                Kind::NumberingRange,
                key,
                "last",
                "first and last must have the same length",
            ));
        }
        if self.first > self.last {
            return Err(invalid(Kind::NumberingRange, key, "last", "last must not be below first"));
        }
        Ok(())
    }
}
