//! An answered call as it is kept on disk, so that it survives `kill -9` of its edge (DESIGN § 5.1: dialogs are
//! kill-safe): written before the message that makes it so is sent, at the answer and whenever the two sides agree on
//! something else or one of them is reached otherwise; removed at the end.
//!
//! It is not the frozen form: transactions die with the process, and what was on its way is lost. Both phones keep their
//! dialogs, so their next request, or our next question, goes on where they stand.
//!
//! ```text
//! version (one byte, 2) | postcard: facts, caller, called, streams
//! ```
//!
//! The release before wrote JSON (version 1, which begins with `{`); it is still read. The binary form names no fields:
//! whatever changes in a type that is kept (a field, a variant, an order) is a new version, and the old one stays readable.

use super::leg::{Can, Leg, Words};
use super::talking::Talking;
use super::watch::Watch;
use super::{Desk, Facts, Session, Side, State, Stream};
use crate::hop::Hop;
use crate::record::{CallId, Role};
use ::media::relay::StreamId;
use serde::{Deserialize, Serialize};
use sip::Dialog;
use std::time::Duration;

/// The version of the kept form that this release writes.
const VERSION: u8 = 2;

/// How the form of the release before begins, which was JSON.
const JSON: u8 = b'{';

/// Bytes of a call whose phones say no more than they must.
const USUAL_BYTES: usize = 1_536;

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

/// A call as it is written. [`Read`] has the same fields in the same order.
#[derive(Serialize)]
struct Written<'a> {
    facts: &'a Facts,
    caller: WrittenLeg<'a>,
    called: WrittenLeg<'a>,
    /// Its anchored media: the phones go on sending to the same ports.
    streams: Vec<(StreamId, &'a Stream)>,
}

/// A leg as it is written. [`ReadLeg`] has the same fields in the same order.
#[derive(Serialize)]
struct WrittenLeg<'a> {
    side: Side,
    hop: &'a Hop,
    dialog: &'a Dialog,
    shows: &'a str,
    watch: Watch,
    can: Can,
    said: Option<&'a Words>,
    told: Told<&'a Words>,
}

#[derive(Deserialize)]
struct Read {
    facts: Box<Facts>,
    caller: ReadLeg,
    called: ReadLeg,
    streams: Vec<(StreamId, Stream)>,
}

#[derive(Deserialize)]
struct ReadLeg {
    side: Side,
    hop: Hop,
    dialog: Dialog,
    shows: String,
    watch: Watch,
    can: Can,
    said: Option<Words>,
    told: Told<Words>,
}

/// What a leg was told last: mostly what the other one said.
#[derive(Serialize, Deserialize)]
enum Told<W> {
    Nothing,
    AsSaid,
    Else(W),
}

/// The form of version 1.
#[derive(Deserialize)]
struct ReadJson {
    version: u32,
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

/// Why a kept call is not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("kept by version {0}; this release reads versions 1 and {VERSION}")]
    Version(u32),
    #[error("the kept call is empty")]
    Empty,
    #[error("the kept call cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the kept call cannot be read: {0}")]
    Binary(#[from] postcard::Error),
}

impl Session {
    /// The change to be written now, if something of it is not kept as it is.
    pub(crate) fn keep_if_changed(&mut self, desk: &Desk) -> Option<DialogChange> {
        let talking = self.talking_mut()?;
        let caller = std::mem::take(&mut talking.caller.unkept);
        let called = std::mem::take(&mut talking.called.unkept);
        if !caller && !called {
            return None;
        }
        let Talking { caller, called, .. } = self.talking()?;
        let streams = desk.of_call(self.facts.call);
        let (caller, called) = (caller.written(called), called.written(caller));
        let written = Written { facts: &self.facts, caller, called, streams };
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.push(VERSION);
        let bytes = postcard::to_extend(&written, bytes).ok()?;
        Some(DialogChange::Kept { name: self.facts.kept_name(), bytes })
    }

    /// The name it is kept under; none for a call that nobody has answered, and for one that is over.
    pub(crate) fn kept_name(&self) -> Option<String> {
        self.talking().map(|_| self.facts.kept_name())
    }

