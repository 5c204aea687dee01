//! Closing: the call is over and recorded, and one side must not be told before it has acknowledged its 2xx.

use super::leg::Leg;
use super::{Asked, Event, Facts, Side, State};
use crate::core::Turn;
use crate::owed;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{Method, ServerKey, Status};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Closing {
    pub(super) leg: Leg,
    pub(super) side: Side,
    /// The INVITE whose 2xx is repeated until its ACK comes or 64*T1 have passed.
    pub(super) server: ServerKey,
    pub(super) cause: Cause,
}

impl Closing {
    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match event {
            Event::Ack(side, _) if side == self.side => {
                owed::bye(turn, facts, &mut self.leg, self.cause);
                None
            }
            Event::Unacknowledged(key) if key == self.server => {
                owed::bye(turn, facts, &mut self.leg, self.cause);
                None
            }
            Event::Request(Asked { side, key, message, .. }) => {
                if side == self.side && *message.method() == Method::Bye {
                    turn.answer(&key, &message, Status::OK);
                    return None;
                }
                turn.answer(&key, &message, Status::NO_SUCH_CALL);
                Some(State::Closing(self))
            }
            Event::Moved(old, new) => {
                self.leg.moved(old, new);
                Some(State::Closing(self))
            }
            Event::PickedUp(pick_up) => {
                pick_up.refuse(turn, Status::DECLINE);
                Some(State::Closing(self))
            }
            _ => Some(State::Closing(self)),
        }
    }
}
