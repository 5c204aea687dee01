//! The phone's lamps: it subscribes to the dialogs of other lines (RFC 6665, 4235), refreshes that, and remembers what each lamp
//! shows. A subscription that is refused or ended is tried again, as desk phones do.

use super::machine::{Core, Event, Output, is_answerable};
use call::Look;
use sip::headers::{SubscriptionState, Substate};
use sip::{ClientKey, Dialog, Message, Method, Name, Request, Response, ServerKey, Status};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a subscription is asked for.
const EXPIRES_S: u32 = 600;
/// How long after a failure it tries again.
const RETRY: Duration = Duration::from_secs(2);
/// Lamps of one phone; what is beyond is not watched.
const LAMPS_MAX: usize = 64;

/// All lamps of a phone.
#[derive(Debug, Default)]
pub(super) struct Watching {
    lamps: Vec<Lamp>,
}

#[derive(Debug)]
struct Lamp {
    number: String,
    call_id: String,
    tag: String,
    cseq: u32,
    dialog: Option<Dialog>,
    state: State,
    /// Its dialogs by their ids: documents may be partial.
    calls: BTreeMap<String, Look>,
    shows: Option<Look>,
}

#[derive(Debug)]
enum State {
    /// A SUBSCRIBE is on its way.
    Asking { key: ClientKey, request: Message, tries: u8 },
    /// It stands, or failed; the next SUBSCRIBE goes out then.
    Until(Duration),
}

impl Watching {
    /// Lights a lamp.
    pub(super) fn begin(&mut self, now: Duration, number: &str, core: &mut Core, out: &mut Vec<Output>) {
        if self.lamps.len() >= LAMPS_MAX {
            return;
        }
        let mut lamp = Lamp {
            number: number.to_owned(),
            call_id: String::new(),
            tag: String::new(),
            cseq: 0,
            dialog: None,
            state: State::Until(now),
            calls: BTreeMap::new(),
            shows: None,
        };
        lamp.ask(now, core, out);
        self.lamps.push(lamp);
    }

    /// What the lamp of a number shows; none before it was told anything.
    pub(super) fn shows(&self, number: &str) -> Option<Look> {
        self.lamps.iter().find(|lamp| lamp.number == number)?.shows
    }

    /// The flow is new: the call server has to know.
    pub(super) fn renew(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        self.lamps.iter_mut().for_each(|lamp| lamp.ask(now, core, out));
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.lamps.iter().filter_map(Lamp::due).min()
    }

    pub(super) fn tick(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        let due = self.lamps.iter_mut().filter(|lamp| lamp.due().is_some_and(|due| due <= now));
        due.for_each(|lamp| lamp.ask(now, core, out));
    }

    /// True when the response was to a SUBSCRIBE of ours.
    pub(super) fn response(
        &mut self,
        now: Duration,
        key: &ClientKey,
        response: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(lamp) = self.lamps.iter_mut().find(|lamp| lamp.asks(key)) else { return false };
        lamp.answered(now, response, core, out);
        true
    }

    /// True when it was a SUBSCRIBE of ours that got no answer.
    pub(super) fn failed(&mut self, now: Duration, key: &ClientKey) -> bool {
        let Some(lamp) = self.lamps.iter_mut().find(|lamp| lamp.asks(key)) else { return false };
        lamp.state = State::Until(now + RETRY);
        true
    }

    /// True when the request was a NOTIFY for a lamp; it is answered.
    pub(super) fn notified(
        &mut self,
        now: Duration,
        key: &ServerKey,
        request: &Message,
        core: &mut Core,
        out: &mut Vec<Output>,
    ) -> bool {
        let ours = |lamp: &&mut Lamp| {
            *request.method() == Method::Notify
                && lamp.call_id == request.call_id()
                && request.to().tag() == Some(lamp.tag.as_str())
        };
        let Some(lamp) = self.lamps.iter_mut().find(ours) else { return false };
        core.respond(now, key.clone(), Response::to(request, Status::OK), out);
        lamp.told(now, request, out);
        true
    }
}

impl Lamp {
    fn due(&self) -> Option<Duration> {
        match self.state {
            State::Asking { .. } => None,
            State::Until(due) => Some(due),
        }
    }

    fn asks(&self, key: &ClientKey) -> bool {
        matches!(&self.state, State::Asking { key: asked, .. } if asked == key)
    }

    /// Asks to be told, inside the subscription if there is one.
    fn ask(&mut self, now: Duration, core: &mut Core, out: &mut Vec<Output>) {
        let via = core.via();
        let request = match &mut self.dialog {
            Some(dialog) => dialog.request(Method::Subscribe, &via),
            None => self.first(core, &via),
        };
        let request = request
            .contact(&core.contact())
            .header(Name::Event, "dialog")
            .header(Name::Accept, "application/dialog-info+xml")
            .header(Name::Expires, EXPIRES_S);
        self.state = match core.send(now, request, out) {
            Some((key, request)) => State::Asking { key, request, tries: 0 },
            None => State::Until(now + RETRY),
        };
    }

