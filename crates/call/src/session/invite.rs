//! The beginning of a call: the caller's INVITE is in, one INVITE goes to each target.

use super::offering::{Branch, Incoming, Offering, Reached};
use super::{Facts, Session, Side, State};
use crate::core::{ALLOW, Purpose, Turn};
use crate::headers;
use crate::hop::Hop;
use model::Extension;
use sip::{Host, MAX_FORWARDS, Message, Method, Name, NameAddr, Request, ServerKey, Uri};

/// One place where the called party may be.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The way to it.
    pub(crate) hop: Hop,
    /// Its address.
    pub(crate) uri: Uri,
}

impl Target {
    /// The cluster, asked for this subscriber.
    pub(crate) fn cluster(extension: &Extension, realm: &str) -> Target {
        Target { hop: Hop::Cluster, uri: Uri::sip(extension.as_str(), Host::Name(realm.to_owned())) }
    }
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
    let tag = turn.core.tokens.tag();
    turn.core.bind_tag(&tag, facts.call, Side::Caller);
    turn.core.bind_server(&key, facts.call);
    let settings = turn.core.config.settings;
    let grace = targets.iter().any(|target| target.hop.is_cluster());
    let wait = settings.no_answer + if grace { settings.no_answer_grace } else { std::time::Duration::ZERO };
    let ring_until = turn.now + wait;
    let incoming = Incoming { hop: from, invite, key, tag };
    let branches: Vec<Branch> =
        targets.into_iter().filter_map(|target| send(turn, &mut facts, &incoming, target)).collect();
    facts.show(turn);
    let offering = Offering { caller: incoming, branches, ring_until };
    if offering.branches.is_empty() {
        offering.refuse(&facts, turn, model::Cause::TemporaryFailure, crate::EndedBy::System);
        return None;
    }
    Some(Session { facts, state: State::Offering(offering) })
}

fn send(turn: &mut Turn<'_>, facts: &mut Facts, incoming: &Incoming, target: Target) -> Option<Branch> {
    let Target { hop, uri } = target;
    let tag = turn.core.tokens.tag();
    turn.core.bind_tag(&tag, facts.call, Side::Called);
    let host = Host::Name(turn.core.domain().to_owned());
    let call_id = turn.core.tokens.call_id(&turn.core.config.member_host());
    facts.call_ids.push(call_id.clone());
    let from = NameAddr::new(Uri::sip(&facts.caller.number, host.clone())).with_display(&facts.caller.name);
    let to = NameAddr::new(Uri::sip(&facts.called.number, host));
    let hops = incoming.invite.max_forwards().unwrap_or(MAX_FORWARDS).saturating_sub(1);
    let via = turn.via(&hop);
    let mut request = Request::new(Method::Invite, &uri.for_request_line())
        .via(&via)
        .from(&from.clone().with_tag(&tag))
        .to(&to)
        .call_id(&call_id)
        .cseq(1)
        .max_forwards(hops)
        .contact(&turn.contact(&hop, &facts.caller.number))
        .header(Name::Allow, ALLOW)
        .header(Name::SessionId, headers::session_id(&facts.session));
    if facts.emergency {
        request = request.header(Name::Priority, headers::EMERGENCY);
    }
    if hop.is_cluster() {
        let realm = Host::Name(turn.core.config.realm.clone());
        let asserted = NameAddr::new(Uri::sip(&facts.caller.number, realm)).with_display(&facts.caller.name);
        request = request.header(Name::PAssertedIdentity, asserted.to_string());
    }
    let request = request.body_of(&incoming.invite);
    let (key, invite) = turn.request(&hop, request, Purpose::Invite(facts.call))?;
    Some(Branch { key, hop, invite, reached: Reached::Nothing })
}
