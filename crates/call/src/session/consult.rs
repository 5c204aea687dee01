//! The consultation call while its target is being joined: the transferor's leg of it waits aside, and is given back
//! if the join comes to nothing.

use super::exchange::{accept, later};
use super::leg::Leg;
use super::refer::Replaces;
use super::talking::Talking;
use super::{Asked, Facts, Session, State, parting};
use crate::core::{Ask, Turn};
use crate::owed;
use crate::record::EndedBy;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{Method, Status};

/// What is left of it when its target is taken out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Consult {
    pub(super) facts: Box<Facts>,
    /// The transferor's leg.
    pub(super) leg: Leg,
    gone: bool,
}

impl Consult {
    /// Takes an answered call apart: what waits, and the target's leg. The talking is given back when it is not the one
    /// meant, or something is on its way in it.
    pub(super) fn of(
        facts: Box<Facts>,
        mut talking: Box<Talking>,
        replaces: &Replaces,
    ) -> Result<(Consult, Leg), (Box<Facts>, Box<Talking>)> {
        let of_caller = replaces.names(&talking.caller);
        let named = of_caller || replaces.names(&talking.called);
        if !named || !talking.is_settled() || replaces.early_only {
            return Err((facts, talking));
        }
        // Questions on their way are answered to nobody; both legs are asked anew later.
        talking.caller.watch.wake();
        talking.called.watch.wake();
        let Talking { caller, called, .. } = *talking;
        let (leg, target) = if of_caller { (caller, called) } else { (called, caller) };
        Ok((Consult { facts, leg, gone: false }, target))
    }

    /// The transferor's phone does something in it.
    pub(super) fn request(&mut self, turn: &mut Turn<'_>, asked: &Asked) {
        let Asked { key, message, .. } = asked;
        if self.gone {
            return turn.answer(key, message, Status::NO_SUCH_CALL);
        }
        if !accept(turn, &mut self.leg, asked) {
            return;
        }
        match message.method() {
            Method::Bye => {
                turn.answer(key, message, Status::OK);
                self.gone = true;
            }
            Method::Options => turn.answer(key, message, Status::OK),
            Method::Invite => turn.answer(key, message, Status::REQUEST_PENDING),
            _ => later(turn, key, message),
        }
    }

    /// The join came to nothing: the call is as it was, or over if its transferor hung up meanwhile.
    pub(super) fn restore(self, turn: &mut Turn<'_>, mut target: Leg) {
        let Consult { facts, leg, gone } = self;
        target.side = leg.side.other();
        if gone {
            facts.end(turn, Cause::NormalClearing, leg.side.ended());
            owed::bye(turn, &facts, &mut target, Cause::NormalClearing);
            turn.ask(Ask::Over(facts.call));
            return;
        }
        for leg in [&leg, &target] {
            turn.core.bind_tag(leg.dialog.local_tag(), facts.call, leg.side);
        }
        let of_caller = leg.side == super::Side::Caller;
        let (caller, called) = if of_caller { (leg, target) } else { (target, leg) };
        let talking = Talking { caller, called, acking: None, modify: None, unconfirmed: None };
        turn.ask(Ask::Keep(Box::new(Session { facts, state: State::Talking(Box::new(talking)) })));
    }

    /// Its target is joined to somebody else: its record is written, its transferor parts.
    pub(super) fn dissolve(self, turn: &mut Turn<'_>) {
        let Consult { facts, leg, gone } = self;
        facts.end(turn, Cause::NormalClearing, EndedBy::System);
        let call = facts.call;
        if !gone {
            parting::part(turn, &facts, leg);
        }
        turn.ask(Ask::Over(call));
    }
}
