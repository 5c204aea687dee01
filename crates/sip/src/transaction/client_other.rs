//! The client side of any other request (RFC 3261 §17.1.2).

use super::{ClientEvent, Effect, Failure, Limits, Resend};
use crate::{Message, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// Sent, nothing heard. Timer E is `resend` (unreliable hops only), timer F `give_up_at`.
    Trying { request: Message, resend: Option<Resend>, give_up_at: Duration },
    /// A provisional came: timer E at T2 from now on.
    Proceeding { request: Message, resend: Option<Resend>, give_up_at: Duration },
    /// Answered; swallows what comes again. Timer K.
    Completed { until: Duration },
    /// Over.
    Terminated,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClientOther {
    reliable: bool,
    state: State,
}

impl ClientOther {
    pub(super) fn start<H>(
        now: Duration,
        limits: &Limits,
        request: Message,
        reliable: bool,
        out: &mut Vec<Effect<H>>,
    ) -> ClientOther {
        out.push(Effect::Send(request.to_wire()));
        let resend = (!reliable).then(|| Resend::starting(now, limits.t1));
        let state = State::Trying { request, resend, give_up_at: now + limits.patience() };
        ClientOther { reliable, state }
    }

    /// True when a response with this branch may be to its request.
    pub(super) fn is_of(&self, branch: Option<&str>) -> bool {
        match &self.state {
            State::Trying { request, .. } | State::Proceeding { request, .. } => request.branch() == branch,
            State::Completed { .. } | State::Terminated => true,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Trying { resend, give_up_at, .. } | State::Proceeding { resend, give_up_at, .. } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Completed { until } => Some(*until),
            State::Terminated => None,
        }
    }

    pub(super) fn step<H>(
        &mut self,
        now: Duration,
        limits: &Limits,
        event: ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) {
        self.state = match std::mem::replace(&mut self.state, State::Terminated) {
            State::Trying { request, resend, give_up_at } => {
                match self.waiting(now, limits, (&request, resend, give_up_at), &event, out) {
                    Some(next) => next,
                    None => {
                        let resend = timer_e(now, limits, (&request, resend), &event, out);
                        State::Trying { request, resend, give_up_at }
                    }
                }
            }
            State::Proceeding { request, resend, give_up_at } => {
                match self.waiting(now, limits, (&request, resend, give_up_at), &event, out) {
                    Some(next) => next,
                    None => {
                        let resend = timer_e(now, limits, (&request, resend), &event, out);
                        State::Proceeding { request, resend, give_up_at }
                    }
                }
            }
            State::Completed { until } => match event {
                ClientEvent::Tick if until <= now => State::Terminated,
                _ => State::Completed { until },
            },
            State::Terminated => State::Terminated,
        };
    }

    /// What ends or advances the waiting; `None` when it goes on as it is.
    fn waiting<H>(
        &self,
        now: Duration,
        limits: &Limits,
        (request, resend, give_up_at): (&Message, Option<Resend>, Duration),
        event: &ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) -> Option<State> {
        match event {
            ClientEvent::Tick if give_up_at <= now => {
                out.push(Effect::Fail(Failure::TimedOut));
                Some(State::Terminated)
            }
            ClientEvent::Unreachable => {
                out.push(Effect::Fail(Failure::Unreachable));
                Some(State::Terminated)
            }
            ClientEvent::Response(response) => {
                out.push(Effect::Deliver((*response).clone()));
                Some(if response.status().is_some_and(Status::is_provisional) {
                    let resend = resend.map(|_| Resend::starting(now, limits.t2));
                    State::Proceeding { request: request.clone(), resend, give_up_at }
                } else if self.reliable {
                    State::Terminated
                } else {
                    State::Completed { until: now + limits.t4 }
                })
            }
            ClientEvent::Tick
            | ClientEvent::Abandon
            | ClientEvent::Cancel
            | ClientEvent::Acknowledge { .. } => None,
        }
    }
}

fn timer_e<H>(
    now: Duration,
    limits: &Limits,
    (request, resend): (&Message, Option<Resend>),
    event: &ClientEvent<'_, H>,
    out: &mut Vec<Effect<H>>,
) -> Option<Resend> {
    let resend = resend?;
    if !matches!(event, ClientEvent::Tick) || !resend.is_due(now) {
        return Some(resend);
    }
    out.push(Effect::Send(request.to_wire()));
    Some(resend.next(now, limits.t2))
}
