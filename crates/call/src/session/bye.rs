//! The end of an answered call.

use super::closing::Closing;
use super::talking::Talking;
use super::{Asked, Facts, Side, State};
use crate::core::Turn;
use crate::headers::q850_of;
use crate::owed;
use crate::record::EndedBy;
use model::Cause;
use sip::{Message, Status};

impl Talking {
    /// One side hangs up. It is answered at once, whatever lies between us and the other side.
    pub(super) fn bye(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        asked: &Asked,
    ) -> Option<State> {
        let Asked { side, key, message, .. } = asked;
        turn.answer(key, message, Status::OK);
        let cause = self.cause_of_bye(*side, message);
        self.refuse_modify(turn);
        let by = if cause == Cause::NormalClearing { side.ended() } else { EndedBy::System };
        facts.end(turn, cause, by);
        self.hang_up(facts, turn, side.other(), cause)
    }

    /// We end the call: both sides are hung up.
    pub(super) fn end(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        cause: Cause,
        by: EndedBy,
    ) -> Option<State> {
        self.refuse_modify(turn);
        facts.end(turn, cause, by);
        let owes = self.acking.as_ref().map(|acking| acking.asker);
        // The side that still owes an ACK may have to wait for its BYE, so it comes last.
        let last = owes.unwrap_or(Side::Called);
        let acking = self.acking.clone();
        if let Some(acking) = &acking {
            self.acknowledge(facts, turn, acking, None);
        }
        owed::bye(turn, facts, self.leg(last.other()), cause);
        self.hang_up_last(facts, turn, last, cause)
    }

    /// The other side has hung up; `side` is told.
    fn hang_up(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        side: Side,
        cause: Cause,
    ) -> Option<State> {
        let Some(acking) = self.acking.clone() else {
            owed::bye(turn, facts, self.leg(side), cause);
            return None;
        };
        if acking.asker == side.other() {
            // The one that asked hung up in place of its ACK: the answerer gets both from us.
            self.acknowledge(facts, turn, &acking, None);
            owed::bye(turn, facts, self.leg(side), cause);
            return None;
        }
        self.hang_up_last(facts, turn, side, cause)
    }

    /// A BYE must not overtake the 2xx that its receiver has not acknowledged yet (RFC 3261 § 15).
    fn hang_up_last(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        side: Side,
        cause: Cause,
    ) -> Option<State> {
        match self.acking.take_if(|acking| acking.asker == side) {
            Some(acking) => {
                let leg = self.leg(side).clone();
                Some(State::Closing(Box::new(Closing { leg, side, server: acking.server, cause })))
            }
            None => {
                owed::bye(turn, facts, self.leg(side), cause);
                None
            }
        }
    }

    /// A member says why in its Reason; of a phone every BYE is the person's.
    fn cause_of_bye(&mut self, side: Side, message: &Message) -> Cause {
        if !self.leg(side).hop.is_cluster() {
            return Cause::NormalClearing;
        }
        q850_of(message).and_then(Cause::from_q850).unwrap_or(Cause::NormalClearing)
    }
}
