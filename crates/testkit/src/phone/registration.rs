//! The phone's registration (RFC 3261 § 10.2): asked for, refreshed at half its time, tried again when refused.

use super::machine::{Core, Event, Output, is_answerable};
use sip::{ClientKey, Contacts, Message, Method, Name, Request, Status};
use std::time::Duration;

/// How long after a failure it tries again.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Registration {
    call_id: String,
    tag: String,
    cseq: u32,
    /// True while a person wants it.
    wanted: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    /// A REGISTER is on its way; `expires_s` 0 removes.
    Asking {
        key: ClientKey,
        request: Message,
        tries: u8,
        expires_s: u32,
    },
    /// It stands; the next one goes out then.
    Standing {
        refresh_at: Duration,
    },
    /// It was refused; it is tried again then.
    Waiting {
        retry_at: Duration,
    },
}

impl Registration {
    pub(super) fn new(core: &mut Core) -> Registration {
        let host = core.flow.local.ip().to_string();
        let (call_id, tag) = (core.tokens.call_id(&host), core.tokens.tag());
        Registration { call_id, tag, cseq: 0, wanted: false, state: State::Idle }
    }

    pub(super) fn begin(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        self.wanted = true;
        self.ask(now, core.line.expires_s, core, out);
    }

    pub(super) fn end(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        self.wanted = false;
        self.ask(now, 0, core, out);
    }

    /// The flow is new, so the binding must be as well.
    pub(super) fn renew(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        if self.wanted {
            self.ask(now, core.line.expires_s, core, out);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Idle | State::Asking { .. } => None,
            State::Standing { refresh_at: at } | State::Waiting { retry_at: at } => Some(*at),
        }
    }

    pub(super) fn tick(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        if self.wanted && self.next_timeout().is_some_and(|at| at <= now) {
            self.ask(now, core.line.expires_s, core, out);
        }
    }

    fn ask(&mut self, now: Duration, expires_s: u32, core: &mut Core, out: &mut Vec<Output>) {
        self.cseq += 1;
        let own = core.address_of(&core.line.extension);
        let registrar = sip::Uri { user_raw: None, ..own.uri.clone() };
        let request = Request::new(Method::Register, &registrar)
            .via(&core.via())
            .from(&own.clone().with_tag(&self.tag))
            .to(&own)
            .call_id(&self.call_id)
            .cseq(self.cseq)
            .contact(&core.contact())
            .header(Name::Expires, expires_s);
        self.state = match core.send(now, request, out) {
            Some((key, request)) => State::Asking { key, request, tries: 0, expires_s },
            None => State::Idle,
        };
    }

    /// True when the response was to a REGISTER of ours.
    pub(super) fn response(
        &mut self,
        now: Duration,
        key: &ClientKey,
        response: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> bool {
        let State::Asking { key: ours, request, tries, expires_s } = &self.state else { return false };
        let Some(status) = response.status().filter(|_| ours == key) else { return false };
        let (tries, expires_s) = (*tries, *expires_s);
        if is_answerable(response, tries) {
            let sent = core.send_authorized(now, &request.clone(), response, out);
            if let Some((key, request)) = sent {
                self.cseq = request.cseq().number;
                self.state = State::Asking { key, request, tries: tries + 1, expires_s };
                return true;
            }
        }
        if status.is_final() {
            self.finish(now, response, expires_s, core, out);
        }
        true
    }

    fn finish(
        &mut self,
        now: Duration,
        response: &Message,
        asked_s: u32,
        core: &Core,
        out: &mut Vec<Output>,
    ) {
        let Some(status) = response.status() else { return };
        if !status.is_success() {
            self.refused(now, status.code(), out);
        } else if asked_s == 0 {
            self.state = State::Idle;
            out.push(Output::Event(Event::Unregistered));
        } else {
            let expires_s = granted(response, core).unwrap_or(asked_s);
            self.state = State::Standing { refresh_at: now + Duration::from_secs(u64::from(expires_s)) / 2 };
            out.push(Output::Event(Event::Registered { expires_s }));
        }
    }

    /// True when it was a REGISTER of ours that got no answer.
    pub(super) fn failed(&mut self, now: Duration, key: &ClientKey, out: &mut Vec<Output>) -> bool {
        let ours = matches!(&self.state, State::Asking { key: asked, .. } if asked == key);
        if ours {
            self.refused(now, Status::REQUEST_TIMEOUT.code(), out);
        }
        ours
    }

    fn refused(&mut self, now: Duration, status: u16, out: &mut Vec<Output>) {
        self.state = State::Waiting { retry_at: now + RETRY };
        out.push(Output::Event(Event::RegistrationRefused { status }));
    }
}

/// What the registrar granted to our own contact (RFC 3261 § 10.2.4), else to all.
fn granted(response: &Message, core: &Core) -> Option<u32> {
    let own = core.contact().uri;
    let of_contact = match response.contacts() {
        Ok(Contacts::List(list)) => {
            let ours =
                list.into_iter().find(|contact| contact.uri.host == own.host && contact.uri.port == own.port);
            ours.and_then(|contact| contact.params.value("expires")?.parse().ok())
        }
        _ => None,
    };
    of_contact.or_else(|| response.expires_s().ok().flatten())
}
