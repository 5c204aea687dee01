//! What one side asks of the other inside a call, early or answered: re-INVITE and UPDATE (hold, resume, new media),
//! PRACK, INFO and MESSAGE. Each is passed on with its body, and the answer is passed back.
//!
//! Only one offer travels at a time: a crossing one is glare and gets 491 (RFC 3261 § 14.2, RFC 3311 § 5.2), a second
//! one of the same side 500 with Retry-After. Across a cut such a request gets 500 with Retry-After, never 408 or 481:
//! those would end the dialog (DESIGN § 2).

use super::leg::{Can, Leg, agreed};
use super::{Asked, Facts, Side, identity, watch};
use crate::core::{ALLOW, Purpose, SUPPORTED, Turn};
use crate::io::Fault;
use serde::{Deserialize, Serialize};
use sip::transaction::{Failure, Input as LayerInput};
use sip::{ClientKey, MAX_FORWARDS, Message, Method, Name, Request, Response, ServerKey, Status};

/// When a phone may try again what a cut or another offer stands against.
const RETRY_AFTER_S: &str = "5";

/// A request that was passed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Passed {
    pub(super) from: Side,
    /// The request as it came, for its answer.
    pub(super) request: Message,
    pub(super) server: ServerKey,
    /// The CSeq it got on the other side.
    pub(super) cseq: u32,
}

/// An offer on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Modify {
    pub(super) from: Side,
    pub(super) server: ServerKey,
    pub(super) client: ClientKey,
    /// For the answer when the call ends before the offer is answered.
    pub(super) request: Message,
}

/// Two legs that talk to each other, and the offer on its way between them.
pub(super) struct Exchange<'a> {
    pub(super) caller: &'a mut Leg,
    pub(super) called: &'a mut Leg,
    pub(super) modify: &'a mut Option<Modify>,
}

impl Exchange<'_> {
    fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Caller => self.caller,
            Side::Called => self.called,
        }
    }

    /// The leg at `side`, and the other one.
    pub(super) fn pair_from(&mut self, side: Side) -> (&mut Leg, &mut Leg) {
        match side {
            Side::Caller => (self.caller, self.called),
            Side::Called => (self.called, self.caller),
        }
    }

    /// A re-INVITE or UPDATE of one side. `held_up` while a 2xx waits for its ACK.
    pub(super) fn modify(&mut self, facts: &Facts, turn: &mut Turn<'_>, asked: &Asked, held_up: bool) {
        let Asked { side, key, message, .. } = asked;
        if let Some(refusal) = watch::too_brief(turn, message) {
            return turn.respond(key, refusal);
        }
        match &self.modify {
            Some(modify) if modify.from == *side => return later(turn, key, message),
            Some(_) => return turn.answer(key, message, Status::REQUEST_PENDING),
            None if held_up => return turn.answer(key, message, Status::REQUEST_PENDING),
            None => {}
        }
        // A Contact that cannot be read leaves the target as it was.
        let _unchanged = self.leg(*side).dialog.refresh_target(message);
        self.leg(*side).can = Can::of(message);
        let client = self.pass_on(facts, turn, asked, |request| request);
        if *message.method() == Method::Invite {
            turn.core.bind_server(key, facts.call);
        }
        let request = message.clone();
        *self.modify = client.map(|client| Modify { from: *side, server: key.clone(), client, request });
    }

    /// Hands a request to the other side. `None` when it was answered at once instead.
    pub(super) fn pass_on(
        &mut self,
        facts: &Facts,
        turn: &mut Turn<'_>,
        asked: &Asked,
        with: impl FnOnce(Request) -> Request,
    ) -> Option<ClientKey> {
        let Asked { side, key, message, .. } = asked;
        let leg = self.leg(side.other());
        if !turn.core.carries(&leg.hop) {
            later(turn, key, message);
            return None;
        }
        let hops = message.max_forwards().unwrap_or(MAX_FORWARDS);
        if hops == 0 {
            turn.answer(key, message, Status::TOO_MANY_HOPS);
            return None;
        }
        let request = request_on(facts, turn, leg, message.method().clone());
        let request = with(request.max_forwards(hops.saturating_sub(1))).body_of(message);
        let hop = leg.hop.clone();
        match request.message() {
            Ok(request) => {
                let cseq = request.cseq().number;
                let passed = Passed { from: *side, request: message.clone(), server: key.clone(), cseq };
                Some(turn.send(&hop, request, Purpose::Passed(facts.call, passed)))
            }
            Err(fault) => {
                turn.fault(Fault::Unbuildable(fault.to_string()));
                turn.answer(key, message, Status::SERVER_INTERNAL_ERROR);
                None
            }
        }
    }

    /// The answer goes back to the side that asked. Gives back the offer that it answers.
    pub(super) fn pass_back(
        &mut self,
        facts: &Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        response: &Message,
    ) -> Option<Modify> {
        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
        let was = self.settle(passed);
        if *passed.request.method() == Method::Invite && was.is_none() {
            // A 2xx repeated before its ACK: the one that asked has it already.
            return None;
        }
        let (asker, answerer) = self.pair_from(passed.from);
        let mut answer =
            turn.answer_to(&passed.request, status).header(Name::SessionId, facts.session_id(passed.from));
        for name in [Name::RetryAfter, Name::Warning, Name::Unsupported, Name::Accept] {
            if let Some(value) = response.header(name) {
                answer = answer.header(name, value);
            }
        }
        if status.is_success() && was.is_some() {
            let _unchanged = answerer.dialog.refresh_target(response);
            watch::agree(turn, answerer, response);
            agreed(asker, answerer, &passed.request);
            agreed(answerer, asker, response);
            answer = answer.contact(&turn.contact(&asker.hop, &asker.shows)).header(Name::Allow, ALLOW);
            answer = watch::grant(turn, asker, &passed.request, answer).header(Name::Supported, SUPPORTED);
        }
        turn.respond(&passed.server, answer.body_of(response));
        was
    }

    /// No answer came: the side that asked may try again, or is told that the other one does not react.
    pub(super) fn pass_failed(&mut self, turn: &mut Turn<'_>, passed: &Passed, lost: bool) {
        self.settle(passed);
        if lost {
            turn.answer(&passed.server, &passed.request, Status::REQUEST_TIMEOUT);
        } else {
            later(turn, &passed.server, &passed.request);
        }
    }

    /// True when the silence of the other side means that its phone is lost: it was asked in vain for 64*T1. Across the
    /// cluster, or when its connection just broke, the call stays as it is: liveness knows when it is lost.
    pub(super) fn is_lost(&mut self, passed: &Passed, why: Failure) -> bool {
        !self.leg(passed.from.other()).hop.is_cluster() && why == Failure::TimedOut
    }

    fn settle(&mut self, passed: &Passed) -> Option<Modify> {
        self.modify.take_if(|modify| modify.server == passed.server)
    }
}

