//! Who is shown to whom (RFC 3323, 3325, 4916): always from the account or from the member that vouches for it, never
//! from what a phone writes. A caller who asks for privacy is `Anonymous` to phones; members are told who it is, and
//! that it hides.
//!
//! The two halves of the Session-ID (RFC 7989) are here too: each end has its own, made by the edge of a phone
//! that has none. What joins the records of a call is `Facts::session`; it travels as the caller's half, or beside it
//! when the caller's phone brought a half of its own, since a phone must not choose what a record is filed under.

use super::{Facts, Side};
use crate::core::Turn;
use crate::headers;
use crate::hop::Hop;
use crate::names::Names;
use crate::record::{Party, Role};
use serde::{Deserialize, Serialize};
use sip::{Host, Message, Name, NameAddr, Request, Response, Uri};

/// What a session knows of its ends beside their numbers and names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The Privacy of each side that asked for any, as members are told it.
    caller_hides: Option<String>,
    called_hides: Option<String>,
    /// The halves of the Session-ID.
    caller_half: String,
    called_half: Option<String>,
    /// Who is at the caller's end now, when a transfer has put somebody else there.
    caller_now: Option<Party>,
}

/// The values of Privacy that hide who somebody is (RFC 3323 § 4.2, RFC 3325 § 9.3).
const HIDING: [&str; 4] = ["id", "user", "header", "session"];
const NIL: &str = "00000000000000000000000000000000";
/// RFC 3323 § 4.1.1.3.
const ANONYMOUS_HOST: &str = "anonymous.invalid";
const ANONYMOUS: &str = "anonymous";

impl Identity {
    /// From the INVITE that begins a call, whose records have the name `session`.
    pub(crate) fn of(invite: &Message, role: Role, session: &str) -> Identity {
        let anonymous_from = role == Role::Originating && invite.from().uri.host.is(ANONYMOUS_HOST);
        let caller_hides = hiding(invite).or_else(|| anonymous_from.then(|| "id".to_owned()));
        let half = headers::half_of(invite).unwrap_or_else(|| session.to_owned());
        Identity { caller_hides, called_hides: None, caller_half: half, called_half: None, caller_now: None }
    }
}

/// What a message asks to be hidden of its sender.
fn hiding(message: &Message) -> Option<String> {
    let value = message.header(Name::Privacy)?.to_ascii_lowercase();
    let words: Vec<&str> =
        value.split([';', ',']).map(str::trim).filter(|word| HIDING.contains(word)).collect();
    (!words.is_empty()).then(|| words.join(";"))
}

impl Facts {
    /// Who is at that side now.
    pub(crate) fn party(&self, side: Side) -> &Party {
        match side {
            Side::Caller => self.identity.caller_now.as_ref().unwrap_or(&self.caller),
            Side::Called => &self.called,
        }
    }

    /// A transfer has put somebody else at that side. The record still names the first caller.
    pub(super) fn replace_party(&mut self, side: Side, party: Party, hides: Option<String>) {
        match side {
            Side::Caller => {
                self.identity.caller_now = Some(party);
                self.identity.caller_hides = hides;
            }
            Side::Called => {
                self.called = party;
                self.identity.called_hides = hides;
            }
        }
    }

    pub(super) fn hides(&self, side: Side) -> Option<&str> {
        match side {
            Side::Caller => self.identity.caller_hides.as_deref(),
            Side::Called => self.identity.called_hides.as_deref(),
        }
    }

    pub(super) fn half(&self, side: Side) -> Option<&str> {
        match side {
            Side::Caller => Some(&self.identity.caller_half),
            Side::Called => self.identity.called_half.as_deref(),
        }
    }

    pub(super) fn replace_half(&mut self, side: Side, half: Option<String>) {
        match (side, half) {
            (Side::Caller, Some(half)) => self.identity.caller_half = half,
            (Side::Caller, None) => {}
            (Side::Called, half) => self.identity.called_half = half,
        }
    }

    /// The user part of our Contact towards the leg at `side`: the other party, unless it hides.
    pub(super) fn shown_to(&self, side: Side) -> &str {
        match self.hides(side.other()) {
            Some(_) => ANONYMOUS,
            None if side == Side::Caller => &self.dialled,
            None => &self.party(side.other()).number,
        }
    }

