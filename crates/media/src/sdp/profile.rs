//! What kind of packets a media section speaks of.

use super::Media;
use serde::{Deserialize, Serialize};

/// The kinds we tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// `RTP/AVP`, `RTP/AVPF`.
    Rtp,
    /// `RTP/SAVP`, `RTP/SAVPF`: keys by SDES (RFC 4568).
    Srtp,
    /// `udptl`: fax over IP (T.38).
    Udptl,
    /// Anything else: DTLS, TCP, what is yet to come.
    Other,
}

impl Profile {
    /// Of the third word of an `m=` line.
    #[must_use]
    pub fn of(protocol: &str) -> Profile {
        let is = |name: &str| protocol.eq_ignore_ascii_case(name);
        if is("RTP/AVP") || is("RTP/AVPF") {
            Profile::Rtp
        } else if is("RTP/SAVP") || is("RTP/SAVPF") {
            Profile::Srtp
        } else if is("udptl") {
            Profile::Udptl
        } else {
            Profile::Other
        }
    }
}

impl Media {
    /// What kind of packets it speaks of.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile::of(&self.protocol)
    }

    /// The same section with SRTP instead of RTP or the other way round; feedback (`F`) stays.
    pub(super) fn speak(&mut self, profile: Profile) {
        let feedback = self.protocol.ends_with(['F', 'f']);
        self.protocol = match (profile, feedback) {
            (Profile::Rtp, false) => "RTP/AVP".to_owned(),
            (Profile::Rtp, true) => "RTP/AVPF".to_owned(),
            (Profile::Srtp, false) => "RTP/SAVP".to_owned(),
            (Profile::Srtp, true) => "RTP/SAVPF".to_owned(),
            (Profile::Udptl | Profile::Other, _) => return,
        };
    }
}
