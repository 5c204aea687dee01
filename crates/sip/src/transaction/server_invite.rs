//! The server side of an INVITE (RFC 3261 §17.2.1 as changed by RFC 6026 §7.1), and the 2xx that is repeated until
//! its ACK comes (RFC 3261 §13.3.1.4), on every transport, because the loss may be a hop further.

use super::key::{same_transaction, via_of};
use super::{Effect, Limits, Resend, ServerEvent, TRYING_AFTER, Wire};
use crate::via::ViaRef;
use crate::{Message, Response, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// Unanswered. `trying_at` is set until the first provisional.
    Proceeding { request: Message, trying_at: Option<Duration>, provisional: Option<Said> },
    /// Refused; repeats it until the ACK. Timer G is `resend` (unreliable hops only), timer H `give_up_at`.
    Completed { response: Said, resend: Option<Resend>, give_up_at: Duration },
    /// The ACK of a refusal came; swallows what comes again. Timer I.
    Confirmed { until: Duration },
    /// Answered; repeats the 2xx until the ACK, then waits out timer L.
    Accepted { response: Said, resend: Option<Resend>, until: Duration },
    /// Over.
    Terminated,
}

/// A response of ours: what is kept of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    #[serde(with = "crate::frozen")]
    wire: Wire,
    /// Our tag.
    tag: Option<Box<str>>,
}

impl Said {
    fn of(response: &Message) -> Said {
        Said { wire: response.to_wire(), tag: response.to_tag().map(Box::from) }
    }