    /// Our Session-ID towards a side (RFC 7989 § 6): the half of the other end, then its own.
    pub(crate) fn session_id(&self, towards: Side) -> String {
        let local = self.half(towards.other()).unwrap_or(NIL);
        let remote = self.half(towards).unwrap_or(NIL);
        format!("{local};remote={remote}")
    }

    /// The same in an INVITE to another member: with the name of the call, when that is not the caller's half.
    fn session_id_of_call(&self, towards: Side) -> String {
        let halves = self.session_id(towards);
        if self.half(towards.other()) == Some(&self.session) {
            halves
        } else {
            format!("{halves};call={}", self.session)
        }
    }

    /// What a response of the called side says of its sender. Only a member is believed who it is; a phone without a
    /// half of its own is given one.
    pub(super) fn learn(&mut self, names: &mut Names, from: &Hop, response: &Message) {
        match headers::half_of(response) {
            Some(half) => self.identity.called_half = Some(half),
            None if self.identity.called_half.is_none() => {
                self.identity.called_half = Some(names.session_id());
            }
            None => {}
        }
        if let Some(hides) = hiding(response) {
            self.identity.called_hides = Some(hides);
        }
        if from.is_cluster() {
            self.learn_asserted(Side::Called, response);
        }
    }

    /// A member says who is at that side now (RFC 4916 by P-Asserted-Identity). True when that is news.
    pub(super) fn learn_asserted(&mut self, side: Side, message: &Message) -> bool {
        let Some(asserted) = asserted_in(message) else { return false };
        if *self.party(side) == asserted || asserted.number.is_empty() {
            return false;
        }
        let hides = hiding(message);
        self.replace_party(side, asserted, hides);
        true
    }
}

/// Who a member vouches for.
fn asserted_in(message: &Message) -> Option<Party> {
    let asserted = message.address(Name::PAssertedIdentity).ok()??;
    Some(Party { number: asserted.uri.user().into_owned(), name: asserted.display.unwrap_or_default() })
}

/// The From of an INVITE of ours to a leg at `side`.
pub(super) fn from(turn: &Turn<'_>, facts: &Facts, side: Side, hop: &Hop) -> NameAddr {
    if facts.hides(side.other()).is_some() && !hop.is_cluster() {
        let uri = Uri::sip(ANONYMOUS, Host::Name(ANONYMOUS_HOST.to_owned()));
        return NameAddr::new(uri).with_display("Anonymous");
    }
    let party = facts.party(side.other());
    NameAddr::new(Uri::sip(&party.number, Host::Name(turn.core.domain().to_owned())))
        .with_display(&party.name)
}

/// The headers that say who is at the other side: P-Asserted-Identity and, to members, Privacy.
fn lines(turn: &Turn<'_>, facts: &Facts, side: Side, hop: &Hop) -> Vec<(Name, String)> {
    let (party, hides) = (facts.party(side.other()), facts.hides(side.other()));
    let asserted = |host: &str| {
        let uri = Uri::sip(&party.number, Host::Name(host.to_owned()));
        (Name::PAssertedIdentity, NameAddr::new(uri).with_display(&party.name).to_string())
    };
    match (hop.is_cluster(), hides) {
        (true, Some(hides)) => {
            vec![asserted(&turn.core.config.realm), (Name::Privacy, hides.to_owned())]
        }
        (true, None) => vec![asserted(&turn.core.config.realm)],
        (false, Some(_)) => Vec::new(),
        (false, None) => vec![asserted(turn.core.domain())],
    }
}

/// A request to the leg at `side` with the identity of the other one, and the Session-ID.
pub(super) fn sign(turn: &Turn<'_>, facts: &Facts, side: Side, hop: &Hop, request: Request) -> Request {
    let session = if hop.is_cluster() { facts.session_id_of_call(side) } else { facts.session_id(side) };
    let request = request.header(Name::SessionId, session);
    lines(turn, facts, side, hop)
        .into_iter()
        .fold(request, |request, (name, value)| request.header(name, value))
}

/// A response to the leg at `side`, the same way.
pub(super) fn sign_response(
    turn: &Turn<'_>,
    facts: &Facts,
    side: Side,
    hop: &Hop,
    response: Response,
) -> Response {
    let response = response.header(Name::SessionId, facts.session_id(side));
    // What nobody has answered yet is nobody's identity but the one that was dialled, which the asker knows.
    lines(turn, facts, side, hop)
        .into_iter()
        .fold(response, |response, (name, value)| response.header(name, value))
}
