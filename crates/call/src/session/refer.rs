//! REFER inside a call (RFC 3515, 7647): a person transfers the other party. It ends here, at the edge of the phone that
//! asks: no REFER is passed on, so nobody can make a foreign phone call somebody.
//!
//! The phone hears how far it is by NOTIFY with the status line of the new call (RFC 3515 § 2.4.5), unless it does not
//! want to (RFC 4488).

use super::exchange::{later, request_on};
use super::leg::Leg;
use super::talking::Talking;
use super::transferring::{Transfer, Transferring, Way};
use super::{Asked, Facts, Side, State};
use crate::core::{Ask, Purpose, SUPPORTED, Turn};
use crate::headers;
use serde::{Deserialize, Serialize};
use sip::{Message, Method, Name, NameAddr, Status, Uri};

/// Transfers of one call. One more is refused as a loop.
const TRANSFERS_MAX: usize = 20;
/// For how long the phone may wait for the outcome: longer than any phone rings.
const SUBSCRIPTION_S: u32 = 180;

/// What a REFER asks for.
#[derive(Debug, Clone)]
struct Referral {
    digits: String,
    replaces: Option<Replaces>,
}

/// The dialog that a new one takes the place of (RFC 3891), as the one who is asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replaces {
    pub(crate) call_id: String,
    pub(crate) to_tag: String,
    pub(crate) from_tag: String,
    /// Only while it is unanswered.
    pub(crate) early_only: bool,
}

impl Replaces {
    /// From the value of a Replaces header.
    pub(crate) fn parse(value: &str) -> Option<Replaces> {
        let call_id = value.split(';').next()?.trim();
        let early_only = value.split(';').any(|part| part.trim().eq_ignore_ascii_case("early-only"));
        let (to_tag, from_tag) = (headers::param(value, "to-tag")?, headers::param(value, "from-tag")?);
        (!call_id.is_empty()).then(|| Replaces { call_id: call_id.to_owned(), to_tag, from_tag, early_only })
    }

    /// True for the leg whose other end gave us this.
    pub(super) fn names(&self, leg: &Leg) -> bool {
        leg.dialog.call_id == self.call_id
            && leg.dialog.local_tag() == self.to_tag
            && leg.dialog.remote_tag() == self.from_tag
    }
}

/// Who is told how a transfer goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// `Refer-Sub: false`: nothing.
    quiet: bool,
    /// The CSeq of the REFER: it tells two of one dialog apart (RFC 3515 § 2.4.6).
    id: u32,
    /// The last status told.
    told: Option<Status>,
}

impl Report {
    fn of(refer: &Message) -> Report {
        let quiet =
            refer.header_named("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        Report { quiet, id: refer.cseq().number, told: None }
    }

    /// Tells the phone a status, once; a final one ends the subscription.
    pub(super) fn tell(&mut self, facts: &Facts, turn: &mut Turn<'_>, leg: &mut Leg, status: Status) {
        if self.quiet || self.told == Some(status) || self.told.is_some_and(Status::is_final) {
            return;
        }
        self.told = Some(status);
        let state = if status.is_final() {
            "terminated;reason=noresource".to_owned()
        } else {
            format!("active;expires={SUBSCRIPTION_S}")
        };
        let words = format!("SIP/2.0 {status} {}\r\n", status.reason());
        let notify = request_on(facts, turn, leg, Method::Notify)
            .contact(&turn.contact(&leg.hop, &leg.shows))
            .header(Name::Event, format!("refer;id={}", self.id))
            .header(Name::SubscriptionState, state)
            .body("message/sipfrag;version=2.0", words.as_bytes());
        let hop = leg.hop.clone();
        turn.request(&hop, notify, Purpose::Unheeded(facts.call));
    }
}

/// A REFER of one side: taken, or refused with the call as it was.
pub(super) fn refer(
    mut talking: Box<Talking>,
    facts: &mut Facts,
    turn: &mut Turn<'_>,
    asked: &Asked,
) -> Option<State> {
    let Asked { side, key, message, .. } = asked;
    let referral = match accepted(&mut talking, facts, turn, *side, message) {
        Ok(referral) => referral,
        Err(Status::SERVER_INTERNAL_ERROR) => {
            later(turn, key, message);
            return Some(State::Talking(talking));
        }
        Err(status) => {
            turn.answer(key, message, status);
            return Some(State::Talking(talking));
        }
    };
    let mut report = Report::of(message);
    let leg = talking.leg(*side);
    let answer = turn
        .answer_to(message, Status::ACCEPTED)
        .contact(&turn.contact(&leg.hop, &leg.shows))
        .header(Name::Supported, SUPPORTED);
    let answer = if report.quiet { answer.header_named("Refer-Sub", "false") } else { answer };
    turn.respond(key, answer);
    report.tell(facts, turn, leg, Status::TRYING);
    let way = match referral.replaces {
        Some(replaces) => {
            turn.ask(Ask::Bring { call: facts.call, tag: replaces.to_tag.clone() });
            Way::Bringing { replaces }
        }
        None => {
            let transferee = talking.leg(side.other()).hop.clone();
            ask_route(facts, turn, *side, referral.digits, Some(transferee));
            Way::Routing
        }
    };
    Some(State::Transferring(Box::new(Transferring { talking, transfer: Transfer::new(*side, report, way) })))
}

/// Where the target is, with the rights of both who would speak to it: of the one who transfers, and of the one who is
/// transferred (threat row 3).
pub(super) fn ask_route(
    facts: &Facts,
    turn: &mut Turn<'_>,
    by: Side,
    digits: String,
    without: Option<crate::hop::Hop>,
) {
    let rights = [by.other(), by].map(|side| facts.party(side).number.clone()).to_vec();
    turn.ask(Ask::Route { call: facts.call, ticket: TICKET.to_owned(), rights, digits, without });
}

/// What a transfer's questions are given back with.
pub(super) const TICKET: &str = "refer";

/// Judges a REFER.
fn accepted(
    talking: &mut Talking,
    facts: &Facts,
    turn: &Turn<'_>,
    side: Side,
    message: &Message,
) -> Result<Referral, Status> {
    // Members transfer at their own phones' edge; nobody tells another member whom to call.
    if talking.leg(side).hop.is_cluster() {
        return Err(Status::FORBIDDEN);
    }
    if !talking.is_settled() {
        return Err(Status::SERVER_INTERNAL_ERROR);
    }
    if facts.transfers.len() >= TRANSFERS_MAX {
        return Err(Status::LOOP_DETECTED);
    }
    let mut values = message.headers(Name::ReferTo);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Status::BAD_REQUEST) };
    let target = NameAddr::parse(value).map_err(|_| Status::BAD_REQUEST)?.uri;
    // What we call is a number of ours; the world outside is not called for a phone (DESIGN § 7).
    let wants_a_call = target.params.raw("method").is_none_or(|method| method.eq_ignore_ascii_case("INVITE"));
    if !target.is_sip() || !turn.core.is_ours(&target.host) || !wants_a_call || target.user().is_empty() {
        return Err(Status::FORBIDDEN);
    }
    Ok(Referral { digits: target.user().into_owned(), replaces: replaces_in(&target)? })
}

fn replaces_in(target: &Uri) -> Result<Option<Replaces>, Status> {
    match target.header("Replaces") {
        Some(value) => Replaces::parse(&value).map(Some).ok_or(Status::BAD_REQUEST),
        None => Ok(None),
    }
}
