//! Offering: the call is with its branches, and nobody has answered.

use super::{Asked, Event, Facts, Side, State};
use crate::core::{ALLOW, Turn};
use crate::headers::{self, cause_of, status_of};
use crate::hop::Hop;
use crate::record::EndedBy;
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::transaction::{Failure, Input as LayerInput};
use sip::{ClientKey, Message, Method, Name, Response, ServerKey, Status};
use std::time::Duration;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Offering {
    pub(super) caller: Incoming,
    /// At least one.
    pub(super) branches: Vec<Branch>,
    /// When nobody has answered.
    pub(super) ring_until: Duration,
}

/// The caller's leg before the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Incoming {
    pub(super) hop: Hop,
    pub(super) invite: Message,
    pub(super) key: ServerKey,
    /// Our tag towards the caller.
    pub(super) tag: String,
}

/// One INVITE of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Branch {
    pub(super) key: ClientKey,
    pub(super) hop: Hop,
    pub(super) invite: Message,
    pub(super) reached: Reached,
}

/// How far a branch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reached {
    /// No response.
    Nothing,
    /// A provisional response: somebody has it.
    Somebody,
    /// It has failed.
    End(Cause),
}

impl Offering {
    pub(super) fn handle(mut self, facts: &mut Facts, turn: &mut Turn<'_>, event: Event) -> Option<State> {
        match event {
            Event::Cancelled(_) | Event::HangUp => {
                let cancelled = matches!(event, Event::Cancelled(_));
                let (cause, by) = if cancelled {
                    (Cause::Cancelled, EndedBy::Caller)
                } else {
                    (Cause::EndedByOperator, EndedBy::System)
                };
                self.refuse(facts, turn, cause, by);
                None
            }
            Event::Response(key, message) => self.response(facts, turn, &key, &message),
            Event::Failed(key, why) => {
                let cause = self.cause_of_failure(&key, why);
                self.branch_failed(facts, turn, &key, cause)
            }
            Event::Request(asked) => self.early_request(facts, turn, &asked),
            Event::ClusterDown => self.cluster_down(facts, turn),
            Event::Moved(old, new) => {
                if self.caller.hop == Hop::Phone(old) {
                    self.caller.hop = Hop::Phone(new);
                }
                Some(State::Offering(self))
            }
            Event::Tick if turn.now >= self.ring_until => {
                self.refuse(facts, turn, Cause::NoAnswer, EndedBy::System);
                None
            }
            Event::Tick
            | Event::Passed(..)
            | Event::Checked(..)
            | Event::Ack(..)
            | Event::Unacknowledged(_) => Some(State::Offering(self)),
        }
    }