    fn send<H>(&self) -> Effect<H> {
        Effect::Send(self.wire.clone())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ServerInvite {
    reliable: bool,
    state: State,
}

impl ServerInvite {
    pub(super) fn start(now: Duration, request: Message, reliable: bool) -> ServerInvite {
        let state = State::Proceeding { request, trying_at: Some(now + TRYING_AFTER), provisional: None };
        ServerInvite { reliable, state }
    }

    /// True when a request with this Via is the one that began it, or its ACK or CANCEL.
    pub(super) fn is_of(&self, via: ViaRef<'_>) -> bool {
        match &self.state {
            State::Proceeding { request, .. } => same_transaction(request.via_ref(), via),
            State::Completed { response, .. } | State::Accepted { response, .. } => {
                via_of(&response.wire).is_none_or(|ours| same_transaction(ours, via))
            }
            State::Confirmed { .. } | State::Terminated => true,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// Not answered finally: a CANCEL still has something to cancel.
    pub(super) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// The 2xx whose ACK is awaited or was just seen.
    pub(super) fn accepted_tag(&self) -> Option<&str> {
        match &self.state {
            State::Accepted { response, .. } => response.tag.as_deref(),
            _ => None,
        }
    }

    /// True once the ACK of our 2xx came.
    pub(super) fn is_acknowledged(&self) -> bool {
        matches!(self.state, State::Accepted { resend: None, .. })
    }

    /// The tag we answered with so far.
    pub(super) fn our_tag(&self) -> Option<&str> {
        match &self.state {
            State::Proceeding { provisional: Some(response), .. }
            | State::Completed { response, .. }
            | State::Accepted { response, .. } => response.tag.as_deref(),
            _ => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Proceeding { trying_at, .. } => *trying_at,
            State::Completed { resend, give_up_at: until, .. } | State::Accepted { resend, until, .. } => {
                Some(resend.map_or(*until, |resend| resend.at.min(*until)))
            }
            State::Confirmed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    pub(super) fn step<H>(
        &mut self,
        now: Duration,
        limits: &Limits,
        event: ServerEvent<'_>,
        out: &mut Vec<Effect<H>>,
    ) {
        self.state = match std::mem::replace(&mut self.state, State::Terminated) {
            State::Proceeding { request, trying_at, provisional } => {
                self.proceeding(now, limits, (request, trying_at, provisional), event, out)
            }
            State::Completed { response, resend, give_up_at } => {
                self.completed(now, limits, (response, resend, give_up_at), event, out)
            }
            State::Confirmed { until } => match event {
                ServerEvent::Tick if until <= now => State::Terminated,
                _ => State::Confirmed { until },
            },
            State::Accepted { response, resend, until } => {
                accepted(now, limits, (response, resend, until), event, out)
            }
            State::Terminated => State::Terminated,
        };
    }

    fn proceeding<H>(
        &self,
        now: Duration,
        limits: &Limits,
        (request, trying_at, provisional): (Message, Option<Duration>, Option<Said>),
        event: ServerEvent<'_>,
        out: &mut Vec<Effect<H>>,
    ) -> State {
        match event {
            ServerEvent::Respond(response) => {
                let said = Said::of(response);
                out.push(said.send());
                self.responded(now, limits, request, (response.status(), said))
            }
            ServerEvent::Again if provisional.is_some() => {
                out.extend(provisional.iter().map(Said::send));
                State::Proceeding { request, trying_at, provisional }
            }
            ServerEvent::Tick if trying_at.is_none_or(|at| now < at) => {
                State::Proceeding { request, trying_at, provisional }
            }
            ServerEvent::Again | ServerEvent::Tick => {
                let trying = Response::to(&request, Status::TRYING).message().ok().map(|it| Said::of(&it));
                out.extend(trying.iter().map(Said::send));
                State::Proceeding { request, trying_at: None, provisional: trying }
            }
            ServerEvent::Ack => State::Proceeding { request, trying_at, provisional },
        }
    }

    fn responded(
        &self,
        now: Duration,
        limits: &Limits,
        request: Message,
        (status, response): (Option<Status>, Said),
    ) -> State {
        let status = status.unwrap_or(Status::TRYING);
        let until = now + limits.patience();
        if status.is_provisional() {
            State::Proceeding { request, trying_at: None, provisional: Some(response) }
        } else if status.is_success() {
            State::Accepted { response, resend: Some(Resend::starting(now, limits.t1)), until }
        } else {
            let resend = (!self.reliable).then(|| Resend::starting(now, limits.t1));
            State::Completed { response, resend, give_up_at: until }
        }
    }

    fn completed<H>(
        &self,
        now: Duration,
        limits: &Limits,
        (response, resend, give_up_at): (Said, Option<Resend>, Duration),
        event: ServerEvent<'_>,
        out: &mut Vec<Effect<H>>,
    ) -> State {
        match event {
            ServerEvent::Ack if self.reliable => return State::Terminated,
            ServerEvent::Ack => return State::Confirmed { until: now + limits.t4 },
            ServerEvent::Tick if give_up_at <= now => return State::Terminated,
            ServerEvent::Again => out.push(response.send()),
            ServerEvent::Tick | ServerEvent::Respond(_) => {}
        }
        let resend = repeat(now, limits, &response, resend, event, out);
        State::Completed { response, resend, give_up_at }
    }
}

fn accepted<H>(
    now: Duration,
    limits: &Limits,
    (response, resend, until): (Said, Option<Resend>, Duration),
    event: ServerEvent<'_>,
    out: &mut Vec<Effect<H>>,
) -> State {
    match event {
        ServerEvent::Ack => return State::Accepted { response, resend: None, until },
        ServerEvent::Tick if until <= now => {
            if resend.is_some() {
                out.push(Effect::Unacknowledged);
            }
            return State::Terminated;
        }
        // RFC 6026 §7.1: the request again is absorbed; the 2xx goes out by its own timer.
        ServerEvent::Again | ServerEvent::Respond(_) | ServerEvent::Tick => {}
    }
    let resend = repeat(now, limits, &response, resend, event, out);
    State::Accepted { response, resend, until }
}

/// Timer G, and the 2xx in the same rhythm: T1, doubled up to T2.
fn repeat<H>(
    now: Duration,
    limits: &Limits,
    response: &Said,
    resend: Option<Resend>,
    event: ServerEvent<'_>,
    out: &mut Vec<Effect<H>>,
) -> Option<Resend> {
    let resend = resend?;
    if !matches!(event, ServerEvent::Tick) || !resend.is_due(now) {
        return Some(resend);
    }
    out.push(response.send());
    Some(resend.next(now, limits.t2))
}
