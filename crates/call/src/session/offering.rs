//! Offering: the call is with its branches, and nobody has answered.

use super::diversion::Diverting;
use super::exchange::{Exchange, Modify, Passed, accept, later, refuse_modify};
use super::invite::again;
use super::leg::Leg;
use super::reliable::{Reliable, has_words};
use super::{Asked, Event, Facts, Side, State, identity};
use crate::core::{ALLOW, SDP, Turn, passes_through};
use crate::headers::{self, cause_of, status_of};
use crate::hop::Hop;
use crate::record::{EndedBy, Party};
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::transaction::{Failure, Input as LayerInput};
use sip::{ClientKey, Message, Method, Name, Response, ServerKey, Status};
use std::time::Duration;

/// How long a phone that gives no sign holds up the others' refusal: with T1 of 500 ms it has been asked four times.
const SIGN_WITHIN: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Offering {
    pub(super) caller: Incoming,
    /// At least one.
    pub(super) branches: Vec<Branch>,
    /// When nobody has answered.
    pub(super) ring_until: Duration,
    /// An UPDATE of one side that the other has not answered yet.
    pub(super) modify: Option<Modify>,
}

/// The caller's leg before the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Incoming {
    pub(super) leg: Leg,
    pub(super) invite: Message,
    pub(super) key: ServerKey,
    pub(super) reliable: Reliable,
}

/// One INVITE of ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Branch {
    pub(super) key: ClientKey,
    pub(super) hop: Hop,
    pub(super) invite: Message,
    pub(super) reached: Reached,
    /// Whom it is for.
    pub(super) party: Party,
    pub(super) sent: Duration,
    /// The dialog that its first provisional response made.
    pub(super) early: Option<Leg>,
    /// The last reliable response of that dialog.
    pub(super) rseq: Option<u32>,
}

/// How far a branch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reached {
    /// No response.
    Nothing,
    /// A provisional response: somebody has it.
    Somebody,
    /// Its phone has sent the call elsewhere (3xx), and where that leads is being asked.
    Diverted,
    /// It has failed.
    End(Cause),
}

