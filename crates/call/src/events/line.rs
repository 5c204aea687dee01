//! The line of a subscriber: its phones and calls, as others may see them.
//!
//! A call has at most two lines at an edge, the caller's and the called party's, and is one [`LineCall`] in each.
//! What is told of it here is made for lamps: the names of dialogs that a phone could act in are not in it.

use crate::record::{CallId, Party};
use model::MemberNumber;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Calls of one line that are told of; of a line with more the first ones are shown.
pub(super) const CALLS_SHOWN_MAX: usize = 16;

/// What a line does at one member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// A phone is registered there.
    pub registered: bool,
    /// Its calls there, the oldest first.
    #[serde(default)]
    pub calls: Vec<LineCall>,
}

/// One call, seen from the line of one of its parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCall {
    /// The member at which the line has this call.
    pub member: MemberNumber,
    /// The call's name there.
    pub call: CallId,
    /// The Session-ID of the call.
    pub session: String,
    /// Who began it.
    pub direction: Direction,
    /// How far it is.
    pub phase: Phase,
    /// The line's phone has put the other party on hold.
    #[serde(default)]
    pub holds: bool,
    /// The other party has put the line's phone on hold.
    #[serde(default)]
    pub held: bool,
    /// The other party; none when it keeps its number private (RFC 3323).
    #[serde(default)]
    pub remote: Option<Party>,
    /// When the call began.
    pub since: Duration,
}

/// Who began a call, seen from a line (RFC 4235 § 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// This line calls.
    Initiator,
    /// This line is called.
    Recipient,
}

/// How far a call is, in the states of RFC 4235 § 3.7.1; one that is over is no call of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// On its way.
    Trying,
    /// A phone rings.
    Early,
    /// Answered.
    Confirmed,
}

/// What is known of a watched line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lamp {
    /// Nothing: the member that would know is beyond a cut.
    Unknown,
    /// All of it, whatever members it has phones at.
    Known(Line),
}

/// A line in one word, for people and pages; the strongest of its calls decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Beyond a cut.
    Unknown,
    /// No phone is registered.
    Absent,
    /// A phone, and no call.
    Idle,
    /// It calls somebody who has not answered.
    Calling,
    /// It is called and rings.
    Ringing,
    /// All its answered calls are on hold.
    Held,
    /// It talks.
    Talking,
}

impl Line {
    /// In one word.
    #[must_use]
    pub fn look(&self) -> Look {
        let idle = if self.registered { Look::Idle } else { Look::Absent };
        self.calls.iter().map(LineCall::look).max().unwrap_or(idle)
    }

    /// This line together with what another member says of it.
    #[must_use]
    pub fn joined(mut self, other: &Line) -> Line {
        self.registered |= other.registered;
        self.calls.extend(other.calls.iter().cloned());
        self.calls.sort_by_key(|call| (call.since, call.member, call.call));
        self
    }

    /// True for a line of which there is nothing to tell.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.registered && self.calls.is_empty()
    }
}

impl LineCall {
    fn look(&self) -> Look {
        match (self.phase, self.direction) {
            (Phase::Confirmed, _) if self.holds || self.held => Look::Held,
            (Phase::Confirmed, _) => Look::Talking,
            (_, Direction::Initiator) => Look::Calling,
            (Phase::Early, Direction::Recipient) => Look::Ringing,
            (Phase::Trying, Direction::Recipient) => Look::Idle,
        }
    }

    /// What tells this call from all others of its line.
    pub(crate) fn name(&self) -> (MemberNumber, CallId, Direction) {
        (self.member, self.call, self.direction)
    }
}

impl Lamp {
    /// In one word.
    #[must_use]
    pub fn look(&self) -> Look {
        match self {
            Lamp::Unknown => Look::Unknown,
            Lamp::Known(line) => line.look(),
        }
    }
}

impl Look {
    /// The word people are shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Look::Unknown => "unknown",
            Look::Absent => "absent",
            Look::Idle => "idle",
            Look::Calling => "calling",
            Look::Ringing => "ringing",
            Look::Held => "on hold",
            Look::Talking => "talking",
        }
    }
}
