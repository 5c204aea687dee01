//! The answer: a branch's 2xx makes both dialogs, goes to the caller, and waits for the caller's ACK, which is
//! carried to the phone that answered. So an offer in the 2xx gets its answer end to end.

use super::offering::Offering;
use super::talking::{Acking, Talking};
use super::{Facts, Leg, Side, State};
use crate::core::{Purpose, Turn};
use crate::headers;
use crate::hop::Hop;
use crate::io::Output;
use crate::record::EndedBy;
use model::Cause;
use sip::transaction::Input as LayerInput;
use sip::{ClientKey, Dialog, Message, Method, Name, Status, Via};

impl Offering {
    pub(super) fn answered(
        mut self,
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
        let dialogs = Dialog::as_caller(&winner.invite, response).and_then(|called| {
            Dialog::as_callee(&self.caller.invite, &self.caller.tag).map(|caller| (caller, called))
        });
        let Ok((caller, called)) = dialogs else {
            self.refuse(facts, turn, Cause::ProtocolError, EndedBy::System);
            return None;
        };
        let relayed = self.to_caller(facts, turn, Status::OK).body_of(response);
        turn.respond(&self.caller.key, relayed);
        facts.answered = Some(turn.now);
        facts.show(turn);
        let period = turn.core.config.settings.liveness_period;
        let leg = |hop: Hop, dialog: Dialog, shows: &str| Leg {
            hop: hop.towards(&dialog.target),
            dialog,
            shows: shows.to_owned(),
            heard: turn.now,
            next_check: Some(turn.now + period),
        };
        Some(State::Talking(Talking {
            caller: leg(self.caller.hop, caller, &facts.dialled),
            called: leg(winner.hop, called, &facts.caller.number),
            acking: Some(Acking {
                answerer: Side::Called,
                client: key.clone(),
                cseq: winner.invite.cseq().number,
                server: self.caller.key,
                asked: self.caller.invite.cseq().number,
            }),
            modify: None,
        }))
    }
}

impl Talking {
    /// The ACK of the side that asked: it goes on to the side that answered.
    pub(super) fn acknowledged(&mut self, facts: &Facts, turn: &mut Turn<'_>, side: Side, ack: &Message) {
        let awaited = |acking: &Acking| acking.answerer == side.other() && acking.asked == ack.cseq().number;
        let Some(acking) = self.acking.take_if(|acking| awaited(acking)) else { return };
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
        let leg = self.leg(acking.answerer);
        let via = turn.via(&leg.hop);
        let request =
            leg.dialog.ack(acking.cseq, &via).header(Name::SessionId, headers::session_id(&facts.session));
        let request = match ack {
            Some(ack) => request.body_of(ack),
            None => request,
        };
        let hop = leg.hop.clone();
        turn.acknowledge(&acking.client, &hop, request);
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
            .header(Name::Reason, headers::reason_of(Cause::Cancelled))
            .message()
            .ok()
    };
    let (ack_via, bye_via) = (turn.via(hop), turn.via(hop));
    Some((request(Method::Ack, number, &ack_via)?, request(Method::Bye, number + 1, &bye_via)?))
}
