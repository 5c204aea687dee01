//! Talking: answered, two dialogs, whatever happens inside them.

use super::answer::hang_up_stray;
use super::exchange::{Modify, accept};
use super::joining::settle_late;
use super::leg::Leg;
use super::refer::refer;
use super::reliable::Unconfirmed;
use super::{Asked, Event, Facts, Side, State};
use crate::core::{ALLOW, Ask, SDP, SUPPORTED, Turn, passes_through};
use crate::record::EndedBy;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{ClientKey, Flow, Message, Method, Name, ServerKey, Status};
use std::time::Duration;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Talking {
    pub(super) caller: Leg,
    pub(super) called: Leg,
    /// A 2xx whose ACK is still to come.
    pub(super) acking: Option<Acking>,
    /// A re-INVITE or UPDATE that the other side has not answered yet.
    pub(super) modify: Option<Modify>,
    /// A reliable provisional response that the answer overtook.
    pub(super) unconfirmed: Option<Unconfirmed>,
}

/// A 2xx on its way: the side that asked owes an ACK, to the side that answered or to us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Acking {
    pub(super) asker: Side,
    /// The INVITE of the one that asked, and its CSeq.
    pub(super) server: ServerKey,
    pub(super) asked: u32,
    /// The INVITE that began the call, or this side's part in it.
    pub(super) first: bool,
    /// Where the ACK goes on to; nowhere when we have answered ourselves.
    pub(super) onward: Option<Onward>,
}

/// Our INVITE to the answerer, and its CSeq.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Onward {
    pub(super) client: ClientKey,
    pub(super) cseq: u32,
}

impl Talking {
    pub(super) fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }

    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match event {
            Event::Request(asked) => return self.request(facts, turn, &asked),
            Event::Ack(side, ack) => self.acknowledged(facts, turn, side, &ack),
            Event::Passed(passed, outcome) => return self.passed(facts, turn, &passed, outcome),
            Event::Checked(side, outcome) => return self.checked(facts, turn, side, outcome),
            Event::Unacknowledged(key) => return self.unacknowledged(facts, turn, &key),
            Event::Cancelled(key) => self.cancel_modify(turn, &key),
            Event::HangUp => {
                return self.end(facts, turn, Cause::EndedByOperator, EndedBy::System);
            }
            Event::Moved(old, new) => self.moved(old, new),
            Event::Tick => return self.check(facts, turn),
            Event::Response(_, response) => self.second_answer(turn, &response),
            // A branch that lost; a cut, which talking survives; what belongs to a transfer that is over.
            Event::Failed(..) | Event::ClusterDown | Event::Routed(_) | Event::Joining(_, _, Err(_)) => {}
            Event::Joining(step, key, Ok(response)) => {
                settle_late(&mut self, facts, turn, (step, &key), &response);
            }
            // The transfer that asked for it is over: it goes on by itself.
            Event::Brought(Some(session)) => turn.ask(Ask::Keep(session)),
            Event::Brought(None) => {}
            Event::PickedUp(pick_up) => return self.picked_up(facts, turn, *pick_up),
        }
        Some(State::Talking(self))
    }

    fn request(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { side, key, message, .. } = asked;
        if !accept(turn, self.leg(*side), asked) {
            return Some(State::Talking(self));
        }
        match message.method() {
            Method::Bye => return self.bye(facts, turn, asked),
            Method::Invite | Method::Update => self.modified(facts, turn, asked),
            Method::Options => {
                let response = turn.answer_to(message, Status::OK).header(Name::Allow, ALLOW);
                turn.respond(key, response.header(Name::Accept, SDP).header(Name::Supported, SUPPORTED));
            }
            Method::Prack => self.late_prack(facts, turn, asked),
            Method::Refer => return refer(self, facts, turn, asked),
            method if passes_through(method) => {
                let _answered_at_once = self.exchange().pass_on(facts, turn, asked, |request| request);
            }
            _ => {
                let response = turn.answer_to(message, Status::METHOD_NOT_ALLOWED);
                turn.respond(key, response.header(Name::Allow, ALLOW));
            }
        }
        Some(State::Talking(self))
    }

    /// Nothing is on its way: no offer, no ACK.
    pub(super) fn is_settled(&self) -> bool {
        self.modify.is_none() && self.acking.is_none()
    }

    /// Somebody behind the called phone's address answered as well: one call has one answer.
    fn second_answer(&mut self, turn: &mut Turn<'_>, response: &Message) {
        let ours = self.called.dialog.matches(response) || self.caller.dialog.matches(response);
        if response.status().is_some_and(Status::is_success) && !ours {
            hang_up_stray(turn, None, &self.called.hop, response);
        }
    }

    /// The one that asked never acknowledged the answer: it is gone (RFC 3261 § 13.3.1.4).
    fn unacknowledged(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ServerKey,
    ) -> Option<State> {
        match self.acking.take_if(|acking| acking.server == *key) {
            // Of a member a cut may have kept the ACK, and the call stood before.
            Some(acking) if !acking.first && self.leg(acking.asker).hop.is_cluster() => {
                self.acknowledge(facts, turn, &acking, None);
                Some(State::Talking(self))
            }
            Some(acking) => {
                self.acknowledge(facts, turn, &acking, None);
                self.end(facts, turn, Cause::LostPhone, EndedBy::System)
            }
            None => Some(State::Talking(self)),
        }
    }

    pub(super) fn moved(&mut self, old: Flow, new: Flow) {
        self.caller.moved(old, new);
        self.called.moved(old, new);
    }

    pub(super) fn next_check(&self) -> Option<Duration> {
        [self.caller.watch.due(), self.called.watch.due()].into_iter().flatten().min()
    }
}
