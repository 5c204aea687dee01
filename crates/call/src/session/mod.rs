//! A session: one call at this edge, as a B2BUA of two legs (RFC 7092: signalling only, media stays direct where it can;
//! see `media`).
//!
//! ```text
//!   Offering ── 2xx ──────────> Talking ── BYE ───────────────────> (over)
//!      │                           └── called hung up before the
//!      │                               caller's ACK ──> Closing ──> (over)
//!      └── refused, cancelled ──> (over)
//! ```
//!
//! Each state is a file and holds only what it knows. An event consumes the session and gives back the next one,
//! or none when the call is over; its record is put out at that step, once. Offers, answers and their bodies
//! are passed through untouched in both directions, so a late offer is answered by the caller's ACK.

mod answer;
mod bye;
mod closing;
mod consult;
mod diversion;
mod early;
mod exchange;
mod identity;
mod invite;
mod joining;
mod kept;
mod leg;
mod line;
mod liveness;
mod media;
mod modify;
mod offering;
mod parting;
mod pick_up;
mod refer;
mod reliable;
mod talking;
mod transferring;
mod watch;

pub(crate) use answer::{acknowledge_stray, hang_up_stray};
pub(crate) use exchange::Passed;
pub(crate) use invite::{Target, begin};
pub use kept::DialogChange;
pub(crate) use kept::Restored;
pub(crate) use leg::Leg;
pub use media::{AnchorWhen, CallMedia, MediaPath, MediaSettings, MediaTraffic, PortRange};
pub(crate) use media::{Desk, Media, Stream};
pub(crate) use pick_up::PickUp;
pub(crate) use refer::Replaces;

use crate::core::Turn;
use crate::hop::Hop;
use crate::io::Output;
use crate::record::{CallId, CallRecord, CallView, EndedBy, Party, Progress, Role, Transfer};
use closing::Closing;
use diversion::Diversion;
use identity::Identity;
use model::Cause;
use model::routing::Step as Decided;
use offering::Offering;
use parting::Parting;
use pick_up::{PickingUp, Taking};
use serde::{Deserialize, Serialize};
use sip::transaction::Failure;
use sip::{ClientKey, Flow, Message, ServerKey};
use std::time::Duration;
use talking::Talking;
use transferring::Transferring;

/// One of the two sides of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    Caller,
    Called,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Caller => Side::Called,
            Side::Called => Side::Caller,
        }
    }

    /// This side, as the one that ended the call.
    pub(crate) fn ended(self) -> EndedBy {
        match self {
            Side::Caller => EndedBy::Caller,
            Side::Called => EndedBy::Called,
        }
    }
}

/// One call.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    facts: Box<Facts>,
    state: State,
}

/// Each in a box: a session is moved several times an event.
#[derive(Debug, Serialize, Deserialize)]
enum State {
    /// The INVITE is with one or more phones, or with the cluster.
    Offering(Box<Offering>),
    /// Answered.
    Talking(Box<Talking>),
    /// The called party hung up before the caller's ACK: the caller's BYE has to wait for it.
    Closing(Box<Closing>),
    /// Answered, and one side is transferring the other.
    Transferring(Box<Transferring>),
    /// A leg that has transferred its call away.
    Parting(Box<Parting>),
    /// Ringing, and another phone is about to take it.
    PickingUp(Box<PickingUp>),
    /// Answered, and another phone is about to take a side of it.
    Taking(Box<Taking>),
}

/// What is told of the call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) call: CallId,
    pub(crate) session: String,
    pub(crate) role: Role,
    pub(crate) caller: Party,
    pub(crate) dialled: String,
    pub(crate) called: Party,
    pub(crate) emergency: bool,
    pub(crate) created: Duration,
    pub(crate) ringing: Option<Duration>,
    pub(crate) answered: Option<Duration>,
    pub(crate) call_ids: Vec<String>,
    pub(crate) steps: Vec<Decided>,
    pub(crate) identity: Identity,
    /// The diversions behind it, the first first.
    pub(crate) diversions: Vec<Diversion>,
    /// The transfers it has seen, the first first.
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) media: Media,
}

/// Where a number leads, when a session has asked.
#[derive(Debug, Clone)]
pub(crate) struct Routed {
    /// What it was asked for.
    pub(crate) ticket: String,
    /// Whom it leads to and where that one may be, or why nowhere.
    pub(crate) outcome: Result<(Party, Vec<Target>), Cause>,
    pub(crate) steps: Vec<Decided>,
}

/// What can happen to a call.
#[derive(Debug)]
pub(crate) enum Event {
    /// A CANCEL of the INVITE or re-INVITE served under this key.
    Cancelled(ServerKey),
    /// A response to the INVITE of a branch.
    Response(ClientKey, Message),
    /// The INVITE of a branch got no response.
    Failed(ClientKey, Failure),
    /// What became of a request passed on.
    Passed(Passed, Result<Message, Failure>),
    /// What became of the question whether a phone is there.
    Checked(Side, Result<Message, Failure>),
    /// A request inside a dialog.
    Request(Asked),
    /// The ACK of a 2xx.
    Ack(Side, Message),
    /// Our 2xx was never acknowledged.
    Unacknowledged(ServerKey),
    /// An operator ends it.
    HangUp,
    /// The cluster side went down.
    ClusterDown,
    /// A phone's flow was replaced by another.
    Moved(Flow, Flow),
    /// Where a number leads.
    Routed(Routed),
    /// What became of a step of a join.
    Joining(Step, ClientKey, Result<Message, Failure>),
    /// The call that was asked for, taken out of its shard; or that there is none.
    Brought(Option<Box<Session>>),
    /// Another phone wants this call.
    PickedUp(Box<PickUp>),
    /// Time has passed.
    Tick,
}

