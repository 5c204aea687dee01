//! The phone's one call, from the first INVITE to the last 200: one state a variant, one function a happening.

use super::machine::{ALLOW, Command, Core, End, Event, Output, is_answerable};
use media::sdp::{self, Codec, Direction, Local, Negotiated, Session};
use sip::{ClientKey, Dialog, Message, Method, Name, Request, Response, ServerKey, Status};
use std::time::Duration;

const SDP: &str = "application/sdp";

/// What the call is doing.
#[derive(Debug)]
pub(super) enum Call {
    Idle,
    /// We call: INVITE sent, no final answer yet.
    Calling(Outgoing),
    /// We ring.
    Ringing(Incoming),
    /// It is up.
    Up(Box<Talk>),
    /// Our BYE is on its way.
    Ending {
        bye: ClientKey,
    },
}

#[derive(Debug)]
pub(super) struct Outgoing {
    key: ClientKey,
    invite: Message,
    local: Local,
    tries: u8,
    cancelled: bool,
}

#[derive(Debug)]
pub(super) struct Incoming {
    key: ServerKey,
    invite: Message,
    tag: String,
}

#[derive(Debug)]
pub(super) struct Talk {
    dialog: Dialog,
    local: Local,
    agreed: Option<Negotiated>,
    /// Our offer went out in a response: the answer comes with the ACK.
    answer_in_ack: bool,
    /// Our own INVITE inside the call, and what it offers.
    changing: Option<(ClientKey, Message, Local)>,
}

impl Call {
    /// The Call-ID of the call that is up, as this phone believes.
    pub(super) fn talking_in(&self) -> Option<&str> {
        match self {
            Call::Up(talk) => Some(&talk.dialog.call_id),
            Call::Idle | Call::Calling(_) | Call::Ringing(_) | Call::Ending { .. } => None,
        }
    }

