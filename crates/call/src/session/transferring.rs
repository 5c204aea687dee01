//! Transferring: the call goes on as it was, while the party it is transferred to is found, rings, and is joined to the
//! party that stays.
//!
//! ```text
//!   REFER ──────────────> Routing ──> Ringing ── answered with an offer ──────────┐
//!   REFER, Replaces ────> Bringing ─> (rights) ─┬─ unanswered: Ringing ── answered ─┤
//!                                               └─ answered: Asking ── its offer ───┴─> Joining ──> Talking
//! ```
//!
//! Nothing of the old call is given up before the new one stands (DESIGN § 7): the target is asked for an offer, the
//! staying party answers it by re-INVITE, and only then the transferor's legs part. Whatever fails before that
//! leaves the call, and a consultation call, as they were; the transferor hears the status. A transferor that hung up
//! already, as a blind transfer allows, leaves the staying party waiting; then a failure ends its call.

use super::consult::Consult;
use super::exchange::{accept, later};
use super::leg::Leg;
use super::offering::Branch;
use super::refer::{Replaces, Report, TICKET};
use super::talking::{Onward, Talking};
use super::{Asked, Event, Facts, Routed, Side, State, Step};
use crate::core::Turn;
use crate::headers::status_of;
use crate::hop::Hop;
use crate::record::{EndedBy, Party};
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{ClientKey, Message, Method, Status};
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Transferring {
    /// The call as it was.
    pub(super) talking: Box<Talking>,
    pub(super) transfer: Transfer,
}

/// A transfer on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Transfer {
    /// The side that transfers, and whether it has hung up already.
    pub(super) by: Side,
    pub(super) gone: bool,
    pub(super) report: Report,
    /// To whom.
    pub(super) target: Party,
    pub(super) way: Way,
    /// What is left of the consultation call.
    pub(super) consult: Option<Box<Consult>>,
}

/// How far it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Way {
    /// Where the target is, is being asked.
    Routing,
    /// The consultation call is being fetched.
    Bringing { replaces: Replaces },
    /// May the two speak to each other?
    Checking(Found),
    /// The target rings.
    Ringing { branches: Vec<Branch>, until: Duration },
    /// The target, which talks, is asked for an offer.
    Asking { leg: Box<Leg>, client: Option<ClientKey> },
    /// The target has offered; the staying party answers.
    Joining(Box<Joining>),
}

/// The target of a consultation call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Found {
    Ringing { branches: Vec<Branch>, until: Duration },
    Talking { leg: Box<Leg> },
}

/// An offer of the target, in a 2xx that waits for its ACK.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Joining {
    pub(super) leg: Leg,
    pub(super) offer: Message,
    pub(super) onward: Onward,
    /// The re-INVITE of the staying party is on its way.
    pub(super) sent: bool,
    /// Not before: it had an offer of its own on its way (491).
    pub(super) not_before: Duration,
    pub(super) tries: u8,
}

impl Transfer {
    pub(super) fn new(by: Side, report: Report, way: Way) -> Transfer {
        Transfer { by, gone: false, report, target: Party::default(), way, consult: None }
    }

    /// The way to a target that talks already and was asked for an offer.
    pub(super) fn asked_hop(&self) -> Option<&Hop> {
        match &self.way {
            Way::Asking { leg, .. } => Some(&leg.hop),
            _ => None,
        }
    }

    /// The leg of the target that a request came on.
    fn target_leg(&mut self, message: &Message) -> Option<&mut Leg> {
        let leg = match &mut self.way {
            Way::Routing | Way::Bringing { .. } => None,
            Way::Ringing { branches, .. } | Way::Checking(Found::Ringing { branches, .. }) => {
                let early = branches.iter_mut().filter_map(|branch| branch.early.as_mut());
                return early.into_iter().find(|early| early.dialog.matches(message));
            }
            Way::Asking { leg, .. } | Way::Checking(Found::Talking { leg }) => Some(&mut **leg),
            Way::Joining(joining) => Some(&mut joining.leg),
        };
        leg.filter(|leg| leg.dialog.matches(message))
    }

    /// The staying party's answer to an offer is awaited.
    fn is_joining(&self) -> bool {
        matches!(&self.way, Way::Joining(joining) if joining.sent)
    }
}

