//! Before the answer: what a phone's provisional response makes (an early dialog), and what of it the caller hears.
//!
//! One dialog towards the caller stands for all phones. With one phone its ringing, early media and reliable
//! responses pass as they are, however many; with several ringing, early media of one would shut out the others'
//! (RFC 3960 § 3.1), so the caller hears its own ringing tone.

use super::exchange::request_on;
use super::leg::{Leg, agreed};
use super::offering::{Branch, Offering};
use super::reliable::{Far, Wish};
use super::{Facts, Side};
use crate::core::{Purpose, Turn};
use sip::{ClientKey, Dialog, Message, Method, Name, Status};

/// What a provisional response means for its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It comes again, or out of order (RFC 3262 § 4).
    Again,
    /// From the phone of this branch.
    Phone,
    /// From a further phone behind the same address.
    Fork,
}

impl Branch {
    /// Takes a provisional response: its dialog, its number.
    pub(super) fn hears(
        &mut self,
        facts: &Facts,
        turn: &Turn<'_>,
        side: Side,
        response: &Message,
        far: Option<&Far>,
    ) -> Heard {
        if response.to_tag().is_none() {
            return Heard::Phone;
        }
        match &mut self.early {
            Some(early) if early.dialog.matches(response) => {
                if let (Some(last), Some(far)) = (self.rseq, far)
                    && far.rseq != last.wrapping_add(1)
                {
                    return Heard::Again;
                }
                // A Contact that cannot be read leaves the target as it was.
                let _unchanged = early.dialog.confirm(response);
            }
            Some(_) => return Heard::Fork,
            None => {
                let Ok(dialog) = Dialog::as_caller(&self.invite, response) else { return Heard::Phone };
                self.early = Some(Leg::new(turn, side, &self.hop, dialog, facts.shown_to(side), response));
            }
        }
        if let Some(far) = far {
            self.rseq = Some(far.rseq);
        }
        Heard::Phone
    }
}

/// Confirms a reliable response that goes no further. Its offer, if it has one, must not stay unanswered
/// (RFC 3262 § 5): such a response is left unconfirmed, and its phone gives up.
pub(super) fn confirm(
    facts: &Facts,
    turn: &mut Turn<'_>,
    branch: &mut Branch,
    response: &Message,
    far: &Far,
) {
    if branch.invite.body().is_empty() && !response.body().is_empty() {
        return;
    }
    let Ok(dialog) = Dialog::as_caller(&branch.invite, response) else { return };
    let mut fork = Leg::new(turn, Side::Called, &branch.hop, dialog, "", response);
    let leg = match &mut branch.early {
        Some(early) if early.dialog.matches(response) => early,
        _ => &mut fork,
    };
    let prack = request_on(facts, turn, leg, Method::Prack).header(Name::RAck, far.rack());
    let hop = leg.hop.clone();
    turn.request(&hop, prack, Purpose::Unheeded(facts.call));
}

impl Offering {
    /// Relays a provisional response to the caller.
    pub(super) fn progress(
        &mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        response: &Message,
        status: Status,
    ) {
        let forked = self.branches.len() > 1;
        let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == *key) else { return };
        facts.learn(&mut turn.core.tokens, &branch.hop, response);
        let mut far = Far::of(key, response);
        let heard = branch.hears(facts, turn, Side::Called, response, far.as_ref());
        // That a fork has ended (RFC 6228) tells the caller nothing.
        if heard == Heard::Again || status == Status::EARLY_DIALOG_TERMINATED {
            return;
        }
        let alone = !forked && heard == Heard::Phone;
        let reliably = alone && self.caller.reliable.wish != Wish::Unknown;
        if let Some(confirmed) = far.take_if(|_| !reliably) {
            confirm(facts, turn, branch, response, &confirmed);
        }
        if let Some(early) = branch.early.as_mut().filter(|_| far.is_some()) {
            agreed(&mut self.caller.leg, early, &self.caller.invite);
            agreed(early, &mut self.caller.leg, response);
        }
        let relayed = self.to_caller(facts, turn, if alone { status } else { Status::RINGING });
        // Ours has no words where the caller requires reliable ones: an answer in it would bind the phone, which has not
        // promised anything yet.
        let required = self.caller.reliable.wish == Wish::Required;
        let with_words = alone && (far.is_some() || !required);
        let relayed = if with_words { relayed.body_of(response) } else { relayed };
        if far.is_some() || required {
            self.caller.reliable.send(turn, &self.caller.key, relayed, far);
        } else {
            turn.respond(&self.caller.key, relayed);
        }
        if facts.ringing.is_none() {
            facts.ringing = Some(turn.now);
            facts.show(turn);
        }
    }
}
