//! New requests: the checks every one of them passes (RFC 3261 § 8.2), and who takes it.

use super::prove::{Asking, Unproven};
use super::{Shard, Step};
use crate::core::{ALLOW, SDP, SUPPORTED};
use crate::hop::Hop;
use crate::session::{Asked, Event};
use crate::settings::BODY_BYTES_MAX;
use sip::{Message, Method, Name, Response, ServerKey, Status};

impl Shard {
    pub(super) fn request(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, message: Message) {
        if let Some(refusal) = unacceptable(&message) {
            let mut turn = self.turn(step);
            let tagged = match message.to_tag() {
                Some(_) => refusal,
                None => refusal.to_tag(&turn.core.tokens.tag()),
            };
            // Nobody has proven anything yet.
            turn.dismiss(&key, tagged);
            return;
        }
        if let Some(tag) = message.to_tag().map(str::to_owned) {
            self.in_dialog(step, &tag, key, from, message);
            return;
        }
        match message.method() {
            Method::Register => self.ask_to_register(step, key, from, message),
            Method::Invite => self.invite(step, key, from, message),
            Method::Subscribe => self.ask_to_subscribe(step, key, from, message),
            Method::Options => {
                let mut turn = self.turn(step);
                let response = turn.answer_to(&message, Status::OK);
                let response = response
                    .header(Name::Allow, ALLOW)
                    .header(Name::Accept, SDP)
                    .header(Name::AcceptEncoding, "identity")
                    .header(Name::Supported, SUPPORTED);
                turn.dismiss(&key, response);
            }
            // BYE, INFO, UPDATE, PRACK, REFER: known, and only inside a dialog.
            Method::Bye | Method::Info | Method::Update | Method::Prack | Method::Refer => {
                self.turn(step).dismiss_with(&key, &message, Status::NO_SUCH_CALL);
            }
            _ => {
                let mut turn = self.turn(step);
                let response = turn.answer_to(&message, Status::METHOD_NOT_ALLOWED);
                turn.dismiss(&key, response.header(Name::Allow, ALLOW));
            }
        }
    }

    fn ask_to_register(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, message: Message) {
        match from {
            Hop::Phone(_) if !self.registers_here(&message) => {
                self.turn(step).dismiss_with(&key, &message, Status::NOT_FOUND);
            }
            Hop::Phone(flow) => {
                self.prove(step, Unproven { asking: Asking::Registrar, key, flow, message });
            }
            // Members publish bindings over their link; no REGISTER crosses the cluster.
            Hop::Cluster => self.forbid(step, &key, &message),
        }
    }

    /// RFC 3261 § 10.3 steps 1 and 5: for a domain of ours. A member that has not synchronised yet does not know its own.
    fn registers_here(&self, register: &Message) -> bool {
        let registrar = register.request_uri_ref().is_some_and(|uri| self.core.names_us(uri.host));
        self.core.tables.cluster().is_none() || (registrar && self.core.names_us(register.to_ref().uri.host))
    }

    fn ask_to_subscribe(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, message: Message) {
        match from {
            Hop::Phone(flow) => self.prove(step, Unproven { asking: Asking::Watch, key, flow, message }),
            // Members tell each other lines over their link; no SUBSCRIBE crosses the cluster (DESIGN § 5.1).
            Hop::Cluster => self.forbid(step, &key, &message),
        }
    }

    fn in_dialog(&mut self, step: &mut Step<'_>, tag: &str, key: ServerKey, from: Hop, message: Message) {
        match self.core.dialog(tag) {
            Some((call, side)) => self.tell(step, call, Event::Request(Asked { side, key, from, message })),
            None if *message.method() == Method::Subscribe
                && let Some(id) = self.core.held.notifier.named(tag) =>
            {
                self.resubscribe(step, id, &key, (&from, &message));
            }
            None => self.turn(step).dismiss_with(&key, &message, Status::NO_SUCH_CALL),
        }
    }
}

/// Why a request is refused before anybody looks what it wants, in the order of RFC 3261 § 8.2.
fn unacceptable(message: &Message) -> Option<Response> {
    let refuse = |status| Some(Response::to(message, status));
    if !is_allowed(message.method()) {
        return Some(Response::to(message, Status::METHOD_NOT_ALLOWED).header(Name::Allow, ALLOW));
    }
    if message.request_uri_ref().is_none_or(|uri| !uri.is_sip()) {
        return refuse(Status::UNSUPPORTED_URI_SCHEME);
    }
    let mut required: Vec<&str> = message.list(Name::Require).collect();
    let registers = *message.method() == Method::Register;
    let path = |option: &str| registers && option.eq_ignore_ascii_case("path");
    required.retain(|option| !understands(option) && !path(option));
    required.extend(message.list(Name::ProxyRequire));
    if !required.is_empty() {
        let unsupported = required.join(", ");
        return Some(Response::to(message, Status::BAD_EXTENSION).header(Name::Unsupported, &unsupported));
    }
    if message.body().len() > BODY_BYTES_MAX {
        return refuse(Status::MESSAGE_TOO_LARGE);
    }
    let offers = matches!(message.method(), Method::Invite | Method::Update);
    if offers && !message.body().is_empty() && !is_sdp(message) {
        let response = Response::to(message, Status::UNSUPPORTED_MEDIA_TYPE);
        return Some(response.header(Name::Accept, SDP).header(Name::AcceptEncoding, "identity"));
    }
    let makes_dialog = matches!(message.method(), Method::Invite | Method::Subscribe);
    let contact = !makes_dialog
        || message
            .contacts()
            .is_ok_and(|contacts| matches!(contacts, sip::Contacts::List(list) if list.len() == 1));
    if !contact {
        return refuse(Status::BAD_REQUEST);
    }
    None
}

fn understands(option: &str) -> bool {
    SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(option))
}

fn is_allowed(method: &Method) -> bool {
    ALLOW.split(", ").any(|allowed| allowed == method.as_str())
}

fn is_sdp(message: &Message) -> bool {
    let coding = message.header(Name::ContentEncoding);
    let plain = coding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    plain && message.has_type(SDP)
}
