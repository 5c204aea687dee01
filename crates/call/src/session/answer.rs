//! The answer: a branch's 2xx makes both dialogs, goes to the caller, and waits for the caller's ACK, which is
//! carried to the phone that answered. So an offer in the 2xx gets its answer end to end.

use super::leg::{Leg, agreed, words_of};
use super::offering::{Branch, Offering};
use super::talking::{Acking, Onward, Talking};
use super::{Facts, Side, State, watch};
use crate::core::{Purpose, SUPPORTED, Turn};
use crate::headers;
use crate::hop::Hop;
use crate::io::Output;
use crate::record::EndedBy;
use model::Cause;
use sip::transaction::Input as LayerInput;
use sip::{ClientKey, Dialog, Fault, Message, Method, Name, Status, Via};

impl Branch {
    /// The leg that a 2xx confirms: the early dialog of that phone, or a new one.
    pub(super) fn into_leg(
        self,
        facts: &Facts,
        turn: &Turn<'_>,
        side: Side,
        response: &Message,
    ) -> Result<Leg, Fault> {
        let early = self.early.filter(|early| early.dialog.matches(response));
        let mut leg = match early {
            Some(mut early) => {
                early.dialog.confirm(response)?;
                early.hop = self.hop.towards(&early.dialog.target);
                early
            }
            None => {
                let dialog = Dialog::as_caller(&self.invite, response)?;
                Leg::new(turn, side, &self.hop, dialog, facts.shown_to(side), response)
            }
        };
        leg.can = super::leg::Can::of(response);
        leg.heard = turn.now;
        watch::agree(turn, &mut leg, response);
        Ok(leg)
    }
}

impl Offering {
    pub(super) fn answered(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        response: &Message,
    ) -> Option<State> {
        let Some(index) = self.branches.iter().position(|branch| branch.key == *key) else {
            return Some(State::Offering(self));
        };
        self.cancel_all_but(turn, Some(key));
        let winner = self.branches.remove(index);
        self.branches.clear();
        facts.called = winner.party.clone();
        facts.learn(&mut turn.core.tokens, &winner.hop, response);
        let cseq = winner.invite.cseq().number;
        let Ok(mut called) = winner.into_leg(facts, turn, Side::Called, response) else {
            self.refuse(facts, turn, Cause::ProtocolError, EndedBy::System);
            return None;
        };
        let relayed = self.to_caller(facts, turn, Status::OK).header(Name::Supported, SUPPORTED);
        let caller = &mut self.caller;
        // Each side has what the other one said first; a reliable response or an UPDATE may have gone beyond it.
        if called.told.is_none() {
            agreed(&mut caller.leg, &mut called, &caller.invite);
        }
        agreed(&mut called, &mut caller.leg, response);
        let relayed = watch::grant(turn, &mut caller.leg, &caller.invite, relayed).body_of(response);
        turn.respond(&caller.key, relayed);
        caller.leg.dialog.confirmed();
        facts.answered = Some(turn.now);
        facts.show(turn);
        Some(State::Talking(Box::new(Talking {
            acking: Some(Acking {
                asker: Side::Caller,
                server: self.caller.key,
                asked: self.caller.invite.cseq().number,
                first: true,
                onward: Some(Onward { client: key.clone(), cseq }),
            }),
            modify: self.modify,
            unconfirmed: self.caller.reliable.into_unconfirmed(),
            caller: self.caller.leg,
            called,
        })))
    }
}

impl Talking {
    /// The ACK of the side that asked: it goes on to the side that answered.
    pub(super) fn acknowledged(&mut self, facts: &Facts, turn: &mut Turn<'_>, side: Side, ack: &Message) {
        let awaited = |acking: &Acking| acking.asker == side && acking.asked == ack.cseq().number;
        let Some(acking) = self.acking.take_if(|acking| awaited(acking)) else { return };
        // An ACK without words changes nothing that is kept.
        if words_of(ack).is_some() {
            let mut exchange = self.exchange();
            let (asker, answerer) = exchange.pair_from(side);
            agreed(asker, answerer, ack);
        }
        self.acknowledge(facts, turn, &acking, Some(ack));
    }

    /// Sends the ACK that `acking` owes its answerer.
    pub(super) fn acknowledge(
        &mut self,
        facts: &Facts,
        turn: &mut Turn<'_>,
        acking: &Acking,
        ack: Option<&Message>,
    ) {
        let Some(onward) = &acking.onward else { return };
        let leg = self.leg(acking.asker.other());
        let via = turn.via(&leg.hop);
        let request = leg.dialog.ack(onward.cseq, &via).header(Name::SessionId, facts.session_id(leg.side));
        let request = match ack {
            Some(ack) => request.body_of(ack),
            None => request,
        };
        let hop = leg.hop.clone();
        turn.acknowledge(&onward.client, &hop, request);
    }
}
/// A 2xx that nobody waits for any more: its INVITE was cancelled or lost the race. The phone believes in a call,
/// so it gets its ACK and then the BYE (RFC 3261 § 9.1, § 13.2.2.4).
pub(crate) fn hang_up_stray(turn: &mut Turn<'_>, key: Option<&ClientKey>, hop: &Hop, response: &Message) {
    let Some((ack, bye)) = ack_and_bye(turn, hop, response) else { return };
    match key {
        Some(key) => turn.transact(LayerInput::Acknowledge { key: key.clone(), to: hop.clone(), ack }),
        None => turn.out.push(Output::Send { to: hop.clone(), bytes: ack.to_bytes() }),
    }
    turn.send(hop, bye, Purpose::Bye(None));
}

/// A 2xx that comes again to a call that was restored: the ACK it waits for died with the process before.
pub(crate) fn acknowledge_stray(turn: &mut Turn<'_>, hop: &Hop, response: &Message) {
    if let Some((ack, _)) = ack_and_bye(turn, hop, response) {
        turn.out.push(Output::Send { to: hop.clone(), bytes: ack.to_bytes() });
    }
}

/// Both requests are made of the response alone: the dialog it opened is known to nobody else.
fn ack_and_bye(turn: &mut Turn<'_>, hop: &Hop, response: &Message) -> Option<(Message, Message)> {
    let sip::Contacts::List(contacts) = response.contacts().ok()? else { return None };
    let target = contacts.first()?.uri.for_request_line();
    let mut route = response.addresses(Name::RecordRoute).ok()?;
    route.reverse();
    let number = response.cseq().number;
    let request = |method: Method, number: u32, via: &Via| {
        sip::Request::new(method, &target)
            .via(via)
            .from(response.from())
            .to(response.to())
            .call_id(response.call_id())
            .cseq(number)
            .max_forwards(sip::MAX_FORWARDS)
            .route(&route)
    };
    let reason = headers::reason_of(Cause::Cancelled);
    let (ack_via, bye_via) = (turn.via(hop), turn.via(hop));
    let ack = request(Method::Ack, number, &ack_via).message().ok()?;
    let bye = request(Method::Bye, number + 1, &bye_via).header(Name::Reason, reason).message().ok()?;
    Some((ack, bye))
}
