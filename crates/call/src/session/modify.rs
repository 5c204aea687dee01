//! Requests inside an answered call: what is passed on to the other side, and what we answer ourselves, which is all
//! that only refreshes (RFC 4028): an UPDATE without words, and a re-INVITE that says what was said before.

use super::exchange::{Exchange, Passed, later, refuse_modify};
use super::talking::{Acking, Onward, Talking};
use super::{Asked, Facts, Side, State, identity, leg, watch};
use crate::core::{ALLOW, Purpose, SDP, SUPPORTED, Turn};
use crate::record::EndedBy;
use model::Cause;
use sip::transaction::{Failure, Input as LayerInput};
use sip::{Message, Method, Name, ServerKey, Status};

impl Talking {
    pub(super) fn exchange(&mut self) -> Exchange<'_> {
        Exchange { caller: &mut self.caller, called: &mut self.called, modify: &mut self.modify }
    }

    /// A re-INVITE or UPDATE of one side.
    pub(super) fn modified(&mut self, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) {
        let Asked { side, key, message, .. } = asked;
        let from_member = self.leg(*side).hop.is_cluster();
        let news = from_member && facts.learn_asserted(*side, message);
        if news {
            self.leg(side.other()).shows = facts.shown_to(side.other()).to_owned();
        }
        if *message.method() == Method::Update && message.body().is_empty() {
            if news {
                self.show_party(facts, turn, side.other());
            }
            return self.refreshed(facts, turn, asked, None);
        }
        if self.only_refreshes(turn, *side, message) {
            let words = self.leg(*side).told.clone();
            return self.refreshed(facts, turn, asked, words.as_deref());
        }
        let held_up = self.acking.is_some();
        self.exchange().modify(facts, turn, asked, held_up);
        if self.modify.is_some() && *message.method() == Method::Invite {
            turn.core.bind_server(key, facts.call);
        }
    }

    /// A re-INVITE that changes nothing: a refresh by session timer, or one that a cut would keep from the other side.
    fn only_refreshes(&mut self, turn: &Turn<'_>, side: Side, message: &Message) -> bool {
        let by_timer = message.header(Name::SessionExpires).is_some();
        let cut = !turn.core.carries(&self.leg(side.other()).hop);
        let leg = self.leg(side);
        let same = leg.said.is_some() && leg.said == leg::words_of(message) && leg.told.is_some();
        let free = self.modify.is_none() && self.acking.is_none();
        *message.method() == Method::Invite && same && free && (by_timer || cut)
    }

    /// Answers a refresh ourselves.
    fn refreshed(&mut self, facts: &Facts, turn: &mut Turn<'_>, asked: &Asked, words: Option<&str>) {
        let Asked { side, key, message, .. } = asked;
        if let Some(refusal) = watch::too_brief(turn, message) {
            return turn.respond(key, refusal);
        }
        let leg = self.leg(*side);
        let _unchanged = leg.dialog.refresh_target(message);
        leg.can = leg::Can::of(message);
        let answer = turn
            .answer_to(message, Status::OK)
            .contact(&turn.contact(&leg.hop, &leg.shows))
            .header(Name::Allow, ALLOW)
            .header(Name::Supported, SUPPORTED);
        let answer = identity::sign_response(turn, facts, *side, &leg.hop, answer);
        let answer = watch::grant(turn, leg, message, answer);
        let answer = match words {
            Some(words) => answer.body(SDP, words.as_bytes()),
            None => answer,
        };
        turn.respond(key, answer);
        if *message.method() == Method::Invite {
            turn.core.bind_server(key, facts.call);
            let asked = message.cseq().number;
            self.acking =
                Some(Acking { asker: *side, server: key.clone(), asked, first: false, onward: None });
        }
    }

    /// Tells a side who is at the other one now: by UPDATE, where its phone knows that (RFC 4916).
    pub(super) fn show_party(&mut self, facts: &Facts, turn: &mut Turn<'_>, to: Side) {
        let leg = self.leg(to);
        if !turn.core.carries(&leg.hop) || !(leg.can.update || leg.hop.is_cluster()) {
            return;
        }
        let request = super::exchange::request_on(facts, turn, leg, Method::Update);
        let hop = leg.hop.clone();
        turn.request(&hop, request, Purpose::Check(facts.call, to));
    }

    /// What became of a request that was passed on.
    pub(super) fn passed(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let response = match outcome {
            Ok(response) => response,
            Err(why) => return self.pass_failed(facts, turn, passed, why),
        };
        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
        if !status.is_final() {
            return Some(State::Talking(self));
        }
        let answerer = passed.from.other();
        let leg = self.leg(answerer);
        leg.heard = turn.now;
        // The relay's word that there is no way is not the far edge's word about the dialog.
        if leg.hop.is_cluster() && matches!(status.code(), 408 | 503) {
            return self.pass_failed(facts, turn, passed, Failure::Unreachable);
        }
        // A PRACK the phone did not wait for is no word about the dialog.
        if status == Status::NO_SUCH_CALL && *passed.request.method() != Method::Prack {
            self.exchange().pass_back(facts, turn, passed, &response);
            return self.end(facts, turn, Cause::LostPhone, EndedBy::System);
        }
        let answered = self.exchange().pass_back(facts, turn, passed, &response);
        let invite = *passed.request.method() == Method::Invite;
        if let Some(modify) = answered.filter(|_| status.is_success() && invite) {
            self.acking = Some(Acking {
                asker: passed.from,
                server: passed.server.clone(),
                asked: passed.request.cseq().number,
                first: false,
                onward: Some(Onward { client: modify.client, cseq: passed.cseq }),
            });
        }
        Some(State::Talking(self))
    }

    fn pass_failed(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        why: Failure,
    ) -> Option<State> {
        let lost = self.exchange().is_lost(passed, why);
        self.exchange().pass_failed(turn, passed, lost);
        if lost {
            self.end(facts, turn, Cause::LostPhone, EndedBy::System)
        } else {
            Some(State::Talking(self))
        }
    }

    pub(super) fn cancel_modify(&mut self, turn: &mut Turn<'_>, key: &ServerKey) {
        if let Some(modify) = self.modify.as_ref().filter(|modify| modify.server == *key) {
            turn.transact(LayerInput::Cancel { key: modify.client.clone() });
        }
    }

    pub(super) fn refuse_modify(&mut self, turn: &mut Turn<'_>) {
        refuse_modify(turn, &mut self.modify);
    }

    /// A PRACK that the answer overtook (RFC 3262 § 3).
    pub(super) fn late_prack(&mut self, facts: &Facts, turn: &mut Turn<'_>, asked: &Asked) {
        let Asked { key, message, .. } = asked;
        let Some(confirmed) = self.unconfirmed.take_if(|waiting| waiting.is_meant(message)) else {
            return turn.answer(key, message, Status::NO_SUCH_CALL);
        };
        match confirmed.far {
            Some(far) => {
                let rack = far.rack();
                self.exchange().pass_on(facts, turn, asked, |request| request.header(Name::RAck, rack));
            }
            None if super::reliable::has_words(message) => later(turn, key, message),
            None => turn.answer(key, message, Status::OK),
        }
    }
}
