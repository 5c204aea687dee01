//! The client side of an INVITE (RFC 3261 §17.1.1 as changed by RFC 6026 §7.2).

use super::{ClientEvent, Effect, FORKS_MAX, Failure, Limits, Resend, TIMER_D, companion};
use crate::{Hop, Message, Method, Name, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State<H> {
    /// Sent, nothing heard. Timer A is `resend` (unreliable hops only), timer B `give_up_at`.
    Calling { resend: Option<Resend>, give_up_at: Duration, cancel_wanted: bool },
    /// A provisional came. Waits for ever, but not after CANCEL (RFC 3261 §9.1: 64*T1).
    Proceeding { give_up_at: Option<Duration> },
    /// Refused, ACK sent; repeats it. Timer D.
    Completed {
        #[serde(with = "crate::frozen")]
        ack: Vec<u8>,
        until: Duration,
    },
    /// Answered; repeats the user's ACK. Timer M.
    Accepted { forks: Vec<Fork<H>>, until: Duration },
    /// Over.
    Terminated,
}

/// One dialog of the answer: its To tag, and the ACK once the user gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fork<H> {
    tag: String,
    ack: Option<(H, Message)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClientInvite<H> {
    request: Message,
    reliable: bool,
    state: State<H>,
}

impl<H: Hop> ClientInvite<H> {
    pub(super) fn start(
        now: Duration,
        limits: &Limits,
        request: Message,
        reliable: bool,
        out: &mut Vec<Effect<H>>,
    ) -> ClientInvite<H> {
        out.push(Effect::Send(request.to_bytes()));
        let resend = (!reliable).then(|| Resend::starting(now, limits.t1));
        let state = State::Calling { resend, give_up_at: now + limits.patience(), cancel_wanted: false };
        ClientInvite { request, reliable, state }
    }

    pub(super) fn request(&self) -> &Message {
        &self.request
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Calling { resend, give_up_at, .. } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Proceeding { give_up_at } => *give_up_at,
            State::Completed { until, .. } | State::Accepted { until, .. } => Some(*until),
            State::Terminated => None,
        }
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        limits: &Limits,
        event: ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) {
        self.state = match std::mem::replace(&mut self.state, State::Terminated) {
            State::Calling { resend, give_up_at, cancel_wanted } => match event {
                ClientEvent::Cancel => State::Calling { resend, give_up_at, cancel_wanted: true },
                ClientEvent::Abandon => self.proceeding(now, limits, None, ClientEvent::Cancel, out),
                ClientEvent::Tick => self.calling_tick(now, limits, (resend, give_up_at, cancel_wanted), out),
                ClientEvent::Response(response) => {
                    self.answered(now, limits, response, (cancel_wanted, None), out)
                }
                ClientEvent::Unreachable => fail(Failure::Unreachable, out),
                ClientEvent::Acknowledge { .. } => State::Calling { resend, give_up_at, cancel_wanted },
            },
            State::Proceeding { give_up_at } => self.proceeding(now, limits, give_up_at, event, out),
            State::Completed { ack, until } => completed(now, ack, until, event, out),
            State::Accepted { forks, until } => accepted(now, forks, until, event, out),
            State::Terminated => State::Terminated,
        };
    }

    /// Timers A and B.
    fn calling_tick(
        &self,
        now: Duration,
        limits: &Limits,
        (resend, give_up_at, cancel_wanted): (Option<Resend>, Duration, bool),
        out: &mut Vec<Effect<H>>,
    ) -> State<H> {
        if give_up_at <= now {
            return fail(Failure::TimedOut, out);
        }
        let resend = resend.map(|resend| {
            if !resend.is_due(now) {
                return resend;
            }
            out.push(Effect::Send(self.request.to_bytes()));
            resend.next(now, limits.patience())
        });
        State::Calling { resend, give_up_at, cancel_wanted }
    }

    fn proceeding(
        &self,
        now: Duration,
        limits: &Limits,
        give_up_at: Option<Duration>,
        event: ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) -> State<H> {
        match event {
            ClientEvent::Cancel | ClientEvent::Abandon if give_up_at.is_none() => {
                out.push(Effect::Cancel);
                State::Proceeding { give_up_at: Some(now + limits.patience()) }
            }
            ClientEvent::Tick if give_up_at.is_some_and(|at| at <= now) => fail(Failure::TimedOut, out),
            ClientEvent::Response(response) => self.answered(now, limits, response, (false, give_up_at), out),
            ClientEvent::Unreachable => fail(Failure::Unreachable, out),
            ClientEvent::Cancel
            | ClientEvent::Abandon
            | ClientEvent::Tick
            | ClientEvent::Acknowledge { .. } => State::Proceeding { give_up_at },
        }
    }

    /// A response in Calling or Proceeding.
    fn answered(
        &self,
        now: Duration,
        limits: &Limits,
        response: &Message,
        (cancel_wanted, give_up_at): (bool, Option<Duration>),
        out: &mut Vec<Effect<H>>,
    ) -> State<H> {
        out.push(Effect::Deliver(response.clone()));
        let status = response.status().unwrap_or(Status::TRYING);
        if status.is_provisional() {
            if cancel_wanted {
                out.push(Effect::Cancel);
            }
            return State::Proceeding {
                give_up_at: give_up_at.or(cancel_wanted.then(|| now + limits.patience())),
            };
        }
        if status.is_success() {
            let fork = Fork { tag: to_tag(response), ack: None };
            return State::Accepted { forks: vec![fork], until: now + limits.patience() };
        }
        let to = response.header(Name::To).unwrap_or_default();
        let ack = companion(&self.request, Method::Ack, to).map(|ack| ack.to_bytes()).unwrap_or_default();
        out.push(Effect::Send(ack.clone()));
        if self.reliable { State::Terminated } else { State::Completed { ack, until: now + TIMER_D } }
    }
}

