//! Is the other end still there? Each leg that has been silent for a while is asked by an OPTIONS inside its
//! dialog. A phone that vanished frees its call within 90 s (DESIGN § 7); a member beyond a cut is left alone, and
//! only its own 481 ends the call.

use super::talking::Talking;
use super::{Facts, Leg, Side, State};
use crate::core::{Purpose, Turn};
use crate::headers;
use crate::record::EndedBy;
use model::Cause;
use sip::transaction::Failure;
use sip::{Message, Method, Name, Status};
use std::time::Duration;

/// How soon a phone is asked again after a question that could not even be sent.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Talking {
    /// Asks the legs that are due.
    pub(super) fn check(mut self, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        for side in [Side::Caller, Side::Called] {
            let unacknowledged = self.acking.is_some();
            let leg = self.leg(side);
            if unacknowledged {
                // The transaction that waits for the ACK judges the call (RFC 3261 § 13.3.1.4).
                leg.next_check = leg.next_check.map(|due| due.max(turn.now + ASK_AGAIN));
            } else if leg.next_check.is_some_and(|due| due <= turn.now) {
                ask(facts, turn, leg, side);
            }
        }
        Some(State::Talking(self))
    }

    /// What a leg said to it.
    pub(super) fn checked(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        side: Side,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let settings = turn.core.config.settings;
        let now = turn.now;
        let leg = self.leg(side);
        let status = outcome.as_ref().ok().and_then(Message::status);
        if status.is_some_and(|status| !status.is_final()) {
            return Some(State::Talking(self));
        }
        if status == Some(Status::NO_SUCH_CALL) {
            return self.lost(facts, turn);
        }
        let silent = status.is_none_or(|status| status == Status::REQUEST_TIMEOUT);
        let no_way = leg.hop.is_cluster() && status == Some(Status::SERVICE_UNAVAILABLE);
        if !silent && !no_way {
            leg.heard = now;
        }
        if silent && !leg.hop.is_cluster() {
            if now >= leg.heard + settings.liveness_lost {
                return self.lost(facts, turn);
            }
            leg.next_check = Some(now + ASK_AGAIN);
        } else {
            leg.next_check = Some(now + settings.liveness_period);
        }
        Some(State::Talking(self))
    }

    fn lost(self, facts: &Facts, turn: &mut Turn<'_>) -> Option<State> {
        self.end(facts, turn, Cause::LostPhone, EndedBy::System)
    }
}

fn ask(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg, side: Side) {
    let period = turn.core.config.settings.liveness_period;
    let heard_lately = turn.now < leg.heard + period;
    if heard_lately || !turn.core.carries(&leg.hop) {
        let from = if heard_lately { leg.heard } else { turn.now };
        leg.next_check = Some(from + period);
        return;
    }
    let via = turn.via(&leg.hop);
    let request = leg
        .dialog
        .request(Method::Options, &via)
        .header(Name::SessionId, headers::session_id(&facts.session));
    leg.next_check = None;
    if turn.request(&leg.hop, request, Purpose::Check(facts.call, side)).is_none() {
        leg.next_check = Some(turn.now + period);
    }
}
