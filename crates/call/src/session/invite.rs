//! The beginning of a call: the caller's INVITE is in, one INVITE goes to each target.

use super::leg::{Leg, supports};
use super::offering::{Branch, Incoming, Offering, Reached};
use super::reliable::Reliable;
use super::{Facts, Session, Side, State, identity, media, watch};
use crate::core::{ALLOW, Purpose, Turn};
use crate::headers;
use crate::hop::Hop;
use crate::record::{CallId, EndedBy, Party};
use model::{Cause, Extension};
use serde::{Deserialize, Serialize};
use sip::{Dialog, Edit, Host, MAX_FORWARDS, Message, Method, Name, NameAddr, Request, ServerKey, Uri};
use std::time::Duration;

/// One place where the called party may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The way to it.
    pub(crate) hop: Hop,
    /// Its address.
    pub(crate) uri: Uri,
    /// The proxies on the way (RFC 3327).
    pub(crate) path: Vec<NameAddr>,
}

impl Target {
    /// The cluster, asked for this subscriber.
    pub(crate) fn cluster(extension: &Extension, realm: &str) -> Target {
        let uri = Uri::sip(extension.as_str(), Host::Name(realm.to_owned()));
        Target { hop: Hop::Cluster, uri, path: Vec::new() }
    }
}

/// What an INVITE of ours says, whoever it is for.
pub(super) struct Summons<'a> {
    /// The side that is called.
    pub(super) side: Side,
    pub(super) party: &'a Party,
    pub(super) hops: u8,
    /// Its words are the offer; without it the called phone makes one.
    pub(super) offer: Option<&'a Message>,
    /// It may answer reliably (RFC 3262).
    pub(super) reliably: bool,
    /// Who sent us there (RFC 3892).
    pub(super) referred_by: Option<&'a str>,
    /// The dialog beyond the cluster that it wants (RFC 3891).
    pub(super) replaces: Option<&'a str>,
}

/// Begins the call. `None` when no INVITE could be sent; the caller has been answered then.
pub(crate) fn begin(
    turn: &mut Turn<'_>,
    mut facts: Facts,
    from: Hop,
    key: ServerKey,
    invite: Message,
    targets: Vec<Target>,
) -> Option<Session> {
    if let Some(refusal) = watch::too_brief(turn, &invite) {
        let refusal = refusal.to_tag(&turn.core.tokens.tag());
        turn.respond(&key, refusal);
        return None;
    }
    let tag = turn.core.tokens.tag();
    let dialog = match Dialog::as_callee(&invite, &tag) {
        Ok(dialog) if facts.may_be_diverted() => dialog,
        refused => {
            let cause = if refused.is_ok() { Cause::Loop } else { Cause::ProtocolError };
            turn.refuse(&key, &invite, cause);
            facts.end(turn, cause, EndedBy::System);
            return None;
        }
    };
    facts.media = media::Media::of(&from, &invite);
    turn.core.bind_tag(&tag, facts.call, Side::Caller);
    turn.core.bind_server(&key, facts.call);
    let leg = Leg::new(turn, Side::Caller, &from, dialog, facts.shown_to(Side::Caller), &invite);
    let reliable = Reliable::of(turn, &invite);
    let ring_until = ring_until(turn, &targets);
    let party = facts.called.clone();
    let summons = Summons {
        side: Side::Called,
        party: &party,
        hops: invite.max_forwards().unwrap_or(MAX_FORWARDS).saturating_sub(1),
        offer: Some(&invite),
        reliably: targets.len() == 1 && supports(&invite, "100rel"),
        referred_by: None,
        replaces: invite.header(Name::Replaces),
    };
    let branches = summon(turn, &mut facts, &summons, targets);
    facts.show(turn);
    let caller = Incoming { leg, invite, key, reliable };
    let mut offering = Offering { caller, branches, ring_until, modify: None };
    if offering.branches.is_empty() {
        let cause = facts.media.refusal().unwrap_or(Cause::TemporaryFailure);
        offering.refuse(&facts, turn, cause, EndedBy::System);
        return None;
    }
    Some(Session { facts: Box::new(facts), state: State::Offering(Box::new(offering)) })
}

