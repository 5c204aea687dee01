//! Parting: the leg of somebody who has transferred the call away. The call is no longer theirs and goes on without
//! them; their phone has been told so and hangs up, or is hung up.

use super::exchange::accept;
use super::leg::Leg;
use super::{Asked, Event, Facts, Session, Side, State};
use crate::core::{Ask, Turn};
use crate::owed;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{Method, Status};
use std::time::Duration;

/// How long a phone has to hang up itself.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Parting {
    leg: Leg,
    pub(super) until: Duration,
}

/// `leg` leaves its call and has one of its own from now on.
pub(super) fn part(turn: &mut Turn<'_>, facts: &Facts, mut leg: Leg) {
    let mut facts = Box::new(facts.clone());
    facts.call = turn.core.name_call();
    leg.side = Side::Caller;
    turn.core.bind_tag(leg.dialog.local_tag(), facts.call, leg.side);
    let parting = Parting { leg, until: turn.now + PATIENCE };
    turn.ask(Ask::Keep(Box::new(Session { facts, state: State::Parting(Box::new(parting)) })));
}

impl Parting {
    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match event {
            Event::Request(asked) => {
                if !accept(turn, &mut self.leg, &asked) {
                    return Some(State::Parting(self));
                }
                let Asked { key, message, .. } = asked;
                if *message.method() == Method::Bye {
                    turn.answer(&key, &message, Status::OK);
                    return None;
                }
                turn.answer(&key, &message, Status::NO_SUCH_CALL);
            }
            Event::Tick if self.until <= turn.now => {
                owed::bye(turn, facts, &mut self.leg, Cause::NormalClearing);
                return None;
            }
            Event::Moved(old, new) => self.leg.moved(old, new),
            Event::PickedUp(pick_up) => pick_up.refuse(turn, Status::NO_SUCH_CALL),
            _ => {}
        }
        Some(State::Parting(self))
    }
}
