//! Talking: answered, two dialogs, whatever happens inside them.

use super::answer::hang_up_stray;
use super::modify::Modify;
use super::{Asked, Event, Facts, Leg, Side, State};
use crate::core::{ALLOW, SDP, Turn, passes_through};
use crate::record::EndedBy;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::transaction::Input as LayerInput;
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
}

/// A 2xx on its way: the side that asked owes an ACK to the side that answered, through us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Acking {
    pub(super) answerer: Side,
    /// Our INVITE to the answerer, and its CSeq.
    pub(super) client: ClientKey,
    pub(super) cseq: u32,
    /// The INVITE of the one that asked, and its CSeq.
    pub(super) server: ServerKey,
    pub(super) asked: u32,
}

impl Talking {
    pub(super) fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => &mut self.caller,
            Side::Called => &mut self.called,
        }
    }

    pub(super) fn handle(mut self, facts: &mut Facts, turn: &mut Turn<'_>, event: Event) -> Option<State> {
        match event {
            Event::Request(asked) => return self.request(facts, turn, &asked),
            Event::Ack(side, ack) => self.acknowledged(facts, turn, side, &ack),
            Event::Passed(passed, outcome) => return self.passed(facts, turn, passed, outcome),
            Event::Checked(side, outcome) => return self.checked(facts, turn, side, outcome),
            Event::Unacknowledged(key) => return self.unacknowledged(facts, turn, &key),
            Event::Cancelled(key) => self.cancel_modify(turn, &key),
            Event::HangUp => {
                return self.end(facts, turn, Cause::EndedByOperator, EndedBy::System);
            }
            Event::Moved(old, new) => self.moved(old, new),
            Event::Tick => return self.check(facts, turn),
            Event::Response(_, response) => self.second_answer(turn, &response),
            // A branch that lost; a cut, which talking survives.
            Event::Failed(..) | Event::ClusterDown => {}
        }
        Some(State::Talking(self))
    }

    fn request(mut self, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let now = turn.now;
        let Asked { side, key, from, message } = asked;
        let leg = self.leg(*side);
        // The phones' dialogs live on flows, the members' ones on the cluster; nobody changes over.
        if leg.hop.is_cluster() != from.is_cluster() || !leg.dialog.matches(message) {
            turn.answer(key, message, Status::NO_SUCH_CALL);
            return Some(State::Talking(self));
        }
        if leg.dialog.accept(message).is_err() {
            turn.answer(key, message, Status::SERVER_INTERNAL_ERROR);
            return Some(State::Talking(self));
        }
        leg.hop = from.clone().towards(&leg.dialog.target);
        leg.heard = now;
        match message.method() {
            Method::Bye => return self.bye(facts, turn, asked),
            Method::Invite | Method::Update => return self.modify(facts, turn, asked),
            Method::Options => {
                let response = turn.answer_to(message, Status::OK);
                turn.respond(key, response.header(Name::Allow, ALLOW).header(Name::Accept, SDP));
            }
            method if passes_through(method) => drop(self.pass_on(facts, turn, asked)),
            _ => {
                let response = turn.answer_to(message, Status::METHOD_NOT_ALLOWED);
                turn.respond(key, response.header(Name::Allow, ALLOW));
            }
        }
        Some(State::Talking(self))
    }

    /// Somebody behind the called phone's address answered as well: one call has one answer.
    fn second_answer(&mut self, turn: &mut Turn<'_>, response: &Message) {
        if response.status().is_some_and(Status::is_success) && !self.called.dialog.matches(response) {
            hang_up_stray(turn, None, &self.called.hop, response);
        }
    }

    /// The one that asked never acknowledged the answer: it is gone (RFC 3261 § 13.3.1.4).
    fn unacknowledged(mut self, facts: &mut Facts, turn: &mut Turn<'_>, key: &ServerKey) -> Option<State> {
        match self.acking.take_if(|acking| acking.server == *key) {
            Some(acking) => {
                self.acknowledge(facts, turn, &acking, None);
                self.end(facts, turn, Cause::LostPhone, EndedBy::System)
            }
            None => Some(State::Talking(self)),
        }
    }

    fn cancel_modify(&mut self, turn: &mut Turn<'_>, key: &ServerKey) {
        if let Some(modify) = self.modify.as_ref().filter(|modify| modify.server == *key) {
            turn.transact(LayerInput::Cancel { key: modify.client.clone() });
        }
    }

    fn moved(&mut self, old: Flow, new: Flow) {
        self.caller.moved(old, new);
        self.called.moved(old, new);
    }

    pub(super) fn next_check(&self) -> Option<Duration> {
        [self.caller.next_check, self.called.next_check].into_iter().flatten().min()
    }
}
