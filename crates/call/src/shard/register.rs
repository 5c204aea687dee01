//! REGISTER (RFC 3261 § 10.3): prove it, change the bindings, answer with all of them.

use super::word::Saying;
use super::{Shard, Step};
use crate::io::{Fault, Output};
use crate::owner::Refusal;
use crate::settings::BINDINGS_MAX;
use model::Extension;
use sip::{Flow, Message, Name, NameAddr, Response, ServerKey, Status};

impl Shard {
    /// A REGISTER of `user`, proven to be its own.
    pub(super) fn register(
        &mut self,
        step: &mut Step<'_>,
        key: &ServerKey,
        flow: &Flow,
        user: &Extension,
        message: &Message,
    ) {
        let settings = self.core.config.settings;
        let room = self.core.share(BINDINGS_MAX);
        match self.core.held.owners.registrar.register(step.now, user, (flow, message), &settings, room) {
            Ok(changed) => {
                if changed.is_of_phones() {
                    self.phones_changed(user);
                }
                step.out.extend(changed.changes.into_iter().map(Output::Binding));
                for (old, new) in changed.moved {
                    self.tell_all(step, |_| Saying::Moved(old, new));
                }
                self.registered(step, key, user, message);
            }
            Err(refusal) => self.refuse_registration(step, key, message, refusal),
        }
    }

    fn registered(&mut self, step: &mut Step<'_>, key: &ServerKey, user: &Extension, message: &Message) {
        let contacts: Vec<String> = self
            .core
            .held
            .owners
            .registrar
            .of(user)
            .filter_map(|binding| {
                let left = binding.until.saturating_sub(step.now).as_secs();
                let mut contact = NameAddr::parse(&format!("<{}>", binding.contact)).ok()?;
                if binding.device.0 != binding.contact {
                    contact.params = contact.params.quoted("+sip.instance", &binding.device.0);
                }
                if binding.q < 1000 {
                    contact.params.set("q", Some(&format!("0.{:03}", binding.q)));
                }
                contact.params.set("expires", Some(&left.to_string()));
                Some(contact.to_string())
            })
            .collect();
        let mut turn = self.turn(step);
        let ok: Response = turn.answer_to(message, Status::OK);
        let ok = contacts.iter().fold(ok, |ok, contact| ok.header(Name::Contact, contact));
        // RFC 3327 § 5.3: the phone is told the way that was noted, if it knows what that is.
        let tells = message.has_option(Name::Supported, "path");
        let path = message.headers(Name::Path).filter(|_| tells);
        let ok = path.fold(ok, |ok, hop| ok.header(Name::Path, hop));
        turn.respond(key, ok);
    }

    fn refuse_registration(
        &mut self,
        step: &mut Step<'_>,
        key: &ServerKey,
        message: &Message,
        refusal: Refusal,
    ) {
        let min_s = self.core.config.settings.expires_min.as_secs().to_string();
        let mut turn = self.turn(step);
        let status = match refusal {
            Refusal::Malformed => Status::BAD_REQUEST,
            Refusal::TooManyContacts => Status::FORBIDDEN,
            Refusal::TooBrief => Status::INTERVAL_TOO_BRIEF,
            Refusal::OutOfOrder => Status::SERVER_INTERNAL_ERROR,
            Refusal::Full => Status::SERVICE_UNAVAILABLE,
        };
        let response = turn.answer_to(message, status);
        let response = match refusal {
            Refusal::TooBrief => response.header(Name::MinExpires, &min_s),
            Refusal::Full => response.header(Name::RetryAfter, &min_s),
            Refusal::Malformed | Refusal::TooManyContacts | Refusal::OutOfOrder => response,
        };
        if refusal == Refusal::Full {
            turn.fault(Fault::Limit("BINDINGS_MAX"));
        }
        turn.respond(key, response);
    }
}