fn completed<H>(
    now: Duration,
    ack: Vec<u8>,
    until: Duration,
    event: ClientEvent<'_, H>,
    out: &mut Vec<Effect<H>>,
) -> State<H> {
    match event {
        ClientEvent::Tick if until <= now => return State::Terminated,
        ClientEvent::Unreachable => return State::Terminated,
        ClientEvent::Response(response) if response.status().is_some_and(|status| status.code() >= 300) => {
            out.push(Effect::Send(ack.clone()));
        }
        _ => {}
    }
    State::Completed { ack, until }
}

fn accepted<H: Hop>(
    now: Duration,
    mut forks: Vec<Fork<H>>,
    until: Duration,
    event: ClientEvent<'_, H>,
    out: &mut Vec<Effect<H>>,
) -> State<H> {
    match event {
        ClientEvent::Tick if until <= now => return State::Terminated,
        ClientEvent::Acknowledge { to, ack } => {
            let tag = to_tag(ack);
            out.push(Effect::SendTo(to.clone(), ack.to_bytes()));
            if let Some(fork) = forks.iter_mut().find(|fork| fork.tag == tag) {
                fork.ack = Some((to.clone(), ack.clone()));
            }
        }
        ClientEvent::Response(response) if response.status().is_some_and(Status::is_success) => {
            let tag = to_tag(response);
            match forks.iter().find(|fork| fork.tag == tag) {
                Some(Fork { ack: Some((to, ack)), .. }) => {
                    out.push(Effect::SendTo(to.clone(), ack.to_bytes()));
                }
                // The user has it and will acknowledge.
                Some(Fork { ack: None, .. }) => {}
                None if forks.len() < FORKS_MAX => {
                    out.push(Effect::Deliver(response.clone()));
                    forks.push(Fork { tag, ack: None });
                }
                None => {}
            }
        }
        _ => {}
    }
    State::Accepted { forks, until }
}

fn fail<H>(why: Failure, out: &mut Vec<Effect<H>>) -> State<H> {
    out.push(Effect::Fail(why));
    State::Terminated
}

fn to_tag(message: &Message) -> String {
    message.to().tag().unwrap_or_default().to_owned()
}
