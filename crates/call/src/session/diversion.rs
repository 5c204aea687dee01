//! A phone that sends its calls elsewhere (3xx): its diversion, with the rights of its own subscriber, counted, and
//! only to our own numbers. Told in Diversion (RFC 5806) and History-Info (RFC 7044); between members these also
//! carry the count, so that a circle over several members ends.

use super::invite::{Summons, ring_until, summon};
use super::leg::supports;
use super::offering::{Branch, Offering, Reached};
use super::{Facts, Routed, Side, State};
use crate::core::{Ask, Turn};
use crate::hop::Hop;
use crate::record::{Party, Role};
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{MAX_FORWARDS, Message, Name, NameAddr, Request, Status};

/// Diversions of one call (DESIGN § 7). One more is a forwarding loop: 482/25.
const DIVERSIONS_MAX: usize = 5;

/// One diversion that lies behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Diversion {
    /// Whose phone sent the call on.
    pub(crate) number: String,
    /// Why, in the words of RFC 5806 § 4.
    pub(crate) reason: String,
}

/// What became of a 3xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Diverting {
    /// Where it leads is being asked.
    Asked,
    /// It leads nowhere.
    Nowhere,
}

/// The diversions an INVITE tells of, first to last. A member is believed, a phone is not.
pub(crate) fn told_in(invite: &Message, role: Role) -> Vec<Diversion> {
    if role == Role::Originating {
        return Vec::new();
    }
    let addresses = invite.addresses(Name::Diversion).unwrap_or_default();
    let mut diversions: Vec<Diversion> = addresses
        .into_iter()
        .map(|address| Diversion {
            number: address.uri.user().into_owned(),
            reason: address
                .params
                .value("reason")
                .map_or_else(|| "unknown".to_owned(), |word| word.into_owned()),
        })
        .collect();
    // The topmost is the last one (RFC 5806 § 4).
    diversions.reverse();
    diversions
}

impl Facts {
    pub(super) fn may_be_diverted(&self) -> bool {
        self.diversions.len() <= DIVERSIONS_MAX
    }

    /// Diversion and History-Info of an INVITE to `party`. Phones are not told of numbers that hide.
    pub(super) fn tell_diversions(
        &self,
        turn: &Turn<'_>,
        hop: &Hop,
        party: &Party,
        mut request: Request,
    ) -> Request {
        if self.diversions.is_empty() {
            return request;
        }
        let domain = || sip::Host::Name(turn.core.domain().to_owned());
        let hidden = !hop.is_cluster() && self.hides(Side::Called).is_some();
        for diversion in self.diversions.iter().rev().filter(|_| !hidden) {
            let mut address = NameAddr::new(sip::Uri::sip(&diversion.number, domain()));
            address.params.set("reason", Some(&diversion.reason));
            request = request.header(Name::Diversion, address);
        }
        let numbers = self.diversions.iter().map(|diversion| diversion.number.as_str());
        let mut index = String::new();
        for number in numbers.chain([party.number.as_str()]).filter(|_| !hidden) {
            let mut address = NameAddr::new(sip::Uri::sip(number, domain()));
            let target = !index.is_empty();
            let before = index.clone();
            index.push_str(if target { ".1" } else { "1" });
            address.params.set("index", Some(&index));
            if target {
                address.params.set("mp", Some(&before));
            }
            request = request.header(Name::HistoryInfo, address);
        }
        request
    }
}

impl Branch {
    /// The phone says where the call shall go. Its subscriber's rights decide whether it may.
    pub(super) fn divert(&mut self, facts: &Facts, turn: &mut Turn<'_>, response: &Message) -> Diverting {
        let contact = response.contact().ok().flatten().map(|contact| contact.uri);
        let Some(uri) = contact.filter(|uri| uri.is_sip() && turn.core.is_ours(&uri.host)) else {
            return Diverting::Nowhere;
        };
        self.reached = Reached::Diverted;
        turn.ask(Ask::Route {
            call: facts.call,
            ticket: self.key.to_string(),
            rights: vec![self.party.number.clone()],
            digits: uri.user().into_owned(),
            without: Some(self.hop.clone()),
        });
        Diverting::Asked
    }
}

impl Offering {
    /// Where a diverted branch leads: it rings there, in place of the phone that sent it on.
    pub(super) fn diverted(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        routed: Routed,
    ) -> Option<State> {
        let diverted =
            |branch: &Branch| branch.reached == Reached::Diverted && branch.key.to_string() == routed.ticket;
        let Some(branch) = self.branches.iter_mut().find(|branch| diverted(branch)) else {
            return Some(State::Offering(self));
        };
        let from = branch.party.number.clone();
        let known = |number: &str| facts.diversions.iter().any(|diversion| diversion.number == number);
        let outcome = match routed.outcome {
            Ok((party, _)) if known(&party.number) || party.number == from => Err(Cause::Loop),
            Ok(_) if facts.diversions.len() >= DIVERSIONS_MAX => Err(Cause::Loop),
            outcome => outcome,
        };
        facts.steps.extend(routed.steps);
        let (party, targets) = match outcome {
            Ok(led) => led,
            Err(cause) => {
                branch.reached = Reached::End(cause);
                return self.go_on_or_refuse(facts, turn);
            }
        };
        self.branches.retain(|branch| !diverted(branch));
        facts.diversions.push(Diversion { number: from, reason: "deflection".to_owned() });
        self.ring_until = self.ring_until.max(ring_until(turn, &targets));
        let alone = self.branches.is_empty() && targets.len() == 1;
        let invite = self.caller.invite.clone();
        let summons = Summons {
            side: Side::Called,
            party: &party,
            hops: invite.max_forwards().unwrap_or(MAX_FORWARDS).saturating_sub(1),
            offer: Some(&invite),
            reliably: alone && supports(&invite, "100rel"),
            referred_by: None,
            replaces: None,
        };
        self.branches.extend(summon(turn, facts, &summons, targets));
        // 181 tells the caller (RFC 3261 § 21.1.3).
        let forwarded = self.to_caller(facts, turn, Status::CALL_IS_BEING_FORWARDED);
        if self.caller.reliable.wish != super::reliable::Wish::Required {
            turn.respond(&self.caller.key, forwarded);
        }
        if self.branches.is_empty() {
            self.refuse(facts, turn, Cause::TemporaryFailure, crate::record::EndedBy::System);
            return None;
        }
        Some(State::Offering(self))
    }
}
