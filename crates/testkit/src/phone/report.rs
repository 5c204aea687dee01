//! What a phone has to say at the end.

use super::ladder::Rung;
use super::machine::{End, Event};
use super::sound::Account;
use serde::{Deserialize, Serialize};

/// The life of one phone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number.
    pub extension: String,
    /// The tone it sent.
    pub tone_hz: u16,
    /// Where it was registered last, `UDP 192.0.2.1:5060`.
    pub server: Option<String>,
    /// It was registered at least once.
    pub registered: bool,
    /// It rang, or heard that the other phone rings.
    pub ringing: bool,
    /// A call was up.
    pub answered: bool,
    /// Who called, when it was called.
    pub caller: Option<String>,
    /// Tones it heard, the longest first.
    pub heard: Vec<HeardTone>,
    /// Keys pressed at the other side.
    pub digits: String,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP packets received.
    pub packets_received: u64,
    /// The longest silence between two packets of a call.
    pub longest_gap_ms: u64,
    /// How the last call ended.
    pub end: Option<End>,
    /// Every message on its wire.
    pub ladder: Vec<Rung>,
}

/// A tone that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeardTone {
    /// Its frequency, to 10 Hz.
    pub hz: u16,
    /// For how long.
    pub seconds: f64,
}

impl Report {
    /// For how long this tone was heard, in seconds.
    #[must_use]
    pub fn heard_seconds(&self, hz: u16) -> f64 {
        self.heard.iter().filter(|tone| tone.hz.abs_diff(hz) <= 10).map(|tone| tone.seconds).sum()
    }

    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Registered { .. } => self.registered = true,
            Event::Incoming { from } => {
                self.ringing = true;
                self.caller = Some(from.clone());
            }
            Event::Progress { status } => self.ringing |= *status == 180,
            Event::Answered => self.answered = true,
            Event::Ended(end) => self.end = Some(end.clone()),
            Event::Unregistered
            | Event::RegistrationRefused { .. }
            | Event::Changed { .. }
            | Event::ChangeRefused { .. }
            | Event::Lamp { .. } => {}
        }
    }

    pub(super) fn listen(&mut self, account: Account) {
        let tone =
            |heard: media::detector::Heard| HeardTone { hz: heard.hz, seconds: heard.time.as_secs_f64() };
        self.heard = account.heard.into_iter().map(tone).collect();
        self.digits = account.digits;
        self.packets_sent = account.sent;
        self.packets_received = account.received;
        self.longest_gap_ms = u64::try_from(account.longest_gap.as_millis()).unwrap_or(u64::MAX);
    }
}
