//! The client side of any other request (RFC 3261 §17.1.2).

use super::{ClientEvent, Effect, Failure, Limits, Resend};
use crate::{Message, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum State {
    /// Sent, nothing heard. Timer E is `resend` (unreliable hops only), timer F `give_up_at`.
    Trying { resend: Option<Resend>, give_up_at: Duration },
    /// A provisional came: timer E at T2 from now on.
    Proceeding { resend: Option<Resend>, give_up_at: Duration },
    /// Answered; swallows what comes again. Timer K.
    Completed { until: Duration },
    /// Over.
    Terminated,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClientOther {
    request: Message,
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
        out.push(Effect::Send(request.to_bytes()));
        let resend = (!reliable).then(|| Resend::starting(now, limits.t1));
        let state = State::Trying { resend, give_up_at: now + limits.patience() };
        ClientOther { request, reliable, state }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => {
                Some(resend.map_or(give_up_at, |resend| resend.at.min(give_up_at)))
            }
            State::Completed { until } => Some(until),
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
        self.state = match self.state {
            State::Trying { resend, give_up_at } => {
                match self.waiting(now, limits, (resend, give_up_at), &event, out) {
                    Some(next) => next,
                    None => {
                        State::Trying { resend: self.timer_e(now, limits, resend, &event, out), give_up_at }
                    }
                }
            }
            State::Proceeding { resend, give_up_at } => {
                match self.waiting(now, limits, (resend, give_up_at), &event, out) {
                    Some(next) => next,
                    None => State::Proceeding {
                        resend: self.timer_e(now, limits, resend, &event, out),
                        give_up_at,
                    },
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
        (resend, give_up_at): (Option<Resend>, Duration),
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
                    State::Proceeding { resend: resend.map(|_| Resend::starting(now, limits.t2)), give_up_at }
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

    fn timer_e<H>(
        &self,
        now: Duration,
        limits: &Limits,
        resend: Option<Resend>,
        event: &ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) -> Option<Resend> {
        let resend = resend?;
        if !matches!(event, ClientEvent::Tick) || !resend.is_due(now) {
            return Some(resend);
        }
        out.push(Effect::Send(self.request.to_bytes()));
        Some(resend.next(now, limits.t2))
    }
}
