//! REGISTER (RFC 3261 § 10.3): prove it, change the bindings, answer with all of them.

use super::word::Saying;
use super::{Shard, Step};
use crate::binding::BindingRef;
use crate::io::{Fault, Output};
use crate::owner::Refusal;
use crate::settings::BINDINGS_MAX;
use model::Extension;
use sip::{Flow, Message, Name, Quoted, Response, ServerKey, Status};
use smallvec::SmallVec;
use std::fmt::Write as _;
use std::time::Duration;

/// A bound device as the answer to a REGISTER names it.
fn contact_of(phone: BindingRef<'_>, now: Duration) -> String {
    let left_s = phone.until.saturating_sub(now).as_secs();
    let mut contact = String::with_capacity(phone.contact.len() + phone.device.len() + 48);
    // Writing to a String cannot fail; nor below.
    let _ = write!(contact, "<{}>", phone.contact);
    if phone.device != phone.contact {
        let _ = write!(contact, ";+sip.instance={}", Quoted(phone.device));
    }
    if phone.q < 1000 {
        let _ = write!(contact, ";q=0.{:03}", phone.q);
    }
    let _ = write!(contact, ";expires={left_s}");
    contact
}

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
        match self.core.held.owners.register(step.now, user, (flow, message), &settings, room) {
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
        let phones = self.core.held.owners.phones(user);
        let contacts: SmallVec<[String; 1]> = phones.map(|phone| contact_of(phone, step.now)).collect();
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