    fn first(&mut self, core: &mut Core, via: &sip::Via) -> Request {
        let host = core.flow.local.ip().to_string();
        (self.call_id, self.tag) = (core.tokens.call_id(&host), core.tokens.tag());
        self.cseq += 1;
        self.calls.clear();
        let target = core.address_of(&self.number);
        Request::new(Method::Subscribe, &target.uri)
            .via(via)
            .from(&core.address_of(&core.line.extension).with_tag(&self.tag))
            .to(&target)
            .call_id(&self.call_id)
            .cseq(self.cseq)
    }

    fn answered(&mut self, now: Duration, response: &Message, core: &mut Core, out: &mut Vec<Output>) {
        let State::Asking { request, tries, .. } = &self.state else { return };
        let (request, tries) = (request.clone(), *tries);
        let Some(status) = response.status().filter(|status| status.is_final()) else { return };
        if is_answerable(response, tries)
            && let Some((key, request)) = core.send_authorized(now, &request, response, out)
        {
            self.cseq = request.cseq().number;
            if let Some(dialog) = &mut self.dialog {
                dialog.local_cseq = self.cseq;
            }
            self.state = State::Asking { key, request, tries: tries + 1 };
            return;
        }
        if !status.is_success() {
            // Whatever stood is gone, or never was.
            self.dialog = None;
            self.state = State::Until(now + RETRY);
            return;
        }
        if self.dialog.is_none() {
            self.dialog = Dialog::as_caller(&request, response).ok();
        }
        let granted_s = response.expires_s().ok().flatten().unwrap_or(EXPIRES_S);
        self.state = State::Until(now + Duration::from_secs(granted_s.into()) / 2);
    }

    fn told(&mut self, now: Duration, notify: &Message, out: &mut Vec<Output>) {
        let over = |state: SubscriptionState| state.state == Substate::Terminated;
        if notify.typed::<SubscriptionState>().ok().flatten().is_some_and(over) {
            self.dialog = None;
            self.state = State::Until(now + RETRY);
        }
        let body = String::from_utf8_lossy(notify.body());
        if body.is_empty() {
            return;
        }
        read(&body, &mut self.calls);
        let unknown = body.contains(">unknown</line>");
        let shows =
            if unknown { Look::Unknown } else { self.calls.values().copied().max().unwrap_or(Look::Idle) };
        if self.shows.replace(shows) != Some(shows) {
            out.push(Output::Event(Event::Lamp { number: self.number.clone(), shows }));
        }
    }
}

/// What a document says of the calls of a line.
fn read(body: &str, calls: &mut BTreeMap<String, Look>) {
    if body.contains(r#"state="full""#) {
        calls.clear();
    }
    for dialog in body.split("<dialog ").skip(1) {
        let dialog = dialog.split("</dialog>").next().unwrap_or_default();
        let between = |from: &str, to: &str| {
            dialog.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or_default().to_owned()
        };
        let held = dialog.contains(r#"pval="no""#);
        let look = match (between("<state>", "</state>").as_str(), between("direction=\"", "\"").as_str()) {
            ("confirmed", _) if held => Some(Look::Held),
            ("confirmed", _) => Some(Look::Talking),
            ("early", "recipient") => Some(Look::Ringing),
            ("trying" | "early", "initiator") => Some(Look::Calling),
            ("trying", _) => Some(Look::Idle),
            _ => None,
        };
        let id = between("id=\"", "\"");
        match look {
            Some(look) => drop(calls.insert(id, look)),
            None => drop(calls.remove(&id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(id: &str, direction: &str, state: &str, more: &str) -> String {
        format!(
            "<dialog id=\"{id}\" call-id=\"x\" direction=\"{direction}\"><state>{state}</state>{more}</dialog>"
        )
    }

    fn looks(calls: &BTreeMap<String, Look>) -> Vec<Look> {
        calls.values().copied().collect()
    }

    #[test]
    fn rfc4235_full_documents_replace_what_was_shown_and_partial_ones_change_it() {
        let mut calls = BTreeMap::new();
        let full =
            |dialogs: &str| format!("<dialog-info version=\"0\" state=\"full\">{dialogs}</dialog-info>");
        read(&full(&dialog("1", "recipient", "early", "")), &mut calls);
        assert_eq!(looks(&calls), [Look::Ringing]);
        let more = dialog("2", "initiator", "confirmed", "<param pname=\"+sip.rendering\" pval=\"no\"/>");
        read(&format!("<dialog-info version=\"1\" state=\"partial\">{more}</dialog-info>"), &mut calls);
        assert_eq!(looks(&calls), [Look::Ringing, Look::Held]);
        let over = dialog("1", "recipient", "terminated", "") + &dialog("2", "initiator", "confirmed", "");
        read(&format!("<dialog-info version=\"2\" state=\"partial\">{over}</dialog-info>"), &mut calls);
        assert_eq!(looks(&calls), [Look::Talking]);
        read(&full(""), &mut calls);
        assert!(calls.is_empty());
    }
}
