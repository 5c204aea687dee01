//! Subscriptions (ARC-02): held by the cluster server, copied to the nodes that serve or back them up.

use super::{Object, ObjectError, invalid};
use crate::ids::{Extension, MemberNumber};
use crate::record::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A secret is at least this long (DESIGN § 8).
pub const SECRET_CHARACTERS_MIN: usize = 16;

/// The two HA1 of a subscriber's secret (RFC 8760), as lower-case hexadecimal. As good as the secret itself:
/// never printed, exported or logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `MD5(user:realm:secret)`, 32 characters.
    pub ha1_md5: String,
    /// `SHA-256(user:realm:secret)`, 64 characters.
    pub ha1_sha256: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// A subscription; the key is its extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The name shown to the called party.
    #[serde(default)]
    pub name: String,
    /// Key of its feature class.
    pub feature_class: String,
    /// The member its phones are attached to (node-homed), 0 = the cluster server.
    pub home: MemberNumber,
    /// The general-purpose subscriber that exists on every system (DEP-28, DEP-41).
    #[serde(default)]
    pub general_purpose: bool,
    /// What its phones prove themselves with; none for a subscriber without a phone of its own.
    pub credentials: Option<Credentials>,
}

impl Object for Subscriber {
    const KIND: Kind = Kind::Subscriber;

    fn validate(&self, key: &str) -> Result<(), ObjectError> {
        if let Err(fault) = key.parse::<Extension>() {
            return Err(invalid(Kind::Subscriber, key, "key", fault.to_string()));
        }
        if self.name.chars().count() > 64 || self.name.chars().any(char::is_control) {
            return Err(invalid(Kind::Subscriber, key, "name", "at most 64 printable characters"));
        }
        if let Some(credentials) = &self.credentials {
            let hex = |text: &str, length: usize| {
                text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
            };
            if !hex(&credentials.ha1_md5, 32) || !hex(&credentials.ha1_sha256, 64) {
                return Err(invalid(
                    Kind::Subscriber,
                    key,
                    "credentials",
                    "HA1 as 32 and 64 hexadecimal digits",
                ));
            }
        }
        Ok(())
    }
}
