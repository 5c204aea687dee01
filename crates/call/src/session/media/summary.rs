//! What people are told of a call's media.

use media::relay::Traffic;
use serde::{Deserialize, Serialize};

/// Which way media take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaPath {
    /// Nothing was agreed yet.
    #[default]
    None,
    /// From phone to phone.
    Direct,
    /// Through this member.
    Anchored,
}

/// The media of a call at this edge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallMedia {
    /// Which way they take.
    pub path: MediaPath,
    /// The caller's side is encrypted.
    pub caller_encrypted: bool,
    /// The called side is encrypted.
    pub called_encrypted: bool,
    /// Anchored, and neither side has been heard for a while. It is told and nothing more: whether a phone is still
    /// there, its signalling says.
    #[serde(default)]
    pub silent: bool,
    /// No port could be taken: nothing is carried.
    #[serde(default)]
    pub failed: bool,
    /// Of an anchored call that has ended: what each side sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<MediaTraffic>,
}

/// What each side of an anchored call sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaTraffic {
    /// The caller.
    pub caller: Traffic,
    /// The called party.
    pub called: Traffic,
}
