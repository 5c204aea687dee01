//! A new INVITE: whose it is, whether there is room, where it goes. From here on it is a session, or refused with a
//! cause and a record.
//!
//! The decision is this shard's; which phones a subscriber has here is asked of its owner. A decision that needs to know
//! is put off until the answer is noted in its [`Placing`], and then taken again from the start.

use super::prove::{Asking, Unproven};
use super::word::Saying;
use super::{Shard, ShardId, Step};
use crate::headers;
use crate::hop::Hop;
use crate::io::{Fault, Output};
use crate::record::{EndedBy, Party, Role};
use crate::session::{Event, Facts, PickUp, Replaces, Target, begin};
use crate::settings::CALLS_MAX;
use model::routing::{Caller, Decision, Outcome};
use model::{Cause, Extension};
use sip::{Flow, Message, Name, NameAddr, ServerKey, Status, Uri};
use std::cell::RefCell;

/// Who is at the other end of an INVITE.
#[derive(Debug)]
pub(crate) struct Origin {
    party: Party,
    role: Role,
    /// The subscriber of ours that is counted as having begun it.
    caller: Option<Extension>,
    session: Option<String>,
    emergency: bool,
    /// False when its caller has begun as many calls as it may.
    room: bool,
}

/// A call that is looking for its place.
#[derive(Debug)]
pub(crate) struct Placing {
    pub(crate) home: ShardId,
    pub(crate) key: ServerKey,
    from: Hop,
    invite: Message,
    origin: Origin,
    dialled: String,
    /// Whose phones are asked for.
    pub(crate) wanted: Option<Extension>,
    /// And what was answered so far.
    found: Found,
}

/// Whose phones were asked for, and which they have.
#[derive(Debug, Default)]
pub(super) struct Found(Vec<(Extension, Vec<Target>)>);

impl Found {
    fn of(&self, extension: &Extension) -> Option<&[Target]> {
        self.0.iter().find(|(found, _)| found == extension).map(|(_, phones)| phones.as_slice())
    }

    pub(super) fn note(&mut self, extension: Extension, phones: Vec<Target>) {
        self.0.push((extension, phones));
    }
}

impl Shard {
    pub(super) fn invite(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, message: Message) {
        match from {
            // A phone is who it can prove to be; its From is not looked at.
            Hop::Phone(flow) => {
                self.prove(step, Unproven { asking: Asking::Call, key, flow, message });
            }
            Hop::Cluster => self.begin_of_member(step, key, message),
        }
    }

    pub(super) fn begin_of_phone(
        &mut self,
        step: &mut Step<'_>,
        key: ServerKey,
        flow: Flow,
        (user, room): (Extension, bool),
        invite: Message,
    ) {
        let party = self.party(&user);
        let caller = Some(user);
        let origin = Origin { party, role: Role::Originating, caller, session: None, emergency: false, room };
        self.place_new(step, key, Hop::Phone(flow), invite, origin);
    }

    /// A member has proven its phone already (RFC 3325 within the cluster).
    fn begin_of_member(&mut self, step: &mut Step<'_>, key: ServerKey, invite: Message) {
        let asserted =
            invite.addresses(Name::PAssertedIdentity).ok().and_then(|list| list.into_iter().next());
        let Some(asserted) = asserted else {
            self.turn(step).answer(&key, &invite, Status::FORBIDDEN);
            return;
        };
        let number = asserted.uri.user().into_owned();
        let party = Party { number, name: asserted.display.unwrap_or_default() };
        let session = headers::session_of(&invite);
        let emergency = invite.header(Name::Priority).is_some_and(|value| value == headers::EMERGENCY);
        let origin = Origin { party, role: Role::Terminating, caller: None, session, emergency, room: true };
        self.place_new(step, key, Hop::Cluster, invite, origin);
    }

    fn place_new(&mut self, step: &mut Step<'_>, key: ServerKey, from: Hop, invite: Message, origin: Origin) {
        let Some(origin) = self.wants_none(step, &key, &from, &invite, origin) else { return };
        let Some(uri) = invite.request_uri() else { return };
        let dialled = uri.user().into_owned();
        let home = self.core.id;
        let found = Found::default();
        self.place(step, Box::new(Placing { home, key, from, invite, origin, dialled, wanted: None, found }));
    }

