//! What one side asks of the other inside a call: re-INVITE and UPDATE (hold, resume, new media), INFO and
//! MESSAGE. Each is passed on with its body, and the answer is passed back.
//!
//! Only one offer travels at a time: a crossing one is glare and gets 491 (RFC 3261 § 14.2), a second one of the
//! same side 500 with Retry-After. Across a cut such a request gets 500 with Retry-After, never 408 or 481: those
//! would end the dialog (DESIGN § 2).

use super::talking::{Acking, Talking};
use super::{Asked, Facts, Side, State};
use crate::core::{ALLOW, Purpose, Turn};
use crate::headers;
use crate::record::EndedBy;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::transaction::Failure;
use sip::{ClientKey, MAX_FORWARDS, Message, Method, Name, Response, ServerKey, Status};

/// When a phone may try again what a cut or another offer stands against.
const RETRY_AFTER_S: &str = "5";

/// A request that was passed on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Passed {
    from: Side,
    /// The request as it came, for its answer.
    request: Message,
    server: ServerKey,
    /// The CSeq it got on the other side.
    cseq: u32,
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

impl Talking {
    /// A re-INVITE or UPDATE of one side.
    pub(super) fn modify(mut self, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { side, key, message, .. } = asked;
        match &self.modify {
            Some(modify) if modify.from == *side => later(turn, key, message),
            Some(_) => turn.answer(key, message, Status::REQUEST_PENDING),
            None if self.acking.is_some() => turn.answer(key, message, Status::REQUEST_PENDING),
            None => {
                // A Contact that cannot be read leaves the target as it was.
                let _unchanged = self.leg(*side).dialog.refresh_target(message);
                let client = self.pass_on(facts, turn, asked);
                if *message.method() == Method::Invite {
                    turn.core.bind_server(key, facts.call);
                }
                let request = message.clone();
                self.modify =
                    client.map(|client| Modify { from: *side, server: key.clone(), client, request });
            }
        }
        Some(State::Talking(self))
    }

    /// Hands a request to the other side. `None` when it was answered at once instead.
    pub(super) fn pass_on(&mut self, facts: &Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<ClientKey> {
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
        let via = turn.via(&leg.hop);
        let mut request = leg
            .dialog
            .request(message.method().clone(), &via)
            .max_forwards(hops.saturating_sub(1))
            .header(Name::SessionId, headers::session_id(&facts.session));
        if matches!(message.method(), Method::Invite | Method::Update) {
            request = request.contact(&turn.contact(&leg.hop, &leg.shows)).header(Name::Allow, ALLOW);
        }
        let request = request.body_of(message);
        let hop = leg.hop.clone();
        match request.message() {
            Ok(request) => {
                let cseq = request.cseq().number;
                let passed = Passed { from: *side, request: message.clone(), server: key.clone(), cseq };
                Some(turn.send(&hop, request, Purpose::Passed(facts.call, passed)))
            }
            Err(fault) => {
                turn.fault(crate::io::Fault::Unbuildable(fault.to_string()));
                turn.answer(key, message, Status::SERVER_INTERNAL_ERROR);
                None
            }
        }
    }

    /// What became of a request that was passed on.
    pub(super) fn passed(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        passed: Passed,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let response = match outcome {
            Ok(response) => response,
            Err(why) => return self.pass_failed(facts, turn, &passed, why),
        };
        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
        if !status.is_final() {
            return Some(State::Talking(self));
        }
        let answerer = passed.from.other();
        let heard = turn.now;
        let leg = self.leg(answerer);
        leg.heard = heard;
        let across = leg.hop.is_cluster();
        // The relay's word that there is no way is not the far edge's word about the dialog.
        if across && matches!(status.code(), 408 | 503) {
            return self.pass_failed(facts, turn, &passed, Failure::Unreachable);
        }
        if status == Status::NO_SUCH_CALL {
            self.settle_modify(&passed);
            turn.answer(&passed.server, &passed.request, Status::NO_SUCH_CALL);
            return self.end(facts, turn, Cause::LostPhone, EndedBy::System);
        }
        self.pass_back(facts, turn, &passed, &response, status);
        Some(State::Talking(self))
    }

    fn pass_back(
        &mut self,
        facts: &Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        response: &Message,
        status: Status,
    ) {
        let was = self.settle_modify(passed);
        let invite = *passed.request.method() == Method::Invite;
        if invite && was.is_none() {
            // A 2xx repeated before its ACK: the one that asked has it already.
            return;
        }
        let mut answer = turn
            .answer_to(&passed.request, status)
            .header(Name::SessionId, headers::session_id(&facts.session));
        for name in [Name::RetryAfter, Name::Warning, Name::Unsupported, Name::Accept] {
            if let Some(value) = response.header(name) {
                answer = answer.header(name, value);
            }
        }
        if status.is_success() && was.is_some() {
            let _unchanged = self.leg(passed.from.other()).dialog.refresh_target(response);
            let leg = self.leg(passed.from);
            answer = answer.contact(&turn.contact(&leg.hop, &leg.shows)).header(Name::Allow, ALLOW);
        }
        if let Some(modify) = was.filter(|_| status.is_success() && invite) {
            self.acking = Some(Acking {
                answerer: passed.from.other(),
                client: modify.client,
                cseq: passed.cseq,
                server: passed.server.clone(),
                asked: passed.request.cseq().number,
            });
        }
        turn.respond(&passed.server, answer.body_of(response));
    }

    /// No answer to a request that was passed on. Across the cluster, or to a phone whose connection just broke, the
    /// call stays as it is: liveness knows when it is lost. A phone that is asked in vain for 64*T1 is lost.
    fn pass_failed(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        why: Failure,
    ) -> Option<State> {
        self.settle_modify(passed);
        let across = self.leg(passed.from.other()).hop.is_cluster();
        if across || why != Failure::TimedOut {
            later(turn, &passed.server, &passed.request);
            return Some(State::Talking(self));
        }
        turn.answer(&passed.server, &passed.request, Status::REQUEST_TIMEOUT);
        self.end(facts, turn, Cause::LostPhone, EndedBy::System)
    }

    fn settle_modify(&mut self, passed: &Passed) -> Option<Modify> {
        self.modify.take_if(|modify| modify.server == passed.server)
    }
}

/// 500 with Retry-After: not now, and the dialog lives.
fn later(turn: &mut Turn<'_>, key: &ServerKey, message: &Message) {
    let response: Response = turn.answer_to(message, Status::SERVER_INTERNAL_ERROR);
    turn.respond(key, response.header(Name::RetryAfter, RETRY_AFTER_S));
}
