//! The client side of an INVITE (RFC 3261 §17.1.1 as changed by RFC 6026 §7.2).

use super::{ClientEvent, Effect, FORKS_MAX, Failure, Limits, Resend, TIMER_D, Wire, companion};
use crate::{Hop, Message, Method, Name, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State<H> {
    /// Sent, nothing heard. Timer A is `resend` (unreliable hops only), timer B `give_up_at`.
    Calling { request: Message, resend: Option<Resend>, give_up_at: Duration, cancel_wanted: bool },
    /// A provisional came. Waits for ever, but not after CANCEL (RFC 3261 §9.1: 64*T1).
    Proceeding { request: Message, give_up_at: Option<Duration> },
    /// Refused, ACK sent; repeats it. Timer D.
    Completed {
        #[serde(with = "crate::frozen")]
        ack: Wire,
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
    tag: Box<str>,
    ack: Option<Ack<H>>,
}

/// The ACK of a 2xx, and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ack<H> {
    to: H,
    #[serde(with = "crate::frozen")]
    wire: Wire,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ClientInvite<H> {
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
        out.push(Effect::Send(request.to_wire()));
        let resend = (!reliable).then(|| Resend::starting(now, limits.t1));
        let give_up_at = now + limits.patience();
        ClientInvite { reliable, state: State::Calling { request, resend, give_up_at, cancel_wanted: false } }
    }

    /// True when a response with this branch may be to its INVITE.
    pub(super) fn is_of(&self, branch: Option<&str>) -> bool {
        match &self.state {
            State::Calling { request, .. } | State::Proceeding { request, .. } => request.branch() == branch,
            State::Completed { .. } | State::Accepted { .. } | State::Terminated => true,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Calling { resend, give_up_at, .. } => {
                Some(resend.map_or(*give_up_at, |resend| resend.at.min(*give_up_at)))
            }
            State::Proceeding { give_up_at, .. } => *give_up_at,
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
            State::Calling { request, resend, give_up_at, cancel_wanted } => match event {
                ClientEvent::Cancel => State::Calling { request, resend, give_up_at, cancel_wanted: true },
                ClientEvent::Abandon => {
                    self.proceeding(now, limits, (request, None), ClientEvent::Cancel, out)
                }
                ClientEvent::Tick if give_up_at <= now => fail(Failure::TimedOut, out),
                ClientEvent::Tick => {
                    let resend = timer_a(now, limits, &request, resend, out);
                    State::Calling { request, resend, give_up_at, cancel_wanted }
                }
                ClientEvent::Response(response) => {
                    self.answered(now, limits, response, (request, cancel_wanted, None), out)
                }
                ClientEvent::Unreachable => fail(Failure::Unreachable, out),
                ClientEvent::Acknowledge { .. } => {
                    State::Calling { request, resend, give_up_at, cancel_wanted }
                }
            },
            State::Proceeding { request, give_up_at } => {
                self.proceeding(now, limits, (request, give_up_at), event, out)
            }
            State::Completed { ack, until } => completed(now, ack, until, event, out),
            State::Accepted { forks, until } => accepted(now, forks, until, event, out),
            State::Terminated => State::Terminated,
        };
    }

    fn proceeding(
        &self,
        now: Duration,
        limits: &Limits,
        (request, give_up_at): (Message, Option<Duration>),
        event: ClientEvent<'_, H>,
        out: &mut Vec<Effect<H>>,
    ) -> State<H> {
        match event {
            ClientEvent::Cancel | ClientEvent::Abandon if give_up_at.is_none() => {
                out.extend(cancel(&request));
                State::Proceeding { request, give_up_at: Some(now + limits.patience()) }
            }
            ClientEvent::Tick if give_up_at.is_some_and(|at| at <= now) => fail(Failure::TimedOut, out),
            ClientEvent::Response(response) => {
                self.answered(now, limits, response, (request, false, give_up_at), out)
            }
            ClientEvent::Unreachable => fail(Failure::Unreachable, out),
            ClientEvent::Cancel
            | ClientEvent::Abandon
            | ClientEvent::Tick
            | ClientEvent::Acknowledge { .. } => State::Proceeding { request, give_up_at },
        }
    }

    /// A response in Calling or Proceeding.
    fn answered(
        &self,
        now: Duration,
        limits: &Limits,
        response: &Message,
        (request, cancel_wanted, give_up_at): (Message, bool, Option<Duration>),
        out: &mut Vec<Effect<H>>,
    ) -> State<H> {
        out.push(Effect::Deliver(response.clone()));
        let status = response.status().unwrap_or(Status::TRYING);
        if status.is_provisional() {
            if cancel_wanted {
                out.extend(cancel(&request));
            }
            let give_up_at = give_up_at.or(cancel_wanted.then(|| now + limits.patience()));
            return State::Proceeding { request, give_up_at };
        }
        if status.is_success() {
            let fork = Fork { tag: to_tag(response).into(), ack: None };
            return State::Accepted { forks: vec![fork], until: now + limits.patience() };
        }
        let to = response.header(Name::To).unwrap_or_default();
        let ack = companion(&request, Method::Ack, to).map(|ack| ack.to_wire()).unwrap_or_default();
        out.push(Effect::Send(ack.clone()));
        if self.reliable { State::Terminated } else { State::Completed { ack, until: now + TIMER_D } }
    }
}

/// The CANCEL of this INVITE.
fn cancel<H>(invite: &Message) -> Option<Effect<H>> {
    let to = invite.header(Name::To).unwrap_or_default();
    companion(invite, Method::Cancel, to).map(Effect::Cancel)
}

fn timer_a<H>(
    now: Duration,
    limits: &Limits,
    request: &Message,
    resend: Option<Resend>,
    out: &mut Vec<Effect<H>>,
) -> Option<Resend> {
    resend.map(|resend| {
        if !resend.is_due(now) {
            return resend;
        }
        out.push(Effect::Send(request.to_wire()));
        resend.next(now, limits.patience())
    })
}

fn completed<H>(
    now: Duration,
    ack: Wire,
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
            let wire = ack.to_wire();
            out.push(Effect::SendTo(to.clone(), wire.clone()));
            if let Some(fork) = forks.iter_mut().find(|fork| *fork.tag == *to_tag(ack)) {
                fork.ack = Some(Ack { to: to.clone(), wire });
            }
        }
        ClientEvent::Response(response) if response.status().is_some_and(Status::is_success) => {
            let tag = to_tag(response);
            match forks.iter().find(|fork| *fork.tag == *tag) {
                Some(Fork { ack: Some(ack), .. }) => {
                    out.push(Effect::SendTo(ack.to.clone(), ack.wire.clone()));
                }
                // The user has it and will acknowledge.
                Some(Fork { ack: None, .. }) => {}
                None if forks.len() < FORKS_MAX => {
                    out.push(Effect::Deliver(response.clone()));
                    forks.push(Fork { tag: tag.into(), ack: None });
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

fn to_tag(message: &Message) -> &str {
    message.to_tag().unwrap_or_default()
}