/// A step of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The target is asked for an offer.
    Offer,
    /// The staying party is asked for its answer.
    Answer,
}

/// A request inside a dialog.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The side whose dialog it is in.
    pub(crate) side: Side,
    pub(crate) key: ServerKey,
    pub(crate) from: Hop,
    pub(crate) message: Message,
}

impl Session {
    /// The next state of the call, or none when it is over.
    pub(crate) fn handle(self, turn: &mut Turn<'_>, event: Event) -> Option<Session> {
        let Session { mut facts, mut state } = self;
        let Some(event) = media::arrive(&mut facts, &mut state, turn, event) else {
            return Some(Session { facts, state });
        };
        let next = match state {
            State::Offering(offering) => offering.handle(&mut facts, turn, event),
            State::Talking(talking) => talking.handle(&mut facts, turn, event),
            State::Closing(closing) => closing.handle(&facts, turn, event),
            State::Transferring(transferring) => transferring.handle(&mut facts, turn, event),
            State::Parting(parting) => parting.handle(&facts, turn, event),
            State::PickingUp(picking_up) => picking_up.handle(&mut facts, turn, event),
            State::Taking(taking) => taking.handle(&mut facts, turn, event),
        };
        facts.media.settle(turn, next.as_ref());
        next.map(|state| Session { facts, state })
    }

    /// The relay of its media has told something.
    pub(crate) fn media_report(&mut self, turn: &mut Turn<'_>, report: &::media::relay::Report) {
        if self.facts.media.report(report) {
            self.facts.show(turn);
        }
    }

    /// Where its key streams stand is to be written with it.
    pub(crate) fn media_stands(&mut self) {
        if let Some(talking) = self.talking_mut() {
            talking.caller.unkept = true;
        }
    }

    /// When it wants a tick.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Offering(offering) => offering.due(),
            State::Talking(talking) => talking.next_check(),
            State::Closing(_) => None,
            State::Transferring(transferring) => transferring.due(),
            State::Parting(parting) => Some(parting.until),
            State::PickingUp(picking_up) => picking_up.offering.due(),
            State::Taking(taking) => taking.talking.next_check(),
        }
    }

    /// Its name at this edge.
    pub(crate) fn call(&self) -> CallId {
        self.facts.call
    }

    /// The call as it is shown; none once its record is written.
    pub(crate) fn view(&self) -> Option<CallView> {
        match &self.state {
            State::Offering(_) | State::PickingUp(_) => Some(self.facts.view(self.facts.progress())),
            State::Talking(_) | State::Transferring(_) | State::Taking(_) => {
                Some(self.facts.view(Progress::Talking))
            }
            State::Closing(_) | State::Parting(_) => None,
        }
    }
}

impl Facts {
    /// Of a call that begins with `invite`. `session` is the name of its records, where another member has given
    /// one.
    pub(crate) fn new(
        turn: &mut Turn<'_>,
        (caller, role, session): (Party, Role, Option<String>),
        dialled: String,
        invite: &Message,
    ) -> Facts {
        let session = session.unwrap_or_else(|| turn.core.tokens.session_id());
        Facts {
            call: turn.core.name_call(),
            identity: Identity::of(invite, role, &session),
            diversions: diversion::told_in(invite, role),
            transfers: Vec::new(),
            session,
            role,
            caller,
            called: Party { number: dialled.clone(), name: String::new() },
            dialled,
            emergency: false,
            created: turn.now,
            ringing: None,
            answered: None,
            call_ids: vec![invite.call_id().to_owned()],
            steps: Vec::new(),
            media: Media::default(),
        }
    }

    fn progress(&self) -> Progress {
        match (self.answered, self.ringing) {
            (Some(_), _) => Progress::Talking,
            (None, Some(_)) => Progress::Ringing,
            (None, None) => Progress::Routing,
        }
    }

    fn view(&self, progress: Progress) -> CallView {
        CallView {
            call: self.call,
            session: self.session.clone(),
            role: self.role,
            caller: self.party(Side::Caller).clone(),
            called: self.party(Side::Called).clone(),
            progress,
            created: self.created,
            answered: self.answered,
            call_ids: self.call_ids.clone(),
            transfers: self.transfers.clone(),
            media: self.media.summary(),
        }
    }

    /// The call is another one to look at.
    pub(crate) fn show(&self, turn: &mut Turn<'_>) {
        turn.out.push(Output::CallChanged(self.call));
    }

    /// Writes the call's one record.
    pub(crate) fn end(&self, turn: &mut Turn<'_>, cause: Cause, ended_by: EndedBy) {
        self.show(turn);
        let record = CallRecord {
            session: self.session.clone(),
            member: turn.core.config.member,
            role: self.role,
            caller: self.caller.clone(),
            dialled: self.dialled.clone(),
            called: self.called.clone(),
            emergency: self.emergency,
            created: self.created,
            ringing: self.ringing,
            answered: self.answered,
            ended: turn.now,
            cause,
            ended_by,
            call_ids: self.call_ids.clone(),
            steps: self.steps.clone(),
            transfers: self.transfers.clone(),
            media: self.media.summary(),
        };
        let complete = turn.core.held.media.end(turn.now, self.call, record);
        turn.out.extend(complete.map(Output::Ended));
    }
}
