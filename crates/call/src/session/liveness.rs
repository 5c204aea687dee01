//! Is the other end still there? A leg without session timer that has been silent for a while is asked by an OPTIONS
//! inside its dialog; one whose timer is ours is refreshed, by UPDATE, or by a re-INVITE that says what was said
//! before where its phone knows no UPDATE (RFC 4028 § 7.4); one that its phone refreshes is waited for.
//!
//! A phone that vanished frees its call within 90 s (DESIGN § 7); a member beyond a cut is left alone, and only its own
//! 481 ends the call.

use super::exchange::request_on;
use super::leg::Leg;
use super::talking::Talking;
use super::watch::{self, Watch};
use super::{Facts, Side, State};
use crate::core::{Purpose, SDP, Turn};
use crate::record::EndedBy;
use model::Cause;
use sip::transaction::Failure;
use sip::{ClientKey, Message, Method, Name, Request, Status};
use std::time::Duration;

/// How soon a phone is asked again after a question that was not answered, or could not even be sent.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Talking {
    /// Asks the legs that are due.
    pub(super) fn check(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        let settled = self.is_settled();
        for side in [Side::Caller, Side::Called] {
            let unacknowledged = self.acking.is_some();
            let leg = self.leg(side);
            if leg.watch.due().is_none_or(|due| due > turn.now) {
                continue;
            }
            match leg.watch {
                // The transaction that waits for the ACK judges the call (RFC 3261 § 13.3.1.4).
                _ if unacknowledged => leg.watch.put_off(turn.now + ASK_AGAIN),
                Watch::Asking { .. } => ask(facts, turn, leg),
                // An offer on its way is a sign of life soon, and would cross ours.
                Watch::Refreshing { .. } if !settled => leg.watch.put_off(turn.now + ASK_AGAIN),
                Watch::Refreshing { .. } => refresh(facts, turn, leg),
                Watch::Refreshed { .. } => return self.lost(facts, turn),
            }
        }
        Some(State::Talking(self))
    }

    /// What a leg said to it.
    pub(super) fn checked(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        side: Side,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let settings = turn.core.config.settings;
        let leg = self.leg(side);
        let response = outcome.ok();
        let status = response.as_ref().and_then(Message::status);
        if status.is_some_and(|status| !status.is_final()) {
            return Some(State::Talking(self));
        }
        if status == Some(Status::NO_SUCH_CALL) {
            return self.lost(facts, turn);
        }
        let silent = status.is_none_or(|status| status == Status::REQUEST_TIMEOUT);
        let no_way = leg.hop.is_cluster() && status == Some(Status::SERVICE_UNAVAILABLE);
        if !silent && !no_way {
            leg.heard = turn.now;
        }
        match response {
            Some(response) if !silent => refreshed(facts, turn, leg, &response),
            _ if !leg.hop.is_cluster() => {
                if turn.now >= leg.heard + settings.liveness_lost {
                    return self.lost(facts, turn);
                }
                leg.watch.put_off(turn.now + ASK_AGAIN);
            }
            _ => leg.watch.put_off(turn.now + settings.liveness_period),
        }
        Some(State::Talking(self))
    }

    fn lost(self: Box<Self>, facts: &Facts, turn: &mut Turn<'_>) -> Option<State> {
        self.end(facts, turn, Cause::LostPhone, EndedBy::System)
    }
}

/// It has answered: when it is asked next.
fn refreshed(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg, response: &Message) {
    let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
    let method = response.cseq().method.clone();
    if method == Method::Invite && status.is_success() {
        acknowledge_refresh(facts, turn, leg, response);
    }
    let (Watch::Refreshing { interval, .. }, true) = (leg.watch, method != Method::Options) else {
        return leg.watch.put_off(turn.now + turn.core.config.settings.liveness_period);
    };
    match status {
        _ if status.is_success() => watch::agree(turn, leg, response),
        Status::SESSION_INTERVAL_TOO_SMALL => {
            let interval = interval.max(watch::insisted(response));
            leg.watch = Watch::Refreshing { interval, next: Some(turn.now) };
        }
        // It knows no UPDATE after all.
        Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED if leg.can.update => {
            leg.can.update = false;
            leg.watch.put_off(turn.now);
        }
        Status::REQUEST_PENDING | Status::SERVER_INTERNAL_ERROR => leg.watch.put_off(turn.now + ASK_AGAIN),
        // It does not want to be refreshed: then it is asked.
        _ => leg.watch = Watch::asking(turn),
    }
}

fn acknowledge_refresh(facts: &Facts, turn: &mut Turn<'_>, leg: &Leg, response: &Message) {
    let via = turn.via(&leg.hop);
    let ack = leg.dialog.ack(response.cseq().number, &via);
    let ack = ack.header(Name::SessionId, facts.session_id(leg.side));
    turn.acknowledge(&ClientKey::of(response), &leg.hop, ack);
}

fn ask(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg) {
    let period = turn.core.config.settings.liveness_period;
    let heard_lately = turn.now < leg.heard + period;
    if heard_lately || !turn.core.carries(&leg.hop) {
        let from = if heard_lately { leg.heard } else { turn.now };
        return leg.watch.put_off(from + period);
    }
    let request = request_on(facts, turn, leg, Method::Options);
    leg.watch = Watch::Asking { next: None };
    send(facts, turn, leg, request, period);
}

fn refresh(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg) {
    let Watch::Refreshing { interval, .. } = leg.watch else { return };
    let request = match (&leg.told, leg.can.update) {
        (Some(told), false) => {
            let told = told.clone();
            request_on(facts, turn, leg, Method::Invite).body(SDP, told.as_bytes())
        }
        _ => request_on(facts, turn, leg, Method::Update),
    };
    leg.watch = Watch::Refreshing { interval, next: None };
    send(facts, turn, leg, request, ASK_AGAIN);
}

fn send(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg, request: Request, again: Duration) {
    let request = request.header(Name::Supported, "timer");
    if turn.request(&leg.hop, request, Purpose::Check(facts.call, leg.side)).is_none() {
        leg.watch.put_off(turn.now + again);
    }
}