    /// An INVITE that wants a call that is here (RFC 3891) is given to that call; any other goes on.
    fn wants_none(
        &mut self,
        step: &mut Step<'_>,
        key: &ServerKey,
        from: &Hop,
        invite: &Message,
        origin: Origin,
    ) -> Option<Origin> {
        let Some(value) = invite.header(Name::Replaces) else { return Some(origin) };
        let Some(replaces) = Replaces::parse(value) else {
            self.turn(step).answer(key, invite, Status::BAD_REQUEST);
            self.over(step, origin.caller);
            return None;
        };
        let by_tag = |tag: &str| self.core.dialog(tag).map(|(call, _)| call);
        let wanted = by_tag(&replaces.to_tag).or_else(|| by_tag(&replaces.from_tag));
        let Some(call) = wanted else { return Some(origin) };
        let (key, from, invite) = (key.clone(), from.clone(), invite.clone());
        let pick_up = PickUp { key, from, invite, party: origin.party, replaces, by_right: false };
        // It begins no call of its own.
        self.over(step, origin.caller);
        self.tell(step, call, Event::PickedUp(Box::new(pick_up)));
        None
    }

    /// Decides where a call goes, or asks what it needs to know for that.
    pub(super) fn place(&mut self, step: &mut Step<'_>, mut placing: Box<Placing>) {
        let decision = match self.misdirected(&placing.invite) {
            Some(cause) => Decision { outcome: Outcome::Refused(cause), emergency: false, steps: Vec::new() },
            None => match self.decide_for(&placing) {
                Ok(decision) => decision,
                Err(wanted) => {
                    let owner = self.core.sorter.owner_of(wanted.as_str());
                    placing.wanted = Some(wanted);
                    self.core.away(&placing.key);
                    step.say(owner, Saying::Find(placing));
                    return;
                }
            },
        };
        self.placed(step, *placing, decision);
    }

    /// The owner's part: notes the phones that are asked for.
    pub(super) fn find(&self, placing: &mut Placing) {
        if let Some(wanted) = placing.wanted.take() {
            let phones = self.phones(&wanted);
            placing.found.note(wanted, phones);
        }
    }

    fn decide_for(&self, placing: &Placing) -> Result<Decision, Extension> {
        let origin = &placing.origin;
        match (origin.role, &origin.caller) {
            (Role::Originating, Some(caller)) => {
                self.decide_knowing(Caller::Subscriber(caller), &placing.dialled, &placing.found)
            }
            _ => self.decide_knowing(Caller::Member, &placing.dialled, &placing.found),
        }
    }

    /// The decision, or the subscriber of another shard that has to be asked for first.
    pub(super) fn decide_knowing(
        &self,
        caller: Caller<'_>,
        digits: &str,
        found: &Found,
    ) -> Result<Decision, Extension> {
        let unknown = RefCell::new(None);
        let bound = |extension: &Extension| {
            if self.core.owns(extension) {
                return self.core.held.owners.is_bound(extension);
            }
            match found.of(extension) {
                Some(phones) => !phones.is_empty(),
                None => {
                    unknown.borrow_mut().get_or_insert_with(|| extension.clone());
                    false
                }
            }
        };
        let decision = self.decide(caller, digits, &bound);
        match unknown.into_inner() {
            Some(unknown) => Err(unknown),
            None => Ok(decision),
        }
    }