    /// True when there is no call at all.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Call::Idle)
    }

    pub(super) fn command(
        &mut self,
        now: Duration,
        command: Command,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) {
        match (std::mem::replace(self, Call::Idle), command) {
            (Call::Idle, Command::Call(number)) => *self = dial(now, &number, core, out),
            (Call::Ringing(incoming), Command::Answer) => *self = answer(now, incoming, core, out),
            (Call::Ringing(incoming), Command::HangUp) => decline(now, incoming, 603, core, out),
            (Call::Ringing(incoming), Command::Reject(status)) => decline(now, incoming, status, core, out),
            (Call::Calling(mut outgoing), Command::HangUp) => {
                if !outgoing.cancelled {
                    core.cancel(now, outgoing.key.clone(), out);
                }
                outgoing.cancelled = true;
                *self = Call::Calling(outgoing);
            }
            (Call::Up(talk), Command::HangUp) => *self = hang_up(now, *talk, core, out),
            (Call::Up(mut talk), Command::Hold) => {
                talk.change(now, Direction::SendOnly, core, out);
                *self = Call::Up(talk);
            }
            (Call::Up(mut talk), Command::Resume) => {
                talk.change(now, Direction::SendRecv, core, out);
                *self = Call::Up(talk);
            }
            // What makes no sense in this state changes nothing.
            (state, _) => *self = state,
        }
    }

    /// A call comes in. One at a time: a second one is busy.
    pub(super) fn incoming(
        &mut self,
        now: Duration,
        key: ServerKey,
        invite: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) {
        if !matches!(self, Call::Idle) {
            let tag = core.tokens.tag();
            return core.respond(now, key, Response::to(invite, Status::BUSY_HERE).to_tag(&tag), out);
        }
        let tag = core.tokens.tag();
        let ringing = Response::to(invite, Status::RINGING).to_tag(&tag).contact(&core.contact());
        core.respond(now, key.clone(), ringing, out);
        let from = caller_of(invite);
        *self = Call::Ringing(Incoming { key, invite: invite.clone(), tag });
        out.push(Output::Event(Event::Incoming { from }));
    }

    /// True when the request belongs to this call and was answered.
    pub(super) fn request(
        &mut self,
        now: Duration,
        key: &ServerKey,
        request: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> bool {
        let Call::Up(talk) = self else { return false };
        if !request.is_in_dialog() || !talk.dialog.matches(request) {
            return false;
        }
        if talk.dialog.accept(request).is_err() {
            core.respond(now, key.clone(), Response::to(request, Status::SERVER_INTERNAL_ERROR), out);
            return true;
        }
        match request.method() {
            Method::Bye => {
                core.respond(now, key.clone(), Response::to(request, Status::OK), out);
                *self = Call::Idle;
                over(End { status: 200, text: "hung up".to_owned(), q850: q850(request), by_us: false }, out);
            }
            Method::Invite | Method::Update => talk.changed(now, key, request, core, out),
            _ => {
                let answer = Response::to(request, Status::OK).header(Name::Allow, ALLOW);
                core.respond(now, key.clone(), answer, out);
            }
        }
        true
    }

    pub(super) fn cancelled(
        &mut self,
        now: Duration,
        key: &ServerKey,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) {
        match self {
            Call::Ringing(incoming) if incoming.key == *key => {
                let status = Status::REQUEST_TERMINATED;
                let answer = Response::to(&incoming.invite, status).to_tag(&incoming.tag);
                core.respond(now, key.clone(), answer, out);
                *self = Call::Idle;
                over(
                    End { status: 487, text: "the caller gave up".to_owned(), q850: None, by_us: false },
                    out,
                );
            }
            _ => {}
        }
    }

    /// An ACK came: the call is up for good, perhaps with the answer to our offer.
    pub(super) fn acknowledged(&mut self, ack: &Message, out: &mut Vec<Output>) {
        let Call::Up(talk) = self else { return };
        if talk.dialog.matches(ack) && std::mem::take(&mut talk.answer_in_ack) {
            talk.settle(ack, talk.local.clone(), out);
        }
    }

    pub(super) fn response(
        &mut self,
        now: Duration,
        key: &ClientKey,
        response: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) {
        let Some(status) = response.status() else { return };
        match std::mem::replace(self, Call::Idle) {
            Call::Calling(outgoing) if outgoing.key == *key => {
                *self = outgoing.response(now, status, response, core, out);
            }
            Call::Up(mut talk) => {
                let alive = talk.response(now, key, response, core, out);
                *self = if alive { Call::Up(talk) } else { Call::Idle };
            }
            Call::Ending { bye } if bye == *key && status.is_final() => over(by_hand(), out),
            state => *self = state,
        }
    }

    /// A request of ours got no answer at all.
    pub(super) fn failed(&mut self, key: &ClientKey, out: &mut Vec<Output>) {
        let silence =
            |by_us| End { status: 408, text: "no answer from the server".to_owned(), q850: None, by_us };
        match self {
            Call::Calling(outgoing) if outgoing.key == *key => {
                *self = Call::Idle;
                over(silence(false), out);
            }
            Call::Ending { bye } if *bye == *key => {
                *self = Call::Idle;
                over(silence(true), out);
            }
            Call::Up(talk) if talk.changing.as_ref().is_some_and(|(changing, ..)| changing == key) => {
                talk.changing = None;
                out.push(Output::Event(Event::ChangeRefused { status: 408 }));
            }
            _ => {}
        }
    }
}

impl Outgoing {
    fn response(
        self,
        now: Duration,
        status: Status,
        response: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> Call {
        if status.is_provisional() {
            self.progress(status, response, out);
            return Call::Calling(self);
        }
        if status.is_success() {
            return self.answered(now, response, core, out);
        }
        if is_answerable(response, self.tries)
            && !self.cancelled
            && let Some((key, invite)) = core.send_authorized(now, &self.invite, response, out)
        {
            return Call::Calling(Outgoing { key, invite, tries: self.tries + 1, ..self });
        }
        let by_us = self.cancelled;
        over(
            End { status: status.code(), text: status.reason().to_owned(), q850: q850(response), by_us },
            out,
        );
        Call::Idle
    }

    /// Early media: what a 183 (or 180) describes is heard before the answer (RFC 3960).
    fn progress(&self, status: Status, response: &Message, out: &mut Vec<Output>) {
        if status == Status::TRYING {
            return;
        }
        if let Some(agreed) = negotiated(response, &self.local) {
            out.push(Output::Media(Some(agreed)));
        }
        out.push(Output::Event(Event::Progress { status: status.code() }));
    }

    fn answered(self, now: Duration, response: &Message, core: &mut Core, out: &mut Vec<Output>) -> Call {
        let Ok(dialog) = Dialog::as_caller(&self.invite, response) else {
            over(
                End { status: 400, text: "the answer makes no dialog".to_owned(), q850: None, by_us: true },
                out,
            );
            return Call::Idle;
        };
        let ack = dialog.ack(self.invite.cseq().number, &core.via());
        core.acknowledge(now, self.key, ack, out);
        let agreed = negotiated(response, &self.local);
        let talk = Talk { dialog, local: self.local, agreed, answer_in_ack: false, changing: None };
        // The answer won the race against our CANCEL, or has no media for us.
        if self.cancelled || agreed.is_none() {
            return hang_up(now, talk, core, out);
        }
        out.push(Output::Media(agreed));
        out.push(Output::Event(Event::Answered));
        Call::Up(Box::new(talk))
    }
}

impl Talk {
    /// Offers another direction: hold or resume (RFC 3264 § 8.4).
    fn change(&mut self, now: Duration, direction: Direction, core: &mut Core, out: &mut Vec<Output>) {
        if self.changing.is_some() {
            return out.push(Output::Event(Event::ChangeRefused { status: Status::REQUEST_PENDING.code() }));
        }
        let local = Local { version: self.local.version + 1, direction, ..self.local.clone() };
        let via = core.via();
        let offer = sdp::offer(&local).to_string();
        let request =
            self.dialog.request(Method::Invite, &via).contact(&core.contact()).body(SDP, offer.as_bytes());
        self.changing = core.send(now, request, out).map(|(key, message)| (key, message, local));
    }

