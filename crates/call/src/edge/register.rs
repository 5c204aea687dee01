//! REGISTER (RFC 3261 § 10.3): prove it, change the bindings, answer with all of them.

use super::Edge;
use super::authenticate::Asking;
use crate::hop::Hop;
use crate::io::{Fault, Output};
use crate::registrar::Refusal;
use model::Extension;
use sip::{Message, Name, NameAddr, Response, ServerKey, Status};
use std::time::Duration;

impl Edge {
    pub(super) fn register(
        &mut self,
        now: Duration,
        key: &ServerKey,
        from: Hop,
        message: &Message,
        out: &mut Vec<Output>,
    ) {
        let Hop::Phone(flow) = from else {
            // Members publish bindings over their link; no REGISTER crosses the cluster.
            self.forbid(now, key, message, out);
            return;
        };
        let Some(user) = self.authenticate(now, Asking::Registrar, key, &flow, message, out) else { return };
        // A subscriber registers its own number and no other (RFC 3261 § 10.3 step 4).
        if message.to().uri.user() != user.as_str() {
            self.forbid(now, key, message, out);
            return;
        }
        let settings = self.core.config.settings;
        match self.core.held.registrar.register(now, &user, &flow, message, &settings) {
            Ok(changed) => {
                out.extend(changed.changes.into_iter().map(Output::Binding));
                for (old, new) in changed.moved {
                    self.moved(now, old, new, out);
                }
                self.registered(now, key, &user, message, out);
            }
            Err(refusal) => self.refuse_registration(now, key, message, refusal, out),
        }
    }

    fn registered(
        &mut self,
        now: Duration,
        key: &ServerKey,
        user: &Extension,
        message: &Message,
        out: &mut Vec<Output>,
    ) {
        let contacts: Vec<String> = self
            .core
            .held
            .registrar
            .of(user)
            .filter_map(|binding| {
                let left = binding.until.saturating_sub(now).as_secs();
                let mut contact = NameAddr::parse(&format!("<{}>", binding.contact)).ok()?;
                if binding.device.0 != binding.contact {
                    contact.params = contact.params.quoted("+sip.instance", &binding.device.0);
                }
                contact.params.set("expires", Some(&left.to_string()));
                Some(contact.to_string())
            })
            .collect();
        let mut turn = self.turn(now, out);
        let ok: Response = turn.answer_to(message, Status::OK);
        let ok = contacts.iter().fold(ok, |ok, contact| ok.header(Name::Contact, contact));
        turn.respond(key, ok);
    }

    fn refuse_registration(
        &mut self,
        now: Duration,
        key: &ServerKey,
        message: &Message,
        refusal: Refusal,
        out: &mut Vec<Output>,
    ) {
        let min_s = self.core.config.settings.expires_min.as_secs().to_string();
        let mut turn = self.turn(now, out);
        let status = match refusal {
            Refusal::BadContact => Status::BAD_REQUEST,
            Refusal::TooBrief => Status::INTERVAL_TOO_BRIEF,
            Refusal::OutOfOrder => Status::SERVER_INTERNAL_ERROR,
            Refusal::Full => Status::SERVICE_UNAVAILABLE,
        };
        let response = turn.answer_to(message, status);
        let response = match refusal {
            Refusal::TooBrief => response.header(Name::MinExpires, &min_s),
            Refusal::Full => response.header(Name::RetryAfter, &min_s),
            Refusal::BadContact | Refusal::OutOfOrder => response,
        };
        if refusal == Refusal::Full {
            turn.fault(Fault::Limit("BINDINGS_MAX"));
        }
        turn.respond(key, response);
    }
}
