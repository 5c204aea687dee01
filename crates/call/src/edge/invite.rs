//! A new INVITE: whose it is, whether there is room, where it goes. From here on it is a session, or refused with a
//! cause and a record.

use super::authenticate::{Asked, Asking};
use super::{Edge, Step};
use crate::headers;
use crate::hop::Hop;
use crate::io::{Fault, Output};
use crate::record::{EndedBy, Party, Role};
use crate::session::{Facts, Target, begin};
use crate::settings::{CALLS_MAX, CALLS_PER_CALLER_MAX};
use model::routing::{Caller, Decision, Outcome};
use model::{Cause, Extension};
use sip::{Flow, Message, Name, ServerKey, Status, Uri};

/// Who is at the other end of an INVITE.
struct Origin {
    party: Party,
    role: Role,
    session: Option<String>,
    emergency: bool,
}

impl Edge {
    pub(super) fn invite(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, invite: Message) {
        let origin = match &from {
            Hop::Phone(flow) => self.of_phone(step, &key, flow, &invite),
            Hop::Cluster => self.of_member(step, &key, &invite),
        };
        let Some(origin) = origin else { return };
        let Some(uri) = invite.request_uri().cloned() else { return };
        let dialled = uri.user().into_owned();
        let decision = match self.misdirected(&invite, &uri) {
            Some(cause) => Decision { outcome: Outcome::Refused(cause), emergency: false, steps: Vec::new() },
            None => self.decide_for(&origin, &dialled),
        };
        let emergency = decision.emergency || origin.emergency;
        let outcome = match self.held_up(step, &origin) {
            Some(cause) if !emergency => Outcome::Refused(cause),
            _ => decision.outcome,
        };
        let mut facts = self.facts(step, origin, dialled, &invite);
        facts.emergency = emergency;
        facts.steps = decision.steps;
        let (called, targets) = match outcome {
            Outcome::Local(called) => {
                let targets = self.targets(&called, &from, &invite);
                (called, targets)
            }
            Outcome::Elsewhere(called) => {
                let targets = vec![Target::cluster(&called, &self.core.config.realm)];
                (called, targets)
            }
            Outcome::Refused(cause) => {
                self.refuse_call(step, &key, &invite, &facts, cause);
                return;
            }
        };
        facts.called = self.party(&called);
        // The only phone of the called subscriber is the one that calls.
        if targets.is_empty() {
            self.refuse_call(step, &key, &invite, &facts, Cause::Busy);
            return;
        }
        let call = facts.call;
        match begin(&mut self.turn(step), facts, from, key, invite, targets) {
            Some(session) => self.keep(call, session),
            None => self.core.forget(call),
        }
    }

    /// A phone is who it can prove to be; its From is not looked at.
    fn of_phone(
        &mut self,
        step: &mut Step<'_>,
        key: &ServerKey,
        flow: &Flow,
        invite: &Message,
    ) -> Option<Origin> {
        let user = self.authenticate(step, &Asked { asking: Asking::Call, key, flow, message: invite })?;
        let party = self.party(&user);
        Some(Origin { party, role: Role::Originating, session: None, emergency: false })
    }

    /// A member has proven its phone already (RFC 3325 within the cluster).
    fn of_member(&mut self, step: &mut Step<'_>, key: &ServerKey, invite: &Message) -> Option<Origin> {
        let asserted =
            invite.addresses(Name::PAssertedIdentity).ok().and_then(|list| list.into_iter().next());
        let Some(asserted) = asserted else {
            self.turn(step).answer(key, invite, Status::FORBIDDEN);
            return None;
        };
        let number = asserted.uri.user().into_owned();
        let party = Party { number, name: asserted.display.unwrap_or_default() };
        let session = headers::session_of(invite);
        let emergency = invite.header(Name::Priority).is_some_and(|value| value == headers::EMERGENCY);
        Some(Origin { party, role: Role::Terminating, session, emergency })
    }

    fn misdirected(&self, invite: &Message, uri: &Uri) -> Option<Cause> {
        if !self.core.is_ours(&uri.host) {
            return Some(Cause::UnallocatedNumber);
        }
        (invite.max_forwards() == Some(0)).then_some(Cause::TooManyHops)
    }

    fn decide_for(&self, origin: &Origin, dialled: &str) -> Decision {
        match (origin.role, origin.party.number.parse::<Extension>()) {
            (Role::Originating, Ok(caller)) => self.decide(Caller::Subscriber(&caller), dialled),
            _ => self.decide(Caller::Member, dialled),
        }
    }

    /// What holds up a call that is no emergency: a stop that is near, or a limit.
    fn held_up(&self, step: &mut Step<'_>, origin: &Origin) -> Option<Cause> {
        if self.core.held.draining {
            return Some(Cause::Congestion);
        }
        if self.sessions.len() >= CALLS_MAX {
            step.out.push(Output::Fault(Fault::Limit("CALLS_MAX")));
            return Some(Cause::Congestion);
        }
        let number = origin.party.number.as_str();
        let begun = || self.sessions.values().filter(|session| session.is_begun_by(number)).count();
        if origin.role == Role::Originating && begun() >= CALLS_PER_CALLER_MAX {
            step.out.push(Output::Fault(Fault::Limit("CALLS_PER_CALLER_MAX")));
            return Some(Cause::Congestion);
        }
        None
    }

    fn facts(&mut self, step: &mut Step<'_>, origin: Origin, dialled: String, invite: &Message) -> Facts {
        let session = origin.session.unwrap_or_else(|| self.core.tokens.session_id());
        Facts {
            call: self.core.name_call(),
            session,
            role: origin.role,
            caller: origin.party,
            called: Party { number: dialled.clone(), name: String::new() },
            dialled,
            emergency: false,
            created: step.now,
            ringing: None,
            answered: None,
            call_ids: vec![invite.call_id().to_owned()],
            steps: Vec::new(),
        }
    }

    /// The phones of a subscriber, but for the one that calls.
    fn targets(&self, called: &Extension, from: &Hop, invite: &Message) -> Vec<Target> {
        let contact = invite.contact().ok().flatten().map(|contact| contact.uri);
        let caller = contact.map_or_else(|| from.clone(), |contact| from.clone().towards(&contact));
        self.core
            .held
            .registrar
            .of(called)
            .filter(|binding| binding.connected && Hop::Phone(binding.flow) != caller)
            .filter_map(|binding| {
                let uri = Uri::parse(&binding.contact).ok()?;
                Some(Target { hop: Hop::Phone(binding.flow), uri })
            })
            .collect()
    }

    fn party(&self, extension: &Extension) -> Party {
        let name = self.core.tables.subscriber(extension).map(|subscriber| subscriber.name.clone());
        Party { number: extension.to_string(), name: name.unwrap_or_default() }
    }

    /// A call that never began has its record all the same.
    fn refuse_call(
        &mut self,
        step: &mut Step<'_>,
        key: &ServerKey,
        invite: &Message,
        facts: &Facts,
        cause: Cause,
    ) {
        let mut turn = self.turn(step);
        turn.refuse(key, invite, cause);
        facts.end(&mut turn, cause, EndedBy::System);
    }
}
