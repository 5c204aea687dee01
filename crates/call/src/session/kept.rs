//! An answered call as it is kept on disk, so that it survives `kill -9` of its edge (DESIGN § 5.1: dialogs are
//! kill-safe): written before the message that makes it so is sent, at the answer and whenever the two sides agree on
//! something else or one of them is reached otherwise; removed at the end.
//!
//! It is not the frozen form: transactions die with the process, and what was on its way is lost. Both phones keep their
//! dialogs, so their next request, or our next question, goes on where they stand.

use super::leg::Leg;
use super::talking::Talking;
use super::watch::Watch;
use super::{Desk, Facts, Session, State, Stream};
use crate::record::{CallId, Role};
use ::media::relay::StreamId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the kept form that this release writes and reads.
const VERSION: u32 = 1;

/// Requests of ours that may have been sent after the call was kept: the next one must have a higher number.
const NUMBERS_LEFT_OUT: u32 = 1_000;

/// How soon the legs of a restored call are asked whether they are there.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// No session timer ends earlier after a restart: its refresh may have come while nobody was there.
const TIMER_GRACE: Duration = Duration::from_secs(90);

/// A change of what is kept of calls. It is written before the messages of the same step are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialogChange {
    /// Keep these bytes under this name, in place of what was there.
    Kept {
        /// Unique in the edge, for ever.
        name: String,
        /// For `Edge::restore_calls`.
        bytes: Vec<u8>,
    },
    /// The call of that name is over.
    Over {
        /// Its name.
        name: String,
    },
}

#[derive(Serialize)]
struct Kept<'a> {
    version: u32,
    facts: &'a Facts,
    caller: &'a Leg,
    called: &'a Leg,
    /// Its anchored media: the phones go on sending to the same ports.
    streams: Vec<(StreamId, &'a Stream)>,
}

#[derive(Deserialize)]
struct Read {
    facts: Box<Facts>,
    caller: Leg,
    called: Leg,
    streams: Vec<(StreamId, Stream)>,
}

/// A call as it was when it was kept.
pub(crate) struct Restored {
    pub(crate) session: Session,
    pub(crate) streams: Vec<(StreamId, Stream)>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Why a kept call is not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("kept by version {0}; this release reads version {VERSION}")]
    Version(u32),
    #[error("the kept call cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

impl Session {
    /// The change to be written now, if something of it is not kept as it is.
    pub(crate) fn keep_if_changed(&mut self, desk: &Desk) -> Option<DialogChange> {
        let talking = match &mut self.state {
            State::Talking(talking) => talking,
            // A transfer or pick-up that dies with its process leaves the call as it was.
            State::Transferring(transferring) => &mut transferring.talking,
            State::Taking(taking) => &mut taking.talking,
            State::Offering(_) | State::PickingUp(_) | State::Closing(_) | State::Parting(_) => return None,
        };
        let caller = std::mem::take(&mut talking.caller.unkept);
        let called = std::mem::take(&mut talking.called.unkept);
        if !caller && !called {
            return None;
        }
        let Talking { caller, called, .. } = &**talking;
        let streams = desk.of_call(self.facts.call);
        let kept = Kept { version: VERSION, facts: &self.facts, caller, called, streams };
        let bytes = serde_json::to_vec(&kept).ok()?;
        Some(DialogChange::Kept { name: self.facts.kept_name(), bytes })
    }

    /// The name it is kept under; none for a call that nobody has answered, and for one that is over.
    pub(crate) fn kept_name(&self) -> Option<String> {
        self.talking().map(|_| self.facts.kept_name())
    }

    /// The call as it was when it was kept.
    pub(crate) fn restore(now: Duration, bytes: &[u8]) -> Result<Restored, Unreadable> {
        let Version { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let Read { facts, mut caller, mut called, streams } = serde_json::from_slice(bytes)?;
        caller.begin_again(now);
        called.begin_again(now);
        let talking = Talking { caller, called, acking: None, modify: None, unconfirmed: None };
        Ok(Restored { session: Session { facts, state: State::Talking(Box::new(talking)) }, streams })
    }

    /// Its name at the edge that restores it.
    pub(crate) fn is_called(&mut self, call: CallId) {
        self.facts.call = call;
    }

    /// The dialogs of an answered call with our tags, the caller's first.
    pub(crate) fn dialogs(&self) -> Option<[(&Leg, &str); 2]> {
        let Talking { caller, called, .. } = self.talking()?;
        Some([(caller, caller.dialog.local_tag()), (called, called.dialog.local_tag())])
    }

    fn talking(&self) -> Option<&Talking> {
        match &self.state {
            State::Talking(talking) => Some(talking),
            State::Transferring(transferring) => Some(&transferring.talking),
            State::Taking(taking) => Some(&taking.talking),
            State::Offering(_) | State::PickingUp(_) | State::Closing(_) | State::Parting(_) => None,
        }
    }

    /// The number that is counted as having begun it at this edge.
    pub(crate) fn begun_by(&self) -> Option<&str> {
        (self.facts.role == Role::Originating).then_some(self.facts.caller.number.as_str())
    }
}

impl Facts {
    fn kept_name(&self) -> String {
        let role = match self.role {
            Role::Originating => "call",
            Role::Terminating => "leg",
        };
        format!("{}-{role}", self.session)
    }
}

impl Leg {
    fn begin_again(&mut self, now: Duration) {
        self.dialog.local_cseq = self.dialog.local_cseq.saturating_add(NUMBERS_LEFT_OUT);
        self.heard = now;
        match &mut self.watch {
            Watch::Asking { next } | Watch::Refreshing { next, .. } => *next = Some(now + ASK_AFTER),
            Watch::Refreshed { until, .. } => *until = (now + TIMER_GRACE).max(*until),
        }
    }
}