    /// The call as it was when it was kept.
    pub(crate) fn restore(now: Duration, bytes: &[u8]) -> Result<Restored, Unreadable> {
        let (facts, [mut caller, mut called], streams) = match bytes.split_first() {
            Some((&VERSION, kept)) => read(now, kept)?,
            Some((&JSON, _)) => read_json(bytes)?,
            Some((version, _)) => return Err(Unreadable::Version(u32::from(*version))),
            None => return Err(Unreadable::Empty),
        };
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

    /// The answered call. A transfer or pick-up that dies with its process leaves it as it was.
    pub(super) fn talking_mut(&mut self) -> Option<&mut Talking> {
        match &mut self.state {
            State::Talking(talking) => Some(talking),
            State::Transferring(transferring) => Some(&mut transferring.talking),
            State::Taking(taking) => Some(&mut taking.talking),
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

/// What a call is made of again.
type Parts = (Box<Facts>, [Leg; 2], Vec<(StreamId, Stream)>);

fn read(now: Duration, kept: &[u8]) -> Result<Parts, Unreadable> {
    let Read { facts, caller, called, streams } = postcard::from_bytes(kept)?;
    let (by_caller, by_called) = (caller.said.clone(), called.said.clone());
    Ok((facts, [caller.leg(now, by_called), called.leg(now, by_caller)], streams))
}

fn read_json(kept: &[u8]) -> Result<Parts, Unreadable> {
    let ReadJson { version, facts, caller, called, streams } = serde_json::from_slice(kept)?;
    match version {
        1 => Ok((facts, [caller, called], streams)),
        other => Err(Unreadable::Version(other)),
    }
}

impl ReadLeg {
    fn leg(self, now: Duration, said_by_other: Option<Words>) -> Leg {
        let ReadLeg { side, hop, dialog, shows, watch, can, said, told } = self;
        let told = match told {
            Told::Nothing => None,
            Told::AsSaid => said_by_other,
            Told::Else(words) => Some(words),
        };
        Leg { side, hop, dialog, shows, heard: now, watch, can, said, told, unkept: false }
    }
}

impl Leg {
    fn written<'a>(&'a self, other: &'a Leg) -> WrittenLeg<'a> {
        let told = match &self.told {
            None => Told::Nothing,
            told if *told == other.said => Told::AsSaid,
            Some(words) => Told::Else(words),
        };
        WrittenLeg {
            side: self.side,
            hop: &self.hop,
            dialog: &self.dialog,
            shows: &self.shows,
            watch: self.watch,
            can: self.can,
            said: self.said.as_ref(),
            told,
        }
    }

    fn begin_again(&mut self, now: Duration) {
        self.dialog.local_cseq = self.dialog.local_cseq.saturating_add(NUMBERS_LEFT_OUT);
        self.heard = now;
        match &mut self.watch {
            Watch::Asking { next } | Watch::Refreshing { next, .. } => *next = Some(now + ASK_AFTER),
            Watch::Refreshed { until, .. } => *until = (now + TIMER_GRACE).max(*until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One call, anchored with keys and transferred, as each release kept it. What changes here is a new version.
    const KEPT: [&[u8]; 2] =
        [include_bytes!("../../tests/kept/1.json"), include_bytes!("../../tests/kept/2.postcard")];
    const NOW: Duration = Duration::from_secs(1_700_000_100);

    fn restored(bytes: &[u8]) -> String {
        let Restored { session, streams } = Session::restore(NOW, bytes).unwrap();
        serde_json::to_string(&(session, streams)).unwrap()
    }

    #[test]
    fn a_call_kept_by_the_release_before_is_the_same_call() {
        assert_eq!(restored(KEPT[0]), restored(KEPT[1]));
        let Restored { session, streams } = Session::restore(NOW, KEPT[0]).unwrap();
        let [(caller, _), (called, _)] = session.dialogs().unwrap();
        assert!(caller.said.is_some() && called.told.is_some() && caller.heard == NOW);
        assert_eq!((session.facts.transfers.len(), streams.len()), (1, 1));
        assert_eq!(session.facts.kept_name(), "755f5c5014cb8d0b0ca048ce5788ba51-call");
    }

    #[test]
    fn what_is_kept_anew_is_read_again() {
        let Restored { mut session, streams } = Session::restore(NOW, KEPT[0]).unwrap();
        let mut desk = Desk::default();
        desk.take_back(session.facts.call, streams);
        assert_eq!(session.keep_if_changed(&desk), None, "it is kept as it is");
        if let State::Talking(talking) = &mut session.state {
            talking.caller.unkept = true;
            talking.caller.dialog.local_cseq -= NUMBERS_LEFT_OUT;
            talking.called.dialog.local_cseq -= NUMBERS_LEFT_OUT;
        }
        let Some(DialogChange::Kept { bytes, .. }) = session.keep_if_changed(&desk) else { panic!("kept") };
        assert_eq!(restored(&bytes), restored(KEPT[1]));
    }

    #[test]
    fn a_kept_call_that_is_cut_or_of_a_later_release_is_told() {
        for end in 0..KEPT[1].len() {
            assert!(Session::restore(NOW, &KEPT[1][..end]).is_err(), "cut at {end}");
        }
        assert!(matches!(Session::restore(NOW, &[3, 0, 0]), Err(Unreadable::Version(3))));
        let later = KEPT[0].strip_prefix(b"{\"version\":1").unwrap();
        let later = [b"{\"version\":2".as_slice(), later].concat();
        assert!(matches!(Session::restore(NOW, &later), Err(Unreadable::Version(2))));
    }
}