    /// It is decided: the call begins, or is refused.
    fn placed(&mut self, step: &mut Step<'_>, placing: Placing, decision: Decision) {
        let emergency = decision.emergency || placing.origin.emergency;
        let outcome = match self.held_up(step, &placing.origin) {
            Some(cause) if !emergency => Outcome::Refused(cause),
            _ => decision.outcome,
        };
        let (called, targets) = match outcome {
            // The call it wants to take is not here, nor anywhere else.
            Outcome::Local(_) if placing.invite.header(Name::Replaces).is_some() => {
                let caller = placing.origin.caller.clone();
                self.core.is_back(&placing.key);
                self.turn(step).answer(&placing.key, &placing.invite, Status::NO_SUCH_CALL);
                return self.over(step, caller);
            }
            Outcome::Local(called) => {
                let targets = self.targets(&called, &placing);
                (Ok(called), targets)
            }
            Outcome::Elsewhere(called) => {
                let targets = vec![Target::cluster(&called, &self.core.config.realm)];
                (Ok(called), targets)
            }
            Outcome::Refused(cause) => (Err(cause), Vec::new()),
        };
        let Placing { key, from, invite, origin, dialled, .. } = placing;
        let caller = origin.caller.clone();
        let origin = (origin.party, origin.role, origin.session);
        let mut facts = Facts::new(&mut self.turn(step), origin, dialled, &invite);
        facts.emergency = emergency;
        facts.steps = decision.steps;
        let refused = match &called {
            Err(cause) => Some(*cause),
            // The only phone of the called subscriber is the one that calls.
            Ok(_) if targets.is_empty() => Some(Cause::Busy),
            Ok(_) => None,
        };
        if let Ok(called) = &called {
            facts.called = self.party(called);
        }
        if let Some(cause) = refused {
            self.refuse_call(step, &key, &invite, &facts, cause);
            self.over(step, caller);
            return;
        }
        let call = facts.call;
        let cancelled = self.core.is_back(&key);
        match begin(&mut self.turn(step), facts, from, key.clone(), invite, targets) {
            Some(session) => {
                self.core.counts_for(call, caller);
                self.keep(call, session);
                self.tell_lines(step, call);
                if cancelled {
                    self.tell(step, call, Event::Cancelled(key));
                }
            }
            None => {
                self.core.counts_for(call, caller);
                self.forget(step, call);
            }
        }
    }

    fn misdirected(&self, invite: &Message) -> Option<Cause> {
        if invite.request_uri().is_none_or(|uri| !self.core.is_ours(&uri.host)) {
            return Some(Cause::UnallocatedNumber);
        }
        (invite.max_forwards() == Some(0)).then_some(Cause::TooManyHops)
    }

    /// What holds up a call that is no emergency: a stop that is near, or a limit.
    fn held_up(&self, step: &mut Step<'_>, origin: &Origin) -> Option<Cause> {
        if self.core.held.draining {
            return Some(Cause::Congestion);
        }
        if self.sessions.len() >= self.core.share(CALLS_MAX) {
            step.out.push(Output::Fault(Fault::Limit("CALLS_MAX")));
            return Some(Cause::Congestion);
        }
        if !origin.room {
            step.out.push(Output::Fault(Fault::Limit("CALLS_PER_CALLER_MAX")));
            return Some(Cause::Congestion);
        }
        None
    }

    /// The phones of a subscriber, but for the one that calls it: sets behind one gateway may call each other.
    fn targets(&self, called: &Extension, placing: &Placing) -> Vec<Target> {
        if placing.origin.caller.as_ref() != Some(called) {
            return self.phones_found(called, &placing.found, None);
        }
        let contact = placing.invite.contact().ok().flatten().map(|contact| contact.uri);
        let from = placing.from.clone();
        let caller = contact.map_or_else(|| from.clone(), |contact| from.clone().towards(&contact));
        self.phones_found(called, &placing.found, Some(&caller))
    }

    /// The phones of a subscriber of any shard, but for one if it is named.
    pub(super) fn phones_found(
        &self,
        called: &Extension,
        found: &Found,
        without: Option<&Hop>,
    ) -> Vec<Target> {
        let mut phones = found.of(called).map_or_else(|| self.phones(called), <[Target]>::to_vec);
        phones.retain(|phone| without != Some(&phone.hop));
        phones
    }

    /// The phones that a subscriber of this shard can be called at.
    pub(super) fn phones(&self, extension: &Extension) -> Vec<Target> {
        let bindings = self.core.held.owners.phones(extension).filter(|binding| binding.connected);
        bindings
            .filter_map(|binding| {
                let uri = Uri::parse(binding.contact).ok()?;
                let path = binding.path().filter_map(|hop| NameAddr::parse(hop).ok()).collect();
                Some(Target { hop: Hop::Phone(binding.flow), uri, path })
            })
            .collect()
    }

    pub(super) fn party(&self, extension: &Extension) -> Party {
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
        self.core.is_back(key);
        let mut turn = self.turn(step);
        turn.refuse(key, invite, cause);
        facts.end(&mut turn, cause, EndedBy::System);
    }
}