impl Transferring {
    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match event {
            Event::Request(asked) => self.request(facts, turn, asked),
            Event::Response(key, response) => self.response(facts, turn, &key, &response),
            Event::Failed(key, why) => self.branch_failed(facts, turn, &key, cause_of_failure(why)),
            Event::Routed(routed) if routed.ticket == TICKET => self.routed(facts, turn, routed),
            Event::Brought(session) => self.brought(facts, turn, session),
            Event::Joining(Step::Offer, key, outcome) => self.offered(facts, turn, &key, outcome),
            Event::Joining(Step::Answer, key, outcome) => self.answered(facts, turn, &key, outcome),
            Event::ClusterDown => self.cluster_down(facts, turn),
            Event::Moved(old, new) => {
                self.talking.moved(old, new);
                if let Some(consult) = &mut self.transfer.consult {
                    consult.leg.moved(old, new);
                }
                self.go_on(facts, turn)
            }
            Event::Tick if self.rings_in_vain(turn) => self.fail(facts, turn, Cause::NoAnswer, None),
            Event::HangUp if self.transfer.gone => self.fail(facts, turn, Cause::EndedByOperator, None),
            Event::PickedUp(pick_up) => {
                pick_up.refuse(turn, Status::REQUEST_PENDING);
                Some(State::Transferring(self))
            }
            // A leg that has hung up is asked no more.
            Event::Checked(side, _) if self.transfer.gone && side == self.transfer.by => {
                self.go_on(facts, turn)
            }
            event => self.like_before(facts, turn, event),
        }
    }

    /// What is no business of the transfer happens to the call as it was.
    fn like_before(self, facts: &mut Facts, turn: &mut Turn<'_>, event: Event) -> Option<State> {
        let Transferring { talking, mut transfer } = self;
        match talking.handle(facts, turn, event) {
            Some(State::Talking(talking)) => Box::new(Transferring { talking, transfer }).go_on(facts, turn),
            over => {
                transfer.release(facts, turn, Cause::NormalClearing);
                over
            }
        }
    }

    /// Joins as soon as nothing stands against it.
    pub(super) fn go_on(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        if self.talking.is_settled()
            && let Way::Joining(joining) = &mut self.transfer.way
            && !joining.sent
            && joining.not_before <= turn.now
        {
            return self.ask_the_other(facts, turn);
        }
        Some(State::Transferring(self))
    }

    fn request(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, asked: Asked) -> Option<State> {
        let Asked { key, message, .. } = &asked;
        if let Some(leg) = self.transfer.target_leg(message) {
            if !accept(turn, leg, &asked) {
                return Some(State::Transferring(self));
            }
            return self.of_target(facts, turn, &asked);
        }
        let of_consult = self.transfer.consult.as_mut().filter(|consult| consult.leg.dialog.matches(message));
        if let Some(consult) = of_consult {
            consult.request(turn, &asked);
            return Some(State::Transferring(self));
        }
        let by = self.transfer.by;
        let of_transferor = self.talking.leg(by).dialog.matches(message);
        match message.method() {
            Method::Bye if of_transferor && !self.transfer.gone => {
                self.transferor_leaves(turn, &asked);
                self.go_on(facts, turn)
            }
            _ if of_transferor && self.transfer.gone => {
                turn.answer(key, message, Status::NO_SUCH_CALL);
                Some(State::Transferring(self))
            }
            Method::Bye if self.transfer.gone => {
                turn.answer(key, message, Status::OK);
                self.transfer.release(facts, turn, Cause::NormalClearing);
                facts.end(turn, Cause::NormalClearing, by.other().ended());
                None
            }
            Method::Refer => self.hold_up(turn, &asked),
            Method::Invite | Method::Update if self.transfer.is_joining() || self.transfer.gone => {
                self.hold_up(turn, &asked)
            }
            Method::Options | Method::Bye => self.like_before(facts, turn, Event::Request(asked)),
            _ if self.transfer.gone => self.hold_up(turn, &asked),
            _ => self.like_before(facts, turn, Event::Request(asked)),
        }
    }

    /// The phone that transfers hangs up: its part is done.
    fn transferor_leaves(&mut self, turn: &mut Turn<'_>, asked: &Asked) {
        let Asked { key, message, .. } = asked;
        let by = self.transfer.by;
        turn.answer(key, message, Status::OK);
        self.talking.refuse_modify(turn);
        self.talking.leg(by).watch.rest();
        self.transfer.gone = true;
    }

    /// Not now: the transfer is in the way (RFC 3261 § 14.1).
    fn hold_up(mut self: Box<Self>, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { side, key, message, .. } = asked;
        if accept(turn, self.talking.leg(*side), asked) {
            later(turn, key, message);
        }
        Some(State::Transferring(self))
    }

    /// The target does something before it is joined.
    fn of_target(self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { key, message, .. } = asked;
        match message.method() {
            Method::Bye if !matches!(self.transfer.way, Way::Ringing { .. }) => {
                turn.answer(key, message, Status::OK);
                return self.fail(facts, turn, Cause::NormalClearing, Some(Status::REQUEST_TERMINATED));
            }
            Method::Options => turn.answer(key, message, Status::OK),
            Method::Invite => turn.answer(key, message, Status::REQUEST_PENDING),
            _ => later(turn, key, message),
        }
        Some(State::Transferring(self))
    }

    /// Where the target is, or that it may not be called.
    fn routed(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, routed: Routed) -> Option<State> {
        let Routed { outcome, steps, .. } = routed;
        facts.steps.extend(steps);
        match (std::mem::replace(&mut self.transfer.way, Way::Routing), outcome) {
            (Way::Routing, Ok((party, targets))) => {
                if party.number == facts.party(self.transfer.by.other()).number {
                    return self.fail(facts, turn, Cause::Loop, None);
                }
                self.transfer.target = party;
                self.ring(facts, turn, targets)
            }
            (Way::Checking(found), Err(cause @ Cause::Barred)) => {
                self.transfer.way = Way::Checking(found);
                self.fail(facts, turn, cause, None)
            }
            (Way::Routing, Err(cause)) => self.fail(facts, turn, cause, None),
            // It is there already: whether it could be called now is no question.
            (Way::Checking(Found::Ringing { branches, until }), _) => {
                self.transfer.way = Way::Ringing { branches, until };
                self.tell(facts, turn, Status::RINGING);
                self.go_on(facts, turn)
            }
            (Way::Checking(Found::Talking { leg }), _) => self.ask_target(facts, turn, *leg),
            (way, _) => {
                self.transfer.way = way;
                Some(State::Transferring(self))
            }
        }
    }

    /// Tells the transferor how far it is.
    pub(super) fn tell(&mut self, facts: &Facts, turn: &mut Turn<'_>, status: Status) {
        if !self.transfer.gone {
            let leg = self.talking.leg(self.transfer.by);
            self.transfer.report.tell(facts, turn, leg, status);
        }
    }

    /// It came to nothing. The call is as it was; without its transferor it ends.
    pub(super) fn fail(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        cause: Cause,
        status: Option<Status>,
    ) -> Option<State> {
        self.tell(facts, turn, status.unwrap_or_else(|| status_of(cause)));
        let Transferring { mut talking, mut transfer } = self;
        transfer.release(facts, turn, cause);
        if !transfer.gone {
            return Some(State::Talking(talking));
        }
        facts.end(turn, cause, EndedBy::System);
        crate::owed::bye(turn, facts, talking.leg(transfer.by.other()), cause);
        None
    }

    fn rings_in_vain(&self, turn: &Turn<'_>) -> bool {
        matches!(self.transfer.way, Way::Ringing { until, .. } if until <= turn.now)
    }

    /// When it wants a tick.
    pub(super) fn due(&self) -> Option<Duration> {
        let own = match &self.transfer.way {
            Way::Ringing { until, .. } => Some(*until),
            Way::Joining(joining) if !joining.sent => Some(joining.not_before),
            _ => None,
        };
        [own, self.talking.next_check()].into_iter().flatten().min()
    }
}

fn cause_of_failure(why: sip::transaction::Failure) -> Cause {
    match why {
        sip::transaction::Failure::Full => Cause::Congestion,
        sip::transaction::Failure::TimedOut => Cause::NoUserResponding,
        sip::transaction::Failure::Unreachable => Cause::SubscriberAbsent,
    }
}
