//! The settings against floods of datagrams: the section `[flood]` of the file.

use serde::{Deserialize, Serialize};

/// How much may be said over UDP by those who have not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FloodConfig {
    /// Datagrams a second that one address may send before its further ones are dropped; phones that are registered there
    /// are heard on, each up to as many again. An IPv6 network of 64 bits is one address. 0 is no limit.
    pub per_source: u32,
    /// Datagrams a second that all addresses together may send to one thread of `sip_shards` before only registered phones are
    /// heard: for floods from forged addresses. 0 is no limit.
    pub strangers: u32,
}

impl Default for FloodConfig {
    fn default() -> FloodConfig {
        FloodConfig { per_source: 1_000, strangers: 5_000 }
    }
}
