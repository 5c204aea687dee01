//! New requests: the checks every one of them passes (RFC 3261 § 8.2), and who takes it.

use super::Edge;
use crate::core::{ALLOW, SDP};
use crate::hop::Hop;
use crate::io::Output;
use crate::session::Event;
use crate::settings::BODY_BYTES_MAX;
use sip::{Message, Method, Name, Response, ServerKey, Status};
use std::time::Duration;

impl Edge {
    pub(super) fn request(
        &mut self,
        now: Duration,
        key: ServerKey,
        from: Hop,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        if let Some(refusal) = unacceptable(&message) {
            let mut turn = self.turn(now, out);
            let tagged = match message.to().tag() {
                Some(_) => refusal,
                None => refusal.to_tag(&turn.core.tokens.tag()),
            };
            turn.respond(&key, tagged);
            return;
        }
        if let Some(tag) = message.to().tag().map(str::to_owned) {
            self.in_dialog(now, &tag, key, from, message, out);
            return;
        }
        match message.method() {
            Method::Register => self.register(now, &key, from, &message, out),
            Method::Invite => self.invite(now, key, from, message, out),
            Method::Options => {
                let mut turn = self.turn(now, out);
                let response = turn.answer_to(&message, Status::OK);
                let response = response
                    .header(Name::Allow, ALLOW)
                    .header(Name::Accept, SDP)
                    .header(Name::AcceptEncoding, "identity")
                    .header(Name::Supported, "");
                turn.respond(&key, response);
            }
            // BYE, INFO, UPDATE, MESSAGE: known, and only inside a dialog.
            Method::Bye | Method::Info | Method::Update => {
                self.turn(now, out).answer(&key, &message, Status::NO_SUCH_CALL);
            }
            _ => {
                let mut turn = self.turn(now, out);
                let response = turn.answer_to(&message, Status::METHOD_NOT_ALLOWED);
                turn.respond(&key, response.header(Name::Allow, ALLOW));
            }
        }
    }

    fn in_dialog(
        &mut self,
        now: Duration,
        tag: &str,
        key: ServerKey,
        from: Hop,
        message: Message,
        out: &mut Vec<Output>,
    ) {
        match self.core.dialog(tag) {
            Some((call, side)) => self.tell(now, call, Event::Request { side, key, from, message }, out),
            None => self.turn(now, out).answer(&key, &message, Status::NO_SUCH_CALL),
        }
    }
}

/// Why a request is refused before anybody looks what it wants, in the order of RFC 3261 § 8.2.
fn unacceptable(message: &Message) -> Option<Response> {
    let refuse = |status| Some(Response::to(message, status));
    if !is_allowed(message.method()) {
        return Some(Response::to(message, Status::METHOD_NOT_ALLOWED).header(Name::Allow, ALLOW));
    }
    if message.request_uri().is_none_or(|uri| !uri.is_sip()) {
        return refuse(Status::UNSUPPORTED_URI_SCHEME);
    }
    let mut required: Vec<&str> = message.list(Name::Require).collect();
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
    let makes_dialog = *message.method() == Method::Invite;
    let contact = !makes_dialog
        || message
            .contacts()
            .is_ok_and(|contacts| matches!(contacts, sip::Contacts::List(list) if list.len() == 1));
    if !contact {
        return refuse(Status::BAD_REQUEST);
    }
    None
}

fn is_allowed(method: &Method) -> bool {
    ALLOW.split(", ").any(|allowed| allowed == method.as_str())
}

fn is_sdp(message: &Message) -> bool {
    let coding = message.header(Name::ContentEncoding);
    let plain = coding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    plain && message.content_type().as_deref() == Some(SDP)
}
