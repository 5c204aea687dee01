//! The objects of the configuration, one file a noun. Each is a serde type with a `validate`; its key is part
//! of the record, not of the value.

pub mod cluster;
pub mod numbering;
pub mod rights;
pub mod special;
pub mod subscriber;

pub use cluster::{Cluster, Node};
pub use numbering::{NumberingRange, RangeUse};
pub use rights::{BarredNumbers, FeatureClass, Sight};
pub use special::SpecialNumber;
pub use subscriber::{Credentials, Subscriber};

use crate::record::{Kind, RECORD_BYTES_MAX};
use serde::{Serialize, de::DeserializeOwned};

/// Why a value cannot be an object of its kind. It is the writer's fault; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not JSON, or a field is missing, unknown or of the wrong type.
    #[error("this is no {kind}: {reason}")]
    Malformed {
        /// What it should have been.
        kind: Kind,
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A field has a value that cannot be.
    #[error("{kind} '{key}': {field}: {reason}")]
    Invalid {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The value is over [`RECORD_BYTES_MAX`].
    #[error("{kind} '{key}' has {bytes} bytes; the limit is {RECORD_BYTES_MAX}")]
    TooLarge {
        /// What sort of object.
        kind: Kind,
        /// Which one.
        key: String,
        /// Its size.
        bytes: usize,
    },
}

/// What every object can do.
pub trait Object: Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: Kind;

    /// Checks what can be checked without other objects.
    ///
    /// # Errors
    /// [`ObjectError::Invalid`] names the field and the remedy.
    fn validate(&self, key: &str) -> Result<(), ObjectError>;

    /// Reads and checks a value.
    ///
    /// # Errors
    /// See [`ObjectError`].
    fn from_json(key: &str, bytes: &[u8]) -> Result<Self, ObjectError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(ObjectError::TooLarge { kind: Self::KIND, key: key.to_owned(), bytes: bytes.len() });
        }
        let object: Self = serde_json::from_slice(bytes)
            .map_err(|fault| ObjectError::Malformed { kind: Self::KIND, reason: fault.to_string() })?;
        object.validate(key)?;
        Ok(object)
    }

    /// The value as it is stored and sent. Field order is that of the type, so equal objects are equal bytes.
    ///
    /// # Errors
    /// [`ObjectError::Malformed`] when the value cannot be written as JSON.
    fn to_json(&self) -> Result<Vec<u8>, ObjectError> {
        serde_json::to_vec(self)
            .map_err(|fault| ObjectError::Malformed { kind: Self::KIND, reason: fault.to_string() })
    }
}

/// Shorthand for the `Invalid` fault.
pub(crate) fn invalid(kind: Kind, key: &str, field: &'static str, reason: impl Into<String>) -> ObjectError {
    ObjectError::Invalid { kind, key: key.to_owned(), field, reason: reason.into() }
}

/// Checks a value of any kind that the cluster server owns, and returns it in its canonical form.
///
/// # Errors
/// See [`ObjectError`]; a kind that is not written through this door is `Malformed`.
pub fn canonical(kind: Kind, key: &str, bytes: &[u8]) -> Result<Vec<u8>, ObjectError> {
    match kind {
        Kind::Cluster => Cluster::from_json(key, bytes)?.to_json(),
        Kind::Node => Node::from_json(key, bytes)?.to_json(),
        Kind::NumberingRange => NumberingRange::from_json(key, bytes)?.to_json(),
        Kind::FeatureClass => FeatureClass::from_json(key, bytes)?.to_json(),
        Kind::BarredNumbers => BarredNumbers::from_json(key, bytes)?.to_json(),
        Kind::SpecialNumber => SpecialNumber::from_json(key, bytes)?.to_json(),
        Kind::Subscriber => Subscriber::from_json(key, bytes)?.to_json(),
        Kind::Account | Kind::Region | Kind::MultiSite | Kind::Machine => {
            Err(ObjectError::Malformed { kind, reason: "it is not an object of a cluster".to_owned() })
        }
    }
}