    fn response(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        response: &Message,
    ) -> Option<State> {
        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
        if status.is_success() {
            return self.answered(facts, turn, key, response);
        }
        if status.is_final() {
            let cause = self.cause_of_refusal(key, response);
            return self.branch_failed(facts, turn, key, cause);
        }
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == *key)
            && branch.reached == Reached::Nothing
        {
            branch.reached = Reached::Somebody;
        }
        if status != Status::TRYING {
            self.progress(facts, turn, status, response);
        }
        Some(State::Offering(self))
    }

    /// Relays a provisional response. With several phones ringing, early media of one of them would shut out
    /// the others' (RFC 3960 § 3.1): the caller hears its own ringing tone then.
    fn progress(&self, facts: &mut Facts, turn: &mut Turn<'_>, status: Status, response: &Message) {
        let forked = self.branches.len() > 1;
        let media = !forked;
        let status = if forked { Status::RINGING } else { status };
        let relayed = self.to_caller(facts, turn, status);
        let relayed = if media { relayed.body_of(response) } else { relayed };
        turn.respond(&self.caller.key, relayed);
        if facts.ringing.is_none() {
            facts.ringing = Some(turn.now);
            facts.show(turn);
        }
    }

    /// A response of ours inside the dialog with the caller.
    pub(super) fn to_caller(&self, facts: &Facts, turn: &Turn<'_>, status: Status) -> Response {
        Response::to(&self.caller.invite, status)
            .to_tag(&self.caller.tag)
            .contact(&turn.contact(&self.caller.hop, &facts.dialled))
            .header(Name::Allow, ALLOW)
            .header(Name::SessionId, headers::session_id(&facts.session))
    }

    pub(super) fn branch_failed(
        mut self,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        cause: Cause,
    ) -> Option<State> {
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == *key) {
            branch.reached = Reached::End(cause);
        }
        self.go_on_or_refuse(facts, turn)
    }

    /// Refuses when all branches have failed, or one has spoken for all (a 6xx of RFC 3261 § 16.7).
    fn go_on_or_refuse(self, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        let ends = || self.branches.iter().map(|branch| branch.end());
        let declined = ends().flatten().any(|cause| cause == Cause::Declined);
        if !declined && ends().any(|end| end.is_none()) {
            return Some(State::Offering(self));
        }
        let cause = ends().flatten().min_by_key(|cause| rank(*cause)).unwrap_or(Cause::TemporaryFailure);
        let by = if cause.is_by_the_called() { EndedBy::Called } else { EndedBy::System };
        self.refuse(facts, turn, cause, by);
        None
    }

    /// Ends the call before the answer: the caller is told the cause, the phones stop ringing.
    pub(super) fn refuse(&self, facts: &Facts, turn: &mut Turn<'_>, cause: Cause, by: EndedBy) {
        self.cancel_all_but(turn, None);
        let response = Response::to(&self.caller.invite, status_of(cause))
            .to_tag(&self.caller.tag)
            .header(Name::Reason, headers::reason_of(cause))
            .header(Name::SessionId, headers::session_id(&facts.session));
        turn.respond(&self.caller.key, response);
        facts.end(turn, cause, by);
    }

    pub(super) fn cancel_all_but(&self, turn: &mut Turn<'_>, winner: Option<&ClientKey>) {
        for branch in &self.branches {
            if branch.end().is_none() && Some(&branch.key) != winner {
                branch.give_up(turn);
            }
        }
    }

    /// Before the answer a dialog is too young for anything but its end.
    fn early_request(self, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { key, message, .. } = asked;
        match (asked.side, message.method()) {
            (Side::Caller, Method::Bye) => {
                turn.answer(key, message, Status::OK);
                self.refuse(facts, turn, Cause::Cancelled, EndedBy::Caller);
                None
            }
            (Side::Caller, _) => {
                let response = turn.answer_to(message, Status::SERVER_INTERNAL_ERROR);
                turn.respond(key, response.header(Name::RetryAfter, "2"));
                Some(State::Offering(self))
            }
            (Side::Called, _) => {
                turn.answer(key, message, Status::NO_SUCH_CALL);
                Some(State::Offering(self))
            }
        }
    }

    /// What nobody has taken yet will not be taken now. What rings, rings on (DESIGN § 2).
    fn cluster_down(mut self, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        for branch in &mut self.branches {
            if branch.hop.is_cluster() && branch.reached == Reached::Nothing {
                branch.give_up(turn);
                branch.reached = Reached::End(Cause::UnreachableByCut);
            }
        }
        self.go_on_or_refuse(facts, turn)
    }

    fn cause_of_failure(&self, key: &ClientKey, why: Failure) -> Cause {
        let cluster = self.branches.iter().any(|branch| branch.key == *key && branch.hop.is_cluster());
        match (why, cluster) {
            (Failure::Full, _) => Cause::Congestion,
            (_, true) => Cause::UnreachableByCut,
            (Failure::TimedOut, false) => Cause::NoUserResponding,
            (Failure::Unreachable, false) => Cause::SubscriberAbsent,
        }
    }

    /// The far edge has said its cause; a phone's bare 4xx is no word about rights or numbers of ours.
    fn cause_of_refusal(&self, key: &ClientKey, response: &Message) -> Cause {
        let cluster = self.branches.iter().any(|branch| branch.key == *key && branch.hop.is_cluster());
        match cause_of(response) {
            Cause::Barred | Cause::UnallocatedNumber | Cause::InvalidNumber if !cluster => Cause::Declined,
            Cause::SubscriberAbsent if !cluster => Cause::NoAnswer,
            Cause::UnreachableByCut if !cluster => Cause::TemporaryFailure,
            cause => cause,
        }
    }
}

impl Branch {
    /// Nobody waits for its answer any more. Over the cluster, where order is kept, an INVITE nobody has taken is
    /// not repeated: after a cut it would make the phone ring for nobody.
    fn give_up(&self, turn: &mut Turn<'_>) {
        turn.core.drop_branch(&self.key, &self.invite);
        let key = self.key.clone();
        turn.transact(match self.hop {
            Hop::Cluster => LayerInput::Abandon { key },
            Hop::Phone(_) => LayerInput::Cancel { key },
        });
    }

    fn end(&self) -> Option<Cause> {
        match self.reached {
            Reached::End(cause) => Some(cause),
            Reached::Nothing | Reached::Somebody => None,
        }
    }
}

/// Of several failures the one that says most is told: what a person did, before what a machine failed to do.
fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::Declined => 0,
        Cause::Busy => 1,
        Cause::IncompatibleMedia => 2,
        Cause::NoAnswer => 3,
        Cause::NoUserResponding | Cause::SubscriberAbsent => 5,
        _ => 4,
    }
}
