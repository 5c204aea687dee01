//! The server side of any other request (RFC 3261 §17.2.2).

use super::key::{same_transaction, via_of};
use super::{Effect, Limits, ServerEvent, Wire};
use crate::via::ViaRef;
use crate::{Message, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    /// Nobody has answered. Forgotten after 64*T1, when the client no longer waits (RFC 4320 §4.1).
    Trying { request: Message, forget_at: Duration },
    /// A provisional was given.
    Proceeding {
        #[serde(with = "crate::frozen")]
        provisional: Wire,
        forget_at: Duration,
    },
    /// Answered; repeats it when asked. Timer J.
    Completed {
        #[serde(with = "crate::frozen")]
        response: Wire,
        until: Duration,
    },
    /// Over.
    Terminated,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ServerOther {
    reliable: bool,
    state: State,
}

impl ServerOther {
    pub(super) fn start(now: Duration, limits: &Limits, request: Message, reliable: bool) -> ServerOther {
        ServerOther { reliable, state: State::Trying { request, forget_at: now + limits.patience() } }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// True when it has its answer and may be asked for it again.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// True when a request with this Via is the one that began it.
    pub(super) fn is_of(&self, via: ViaRef<'_>) -> bool {
        match &self.state {
            State::Trying { request, .. } => same_transaction(request.via_ref(), via),
            State::Proceeding { provisional: wire, .. } | State::Completed { response: wire, .. } => {
                via_of(wire).is_none_or(|ours| same_transaction(ours, via))
            }
            State::Terminated => true,
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Trying { forget_at: at, .. } | State::Proceeding { forget_at: at, .. } => Some(*at),
            State::Completed { until, .. } => Some(*until),
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
            State::Trying { request, forget_at } => match event {
                ServerEvent::Respond(response) => self.responded(now, limits, response, forget_at, out),
                ServerEvent::Tick if forget_at <= now => State::Terminated,
                ServerEvent::Again | ServerEvent::Ack | ServerEvent::Tick => {
                    State::Trying { request, forget_at }
                }
            },
            State::Proceeding { provisional, forget_at } => match event {
                ServerEvent::Respond(response) => self.responded(now, limits, response, forget_at, out),
                ServerEvent::Tick if forget_at <= now => State::Terminated,
                ServerEvent::Again => {
                    out.push(Effect::Send(provisional.clone()));
                    State::Proceeding { provisional, forget_at }
                }
                ServerEvent::Ack | ServerEvent::Tick => State::Proceeding { provisional, forget_at },
            },
            State::Completed { response, until } => match event {
                ServerEvent::Tick if until <= now => State::Terminated,
                ServerEvent::Again => {
                    out.push(Effect::Send(response.clone()));
                    State::Completed { response, until }
                }
                ServerEvent::Respond(_) | ServerEvent::Ack | ServerEvent::Tick => {
                    State::Completed { response, until }
                }
            },
            State::Terminated => State::Terminated,
        };
    }

    fn responded<H>(
        &self,
        now: Duration,
        limits: &Limits,
        response: &Message,
        forget_at: Duration,
        out: &mut Vec<Effect<H>>,
    ) -> State {
        let wire = response.to_wire();
        out.push(Effect::Send(wire.clone()));
        if response.status().is_some_and(Status::is_provisional) {
            State::Proceeding { provisional: wire, forget_at }
        } else if self.reliable {
            State::Terminated
        } else {
            State::Completed { response: wire, until: now + limits.patience() }
        }
    }
}
