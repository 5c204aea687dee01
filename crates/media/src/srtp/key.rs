//! Suites and master keys, as a description names them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// Bytes of a master key with its salt.
pub const MASTER_BYTES: usize = 30;
/// Bytes of the key itself.
const KEY_BYTES: usize = 16;

/// A suite of RFC 4568 § 6.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Tags of 80 bits: what everybody speaks.
    AesCm128HmacSha1_80,
    /// Tags of 32 bits on RTP: six bytes less a packet.
    AesCm128HmacSha1_32,
}

impl Suite {
    /// All of them, best first.
    pub const ALL: [Suite; 2] = [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32];

    /// Its name in `a=crypto`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Suite::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    pub(super) fn rtp_tag_bytes(self) -> usize {
        match self {
            Suite::AesCm128HmacSha1_80 => 10,
            Suite::AesCm128HmacSha1_32 => 4,
        }
    }
}

/// A master key and its salt. It is wiped when dropped, and never printed but into a description.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MasterKey([u8; MASTER_BYTES]);

/// A text that is no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is {MASTER_BYTES} bytes in base64")]
pub struct NoMasterKey;

impl MasterKey {
    /// From random bytes.
    #[must_use]
    pub fn new(bytes: [u8; MASTER_BYTES]) -> MasterKey {
        MasterKey(bytes)
    }

    /// From `inline:`.
    ///
    /// # Errors
    /// [`NoMasterKey`].
    pub fn from_base64(text: &str) -> Result<MasterKey, NoMasterKey> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| NoMasterKey)?;
        bytes.try_into().map(MasterKey).map_err(|_| NoMasterKey)
    }

    /// For `inline:`.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    pub(super) fn key(&self) -> &[u8; KEY_BYTES] {
        self.0.first_chunk().unwrap_or(&[0; KEY_BYTES])
    }

    pub(super) fn salt(&self) -> &[u8] {
        self.0.get(KEY_BYTES..).unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl TryFrom<String> for MasterKey {
    type Error = NoMasterKey;

    fn try_from(text: String) -> Result<MasterKey, NoMasterKey> {
        MasterKey::from_base64(&text)
    }
}

impl From<MasterKey> for String {
    fn from(key: MasterKey) -> String {
        key.to_base64()
    }
}