impl Offering {
    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
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
                self.caller.leg.moved(old, new);
                for early in self.branches.iter_mut().filter_map(|branch| branch.early.as_mut()) {
                    early.moved(old, new);
                }
                Some(State::Offering(self))
            }
            Event::Tick => self.tick(facts, turn),
            Event::Passed(passed, outcome) => {
                self.passed(facts, turn, &passed, outcome);
                Some(State::Offering(self))
            }
            Event::Routed(routed) => self.diverted(facts, turn, routed),
            Event::PickedUp(pick_up) => self.picked_up(facts, turn, &pick_up),
            Event::Checked(..)
            | Event::Ack(..)
            | Event::Unacknowledged(_)
            | Event::Joining(..)
            | Event::Brought(_) => Some(State::Offering(self)),
        }
    }

    fn tick(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        if turn.now >= self.ring_until {
            self.refuse(facts, turn, Cause::NoAnswer, EndedBy::System);
            return None;
        }
        if !self.caller.reliable.tick(turn, &self.caller.key) {
            // RFC 3262 § 3: a caller that never confirms is refused by a 5xx.
            self.refuse(facts, turn, Cause::TemporaryFailure, EndedBy::System);
            return None;
        }
        self.go_on_or_refuse(facts, turn)
    }

    /// When it wants a tick.
    pub(super) fn due(&self) -> Option<Duration> {
        let sign = self.waits_for_a_sign().then(|| self.sign_until()).flatten();
        [Some(self.ring_until), self.caller.reliable.due(), sign].into_iter().flatten().min()
    }

    fn response(
        mut self: Box<Self>,
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
            return self.refused(facts, turn, key, response, status);
        }
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == *key)
            && branch.reached == Reached::Nothing
        {
            branch.reached = Reached::Somebody;
        }
        if status != Status::TRYING {
            self.progress(facts, turn, key, response, status);
        }
        Some(State::Offering(self))
    }

    /// A branch says no, or "not like this", or "ask there".
    fn refused(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        response: &Message,
        status: Status,
    ) -> Option<State> {
        if let Some(branch) = self.branches.iter_mut().find(|branch| branch.key == *key)
            && !branch.hop.is_cluster()
        {
            if status == Status::SESSION_INTERVAL_TOO_SMALL && again(turn, facts.call, branch, response) {
                return Some(State::Offering(self));
            }
            if (300..400).contains(&status.code()) && branch.divert(facts, turn, response) == Diverting::Asked
            {
                return Some(State::Offering(self));
            }
        }
        let cause = self.cause_of_refusal(key, response);
        self.branch_failed(facts, turn, key, cause)
    }

    /// A response of ours inside the dialog with the caller.
    pub(super) fn to_caller(&self, facts: &Facts, turn: &Turn<'_>, status: Status) -> Response {
        let leg = &self.caller.leg;
        let response = Response::to(&self.caller.invite, status)
            .to_tag(leg.dialog.local_tag())
            .contact(&turn.contact(&leg.hop, &leg.shows))
            .header(Name::Allow, ALLOW);
        identity::sign_response(turn, facts, Side::Caller, &leg.hop, response)
    }

    pub(super) fn branch_failed(
        mut self: Box<Self>,
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
    pub(super) fn go_on_or_refuse(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
    ) -> Option<State> {
        let ends = || self.branches.iter().map(|branch| branch.end());
        let declined = ends().flatten().any(|cause| cause == Cause::Declined);
        let open = ends().any(|end| end.is_none());
        let silent = self.waits_for_a_sign() && self.sign_until().is_some_and(|until| until <= turn.now);
        if !declined && open && !silent {
            return Some(State::Offering(self));
        }
        let cause = ends().flatten().min_by_key(|cause| rank(*cause)).unwrap_or(Cause::TemporaryFailure);
        let by = if cause.is_by_the_called() { EndedBy::Called } else { EndedBy::System };
        self.refuse(facts, turn, cause, by);
        None
    }

    /// Everybody who lives has refused, and the rest has not given a sign: dead bindings, most likely, for which a
    /// caller must not wait 32 s to hear "busy".
    fn waits_for_a_sign(&self) -> bool {
        let refused = self.branches.iter().any(|branch| branch.end().is_some());
        let open = || self.branches.iter().filter(|branch| branch.end().is_none());
        refused && open().next().is_some() && open().all(|branch| branch.reached == Reached::Nothing)
    }

    fn sign_until(&self) -> Option<Duration> {
        let open = self.branches.iter().filter(|branch| branch.end().is_none());
        open.map(|branch| branch.sent + SIGN_WITHIN).max()
    }

    /// Ends the call before the answer: the caller is told the cause, the phones stop ringing.
    pub(super) fn refuse(&mut self, facts: &Facts, turn: &mut Turn<'_>, cause: Cause, by: EndedBy) {
        self.cancel_all_but(turn, None);
        refuse_modify(turn, &mut self.modify);
        let response = Response::to(&self.caller.invite, status_of(cause))
            .to_tag(self.caller.leg.dialog.local_tag())
            .header(Name::Reason, headers::reason_of(cause))
            .header(Name::SessionId, facts.session_id(Side::Caller));
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

    /// The legs of an early dialog, when there is just one phone it can be with.
    fn exchange(&mut self) -> Option<Exchange<'_>> {
        let [branch] = self.branches.as_mut_slice() else { return None };
        let called = branch.early.as_mut()?;
        Some(Exchange { caller: &mut self.caller.leg, called, modify: &mut self.modify })
    }

    /// The early leg that a request came on.
    fn early_leg(&mut self, asked: &Asked) -> Option<&mut Leg> {
        match asked.side {
            Side::Caller => Some(&mut self.caller.leg),
            Side::Called => self
                .branches
                .iter_mut()
                .filter_map(|branch| branch.early.as_mut())
                .find(|early| early.dialog.matches(&asked.message)),
        }
    }

    /// A request inside a dialog that nobody has answered yet.
    fn early_request(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        asked: &Asked,
    ) -> Option<State> {
        let Asked { side, key, message, .. } = asked;
        let Some(leg) = self.early_leg(asked) else {
            turn.answer(key, message, Status::NO_SUCH_CALL);
            return Some(State::Offering(self));
        };
        if !accept(turn, leg, asked) {
            return Some(State::Offering(self));
        }
        match (side, message.method()) {
            (Side::Caller, Method::Bye) => {
                turn.answer(key, message, Status::OK);
                self.refuse(facts, turn, Cause::Cancelled, EndedBy::Caller);
                return None;
            }
            (Side::Caller, Method::Prack) => self.pracked(facts, turn, asked),
            (_, Method::Update) => match self.exchange() {
                Some(mut exchange) => exchange.modify(facts, turn, asked, false),
                None => later(turn, key, message),
            },
            // The INVITE that makes the dialog is still open (RFC 3261 § 14.1).
            (_, Method::Invite) => turn.answer(key, message, Status::REQUEST_PENDING),
            (_, Method::Options) => {
                let response = turn.answer_to(message, Status::OK);
                turn.respond(key, response.header(Name::Allow, ALLOW).header(Name::Accept, SDP));
            }
            (_, method) if passes_through(method) => match self.exchange() {
                Some(mut exchange) => drop(exchange.pass_on(facts, turn, asked, |request| request)),
                None => later(turn, key, message),
            },
            // A called phone refuses its INVITE; it must not hang up what it has not answered (RFC 3261 § 15).
            (Side::Called, Method::Bye) => turn.answer(key, message, Status::NO_SUCH_CALL),
            (_, _) => later(turn, key, message),
        }
        Some(State::Offering(self))
    }

    /// The caller confirms a reliable response (RFC 3262 § 3): the phone that gave it hears so.
    fn pracked(&mut self, facts: &Facts, turn: &mut Turn<'_>, asked: &Asked) {
        let Asked { key, message, .. } = asked;
        let Some(confirmed) = self.caller.reliable.confirm(turn, &self.caller.key, message) else {
            return turn.answer(key, message, Status::NO_SUCH_CALL);
        };
        match (confirmed.far, self.exchange()) {
            (Some(far), Some(mut exchange)) => {
                let rack = far.rack();
                exchange.pass_on(facts, turn, asked, |request| request.header(Name::RAck, rack));
            }
            _ if has_words(message) => turn.answer(key, message, Status::NOT_ACCEPTABLE_HERE),
            _ => turn.answer(key, message, Status::OK),
        }
    }

    /// What became of a request that was passed on in an early dialog. Only the INVITE itself ends the call.
    fn passed(
        &mut self,
        facts: &Facts,
        turn: &mut Turn<'_>,
        passed: &Passed,
        outcome: Result<Message, Failure>,
    ) {
        let settled = match (outcome, self.exchange()) {
            (Ok(response), _) if response.status().is_some_and(|status| !status.is_final()) => return,
            (Ok(response), Some(mut exchange)) => {
                exchange.pass_back(facts, turn, passed, &response);
                true
            }
            (Err(why), Some(mut exchange)) => {
                let lost = exchange.is_lost(passed, why);
                exchange.pass_failed(turn, passed, lost);
                true
            }
            (_, None) => false,
        };
        if !settled {
            self.modify.take_if(|modify| modify.server == passed.server);
            turn.answer(&passed.server, &passed.request, Status::NO_SUCH_CALL);
        }
    }

    /// What nobody has taken yet will not be taken now. What rings, rings on (DESIGN § 2).
    fn cluster_down(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
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
    pub(super) fn give_up(&self, turn: &mut Turn<'_>) {
        turn.core.drop_branch(&self.key, &self.invite);
        let key = self.key.clone();
        turn.transact(match self.hop {
            Hop::Cluster => LayerInput::Abandon { key },
            Hop::Phone(_) => LayerInput::Cancel { key },
        });
    }

    pub(super) fn end(&self) -> Option<Cause> {
        match self.reached {
            Reached::End(cause) => Some(cause),
            Reached::Nothing | Reached::Somebody | Reached::Diverted => None,
        }
    }
}

/// Of several failures the one that says most is told: what a person did, before what a machine failed to do.
pub(super) fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::Declined => 0,
        Cause::Busy => 1,
        Cause::IncompatibleMedia => 2,
        Cause::NoAnswer => 3,
        Cause::NoUserResponding | Cause::SubscriberAbsent => 5,
        _ => 4,
    }
}