    /// The other side changes the session, or only refreshes it.
    fn changed(
        &mut self,
        now: Duration,
        key: &ServerKey,
        request: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) {
        if self.changing.is_some() {
            let glare = Response::to(request, Status::REQUEST_PENDING);
            return core.respond(now, key.clone(), glare, out);
        }
        if self.dialog.refresh_target(request).is_err() {
            return core.respond(now, key.clone(), Response::to(request, Status::BAD_REQUEST), out);
        }
        let answer = Response::to(request, Status::OK).contact(&core.contact()).header(Name::Allow, ALLOW);
        // A refresh without a session; or an INVITE that wants the offer from us.
        if request.body().is_empty() && *request.method() != Method::Invite {
            return core.respond(now, key.clone(), answer, out);
        }
        self.local.version += 1;
        let body = if request.body().is_empty() {
            self.answer_in_ack = true;
            sdp::offer(&self.local).to_string()
        } else {
            let answered =
                Session::parse(request.body()).ok().and_then(|offer| sdp::answer(&offer, &self.local).ok());
            let Some((session, agreed)) = answered else {
                let refusal = Response::to(request, Status::NOT_ACCEPTABLE_HERE);
                return core.respond(now, key.clone(), refusal, out);
            };
            self.agree(agreed, out);
            session.to_string()
        };
        core.respond(now, key.clone(), answer.body(SDP, body.as_bytes()), out);
    }

    fn agree(&mut self, agreed: Negotiated, out: &mut Vec<Output>) {
        self.agreed = Some(agreed);
        out.push(Output::Media(Some(agreed)));
        out.push(Output::Event(Event::Changed {
            held: !agreed.direction.sends() && self.local.direction.sends(),
        }));
    }

    /// Takes the answer to an offer of ours.
    fn settle(&mut self, answer: &Message, local: Local, out: &mut Vec<Output>) {
        self.local = local;
        if let Some(agreed) = negotiated(answer, &self.local) {
            self.agree(agreed, out);
        }
    }