/// When these targets have not answered.
pub(super) fn ring_until(turn: &Turn<'_>, targets: &[Target]) -> Duration {
    let settings = turn.core.config.settings;
    let across = targets.iter().any(|target| target.hop.is_cluster());
    turn.now + settings.no_answer + if across { settings.no_answer_grace } else { Duration::ZERO }
}

/// One INVITE to each target.
pub(super) fn summon(
    turn: &mut Turn<'_>,
    facts: &mut Facts,
    summons: &Summons<'_>,
    targets: Vec<Target>,
) -> Vec<Branch> {
    targets.into_iter().filter_map(|target| send(turn, facts, summons, target)).collect()
}

fn send(turn: &mut Turn<'_>, facts: &mut Facts, summons: &Summons<'_>, target: Target) -> Option<Branch> {
    let Target { hop, uri, path } = target;
    let Summons { side, party, .. } = *summons;
    let tag = turn.core.tokens.tag();
    turn.core.bind_tag(&tag, facts.call, side);
    let call_id = turn.core.tokens.call_id(&turn.core.config.member_host());
    facts.call_ids.push(call_id.clone());
    let from = identity::from(turn, facts, side, &hop).with_tag(&tag);
    let to = NameAddr::new(Uri::sip(&party.number, Host::Name(turn.core.domain().to_owned())));
    let via = turn.via(&hop);
    let request = Request::new(Method::Invite, &uri.for_request_line())
        .via(&via)
        .from(&from)
        .to(&to)
        .call_id(&call_id)
        .cseq(1)
        .max_forwards(summons.hops)
        .contact(&turn.contact(&hop, facts.shown_to(side)))
        .route(&path)
        .header(Name::Allow, ALLOW);
    let request = identity::sign(turn, facts, side, &hop, request);
    let request = facts.tell_diversions(turn, &hop, party, request);
    let request = extensions(turn, summons, &hop, request);
    let request = if facts.emergency { request.header(Name::Priority, headers::EMERGENCY) } else { request };
    let request = media::attach(turn, facts, &tag, (side, &hop, &uri), summons.offer, request)?;
    let (key, invite) = turn.request(&hop, request, Purpose::Invite(facts.call))?;
    let (party, sent) = (party.clone(), turn.now);
    Some(Branch { key, hop, invite, reached: Reached::Nothing, party, sent, early: None, rseq: None })
}

/// What we and, through us, the caller can do.
fn extensions(turn: &Turn<'_>, summons: &Summons<'_>, hop: &Hop, request: Request) -> Request {
    let supported = match (summons.reliably, hop.is_cluster()) {
        (true, true) => "100rel",
        (true, false) => "timer, 100rel",
        (false, true) => "",
        (false, false) => "timer",
    };
    let request = if supported.is_empty() { request } else { request.header(Name::Supported, supported) };
    let request = match summons.referred_by {
        Some(by) => request.header(Name::ReferredBy, by),
        None => request,
    };
    let request = match summons.replaces.filter(|_| hop.is_cluster()) {
        Some(replaces) => request.header(Name::Replaces, replaces).header(Name::Require, "replaces"),
        None => request,
    };
    if hop.is_cluster() { request } else { watch::propose(&turn.core.config.settings, request) }
}

/// The phone finds our session timer too short (422): once more, with the one it insists on (RFC 4028 § 7.4).
/// False when that was tried already.
pub(super) fn again(turn: &mut Turn<'_>, call: CallId, branch: &mut Branch, response: &Message) -> bool {
    if branch.invite.cseq().number > 1 {
        return false;
    }
    let interval = watch::insisted(response).as_secs();
    let via = turn.via(&branch.hop);
    let invite = Edit::of(&branch.invite)
        .pop_via()
        .push_via(&via)
        .set(Name::CSeq, "2 INVITE")
        .set(Name::SessionExpires, format!("{interval};refresher=uac"))
        .set(Name::MinSe, interval)
        .message();
    let Ok(invite) = invite else { return false };
    branch.key = turn.send(&branch.hop, invite.clone(), Purpose::Invite(call));
    branch.invite = invite;
    branch.reached = Reached::Nothing;
    branch.sent = turn.now;
    true
}