/// A request of ours on an established leg, with all that every such request says.
pub(super) fn request_on(facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg, method: Method) -> Request {
    let via = turn.via(&leg.hop);
    let refreshes = matches!(method, Method::Invite | Method::Update);
    let request = leg.dialog.request(method, &via);
    if !refreshes {
        return request.header(Name::SessionId, facts.session_id(leg.side));
    }
    let request = request.contact(&turn.contact(&leg.hop, &leg.shows)).header(Name::Allow, ALLOW);
    let request = identity::sign(turn, facts, leg.side, &leg.hop, request);
    watch::repeat(leg, request)
}

/// Judges a request that came on a leg: the right dialog, the next number. False when it has been refused.
pub(super) fn accept(turn: &mut Turn<'_>, leg: &mut Leg, asked: &Asked) -> bool {
    let Asked { key, from, message, .. } = asked;
    // The phones' dialogs live on flows, the members' ones on the cluster; nobody changes over.
    if leg.hop.is_cluster() != from.is_cluster() || !leg.dialog.matches(message) {
        turn.answer(key, message, Status::NO_SUCH_CALL);
        return false;
    }
    if leg.dialog.accept(message).is_err() {
        turn.answer(key, message, Status::SERVER_INTERNAL_ERROR);
        return false;
    }
    leg.hop = from.clone().towards(&leg.dialog.target);
    leg.heard = turn.now;
    true
}

/// An offer that the end of the call overtakes is answered, so that its transaction ends too.
pub(super) fn refuse_modify(turn: &mut Turn<'_>, modify: &mut Option<Modify>) {
    if let Some(modify) = modify.take() {
        turn.transact(LayerInput::Cancel { key: modify.client.clone() });
        turn.answer(&modify.server, &modify.request, Status::REQUEST_TERMINATED);
    }
}

/// 500 with Retry-After: not now, and the dialog lives.
pub(super) fn later(turn: &mut Turn<'_>, key: &ServerKey, message: &Message) {
    let response: Response = turn.answer_to(message, Status::SERVER_INTERNAL_ERROR);
    turn.respond(key, response.header(Name::RetryAfter, RETRY_AFTER_S));
}