    /// False when the call is over.
    fn response(
        &mut self,
        now: Duration,
        key: &ClientKey,
        response: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(status) = response.status() else { return true };
        if !status.is_final() || self.changing.as_ref().is_none_or(|(changing, ..)| changing != key) {
            return true;
        }
        let Some((key, invite, local)) = self.changing.take() else { return true };
        if status.is_success() {
            // A target that cannot be read leaves the old one in force.
            let _ = self.dialog.refresh_target(response);
            let ack = self.dialog.ack(invite.cseq().number, &core.via());
            core.acknowledge(now, key, ack, out);
            self.settle(response, local, out);
            return true;
        }
        // RFC 3261 § 12.2.1.2: these two end the dialog.
        if matches!(status, Status::NO_SUCH_CALL | Status::REQUEST_TIMEOUT) {
            let text = status.reason().to_owned();
            over(End { status: status.code(), text, q850: q850(response), by_us: false }, out);
            return false;
        }
        out.push(Output::Event(Event::ChangeRefused { status: status.code() }));
        true
    }
}

fn dial(now: Duration, number: &str, core: &mut Core, out: &mut Vec<Output>) -> Call {
    let local = own_media(core);
    let target = core.address_of(number);
    let host = core.flow.local.ip().to_string();
    let own = core.address_of(&core.line.extension).with_tag(&core.tokens.tag());
    let request = Request::new(Method::Invite, &target.uri)
        .via(&core.via())
        .from(&own)
        .to(&target)
        .call_id(&core.tokens.call_id(&host))
        .cseq(1)
        .contact(&core.contact())
        .body(SDP, sdp::offer(&local).to_string().as_bytes());
    match core.send(now, request, out) {
        Some((key, invite)) => Call::Calling(Outgoing { key, invite, local, tries: 0, cancelled: false }),
        None => Call::Idle,
    }
}

fn answer(now: Duration, incoming: Incoming, core: &mut Core, out: &mut Vec<Output>) -> Call {
    let local = own_media(core);
    let late = incoming.invite.body().is_empty();
    let answered = if late {
        Some((sdp::offer(&local), None))
    } else {
        let offer = Session::parse(incoming.invite.body()).ok();
        offer
            .and_then(|offer| sdp::answer(&offer, &local).ok())
            .map(|(session, agreed)| (session, Some(agreed)))
    };
    let dialog = Dialog::as_callee(&incoming.invite, &incoming.tag);
    let (Some((session, agreed)), Ok(mut dialog)) = (answered, dialog) else {
        decline(now, incoming, Status::NOT_ACCEPTABLE_HERE.code(), core, out);
        return Call::Idle;
    };
    dialog.confirmed();
    let answer = Response::to(&incoming.invite, Status::OK)
        .to_tag(&incoming.tag)
        .contact(&core.contact())
        .header(Name::Allow, ALLOW)
        .body(SDP, session.to_string().as_bytes());
    core.respond(now, incoming.key, answer, out);
    if agreed.is_some() {
        out.push(Output::Media(agreed));
    }
    out.push(Output::Event(Event::Answered));
    Call::Up(Box::new(Talk { dialog, local, agreed, answer_in_ack: late, changing: None }))
}

fn decline(now: Duration, incoming: Incoming, status: u16, core: &mut Core, out: &mut Vec<Output>) {
    let status = Status::try_from(status).unwrap_or(Status::DECLINE);
    let answer = Response::to(&incoming.invite, status).to_tag(&incoming.tag);
    core.respond(now, incoming.key, answer, out);
    over(End { status: status.code(), text: status.reason().to_owned(), q850: None, by_us: true }, out);
}

fn hang_up(now: Duration, mut talk: Talk, core: &mut Core, out: &mut Vec<Output>) -> Call {
    let bye = talk.dialog.request(Method::Bye, &core.via());
    out.push(Output::Media(None));
    match core.send(now, bye, out) {
        Some((bye, _)) => Call::Ending { bye },
        None => {
            over(by_hand(), out);
            Call::Idle
        }
    }
}

fn over(end: End, out: &mut Vec<Output>) {
    out.push(Output::Media(None));
    out.push(Output::Event(Event::Ended(end)));
}

fn by_hand() -> End {
    End { status: 200, text: "hung up".to_owned(), q850: None, by_us: true }
}

fn own_media(core: &mut Core) -> Local {
    Local {
        session_id: u64::from(core.tokens.number(u32::MAX)),
        version: 1,
        address: core.line.media,
        codecs: vec![Codec::Pcma, Codec::Pcmu],
        direction: Direction::SendRecv,
    }
}

fn negotiated(message: &Message, local: &Local) -> Option<Negotiated> {
    let answer = Session::parse(message.body()).ok()?;
    sdp::accept_answer(&answer, local).ok()
}

/// The number to show: what the network asserts, else what the caller says (RFC 3325).
fn caller_of(invite: &Message) -> String {
    let asserted = invite.address(Name::PAssertedIdentity).ok().flatten();
    asserted.as_ref().unwrap_or(invite.from()).uri.user().into_owned()
}

/// The Q.850 cause of a Reason header (RFC 3326).
fn q850(message: &Message) -> Option<u8> {
    let reasons = message.list(Name::Reason).filter(|reason| reason.trim_start().starts_with("Q.850"));
    reasons.filter_map(|reason| reason.split("cause=").nth(1)).find_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}
