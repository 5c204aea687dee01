//! The steps of a transfer that are ours (RFC 3725 flow I): ring the target without an offer, take its offer, have it
//! answered by the party that stays, hand the answer to the target.

use super::answer::hang_up_stray;
use super::consult::Consult;
use super::early::{Heard, confirm};
use super::exchange::request_on;
use super::invite::{Summons, Target, again, ring_until, summon};
use super::leg::{Leg, agreed, words_of};
use super::offering::{Branch, Offering, Reached};
use super::refer::ask_route;
use super::reliable::Far;
use super::talking::{Onward, Talking};
use super::transferring::{Found, Joining, Transfer, Transferring, Way};
use super::{Facts, Session, Side, State, Step, parting};
use crate::core::{Ask, Purpose, SDP, Turn};
use crate::headers::{self, cause_of};
use crate::hop::Hop;
use crate::record::{self, TransferKind};
use model::Cause;
use sip::transaction::Failure;
use sip::{ClientKey, Host, MAX_FORWARDS, Message, Method, Name, NameAddr, Status, Uri};
use std::time::Duration;

/// How long the staying party is left alone after it said "not now", or while a cut lies between.
const PAUSE: Duration = Duration::from_secs(2);
/// How often it is asked; with the pauses this is shorter than a phone waits for the ACK of its answer.
const TRIES_MAX: u8 = 12;

impl Transferring {
    /// Calls the target, without an offer: it makes one when it answers.
    pub(super) fn ring(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        targets: Vec<Target>,
    ) -> Option<State> {
        let by = self.transfer.by;
        let until = ring_until(turn, &targets);
        let domain = Host::Name(turn.core.domain().to_owned());
        let referrer = NameAddr::new(Uri::sip(&facts.party(by).number, domain)).to_string();
        let party = self.transfer.target.clone();
        let summons = Summons {
            side: by,
            party: &party,
            hops: MAX_FORWARDS - 1,
            offer: None,
            reliably: false,
            referred_by: Some(&referrer),
            replaces: None,
        };
        let branches = summon(turn, facts, &summons, targets);
        if branches.is_empty() {
            return self.fail(facts, turn, Cause::TemporaryFailure, None);
        }
        self.transfer.way = Way::Ringing { branches, until };
        Some(State::Transferring(self))
    }

    /// A target says something to its INVITE.
    pub(super) fn response(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        response: &Message,
    ) -> Option<State> {
        let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
        let by = self.transfer.by;
        let branches = match &mut self.transfer.way {
            Way::Ringing { branches, .. } | Way::Checking(Found::Ringing { branches, .. }) => branches,
            _ => {
                self.late_answer(turn, key, response, status);
                return Some(State::Transferring(self));
            }
        };
        let Some(index) = branches.iter().position(|branch| branch.key == *key) else {
            return Some(State::Transferring(self));
        };
        if status.is_success() {
            let winner = branches.remove(index);
            return self.target_answered(facts, turn, winner, response);
        }
        let Some(branch) = branches.get_mut(index) else { return Some(State::Transferring(self)) };
        if !status.is_final() {
            branch.reached = Reached::Somebody;
            let far = Far::of(key, response);
            let heard = branch.hears(facts, turn, by, response, far.as_ref());
            if let Some(far) = far.filter(|_| heard != Heard::Again) {
                confirm(facts, turn, branch, response, &far);
            }
            if status != Status::TRYING {
                self.tell(facts, turn, Status::RINGING);
            }
            return Some(State::Transferring(self));
        }
        if status == Status::SESSION_INTERVAL_TOO_SMALL && again(turn, facts.call, branch, response) {
            return Some(State::Transferring(self));
        }
        let cause = if status.code() < 400 { Cause::TemporaryFailure } else { cause_of(response) };
        self.branch_failed(facts, turn, key, cause)
    }

    /// A 2xx that nobody waits for: of the target that is joined already, or of a phone that believes in a call.
    fn late_answer(&mut self, turn: &mut Turn<'_>, key: &ClientKey, response: &Message, status: Status) {
        let known = match &self.transfer.way {
            Way::Asking { leg, .. } => leg.dialog.matches(response),
            Way::Joining(joining) => joining.leg.dialog.matches(response),
            _ => false,
        };
        let talks =
            self.talking.caller.dialog.matches(response) || self.talking.called.dialog.matches(response);
        if status.is_success() && !known && !talks {
            let hop = self.talking.called.hop.clone();
            hang_up_stray(turn, Some(key), &hop, response);
        }
    }

    pub(super) fn branch_failed(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        cause: Cause,
    ) -> Option<State> {
        let (Way::Ringing { branches, .. } | Way::Checking(Found::Ringing { branches, .. })) =
            &mut self.transfer.way
        else {
            return Some(State::Transferring(self));
        };
        if let Some(branch) = branches.iter_mut().find(|branch| branch.key == *key) {
            let no_way = branch.hop.is_cluster() && cause == Cause::NoUserResponding;
            branch.reached = Reached::End(if no_way { Cause::UnreachableByCut } else { cause });
        }
        self.go_on_ringing(facts, turn)
    }

    fn go_on_ringing(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        let (Way::Ringing { branches, .. } | Way::Checking(Found::Ringing { branches, .. })) =
            &mut self.transfer.way
        else {
            return Some(State::Transferring(self));
        };
        if branches.iter().any(|branch| branch.end().is_none()) {
            return Some(State::Transferring(self));
        }
        let cause = branches.iter().filter_map(Branch::end).min_by_key(|cause| super::offering::rank(*cause));
        self.fail(facts, turn, cause.unwrap_or(Cause::TemporaryFailure), None)
    }

    /// What nobody beyond the cut has taken will not be taken now.
    pub(super) fn cluster_down(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        if let Way::Ringing { branches, .. } = &mut self.transfer.way {
            for branch in branches.iter_mut() {
                if branch.hop.is_cluster() && branch.reached == Reached::Nothing {
                    branch.give_up(turn);
                    branch.reached = Reached::End(Cause::UnreachableByCut);
                }
            }
        }
        self.go_on_ringing(facts, turn)
    }

    fn target_answered(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        winner: Branch,
        response: &Message,
    ) -> Option<State> {
        let by = self.transfer.by;
        self.transfer.give_up_branches(turn);
        let (key, invite) = (winner.key.clone(), winner.invite.clone());
        self.transfer.target = winner.party.clone();
        let Ok(mut leg) = winner.into_leg(facts, turn, by, response) else {
            self.transfer.way = Way::Routing;
            return self.fail(facts, turn, Cause::ProtocolError, None);
        };
        learn_target(&mut self.transfer, &leg, response);
        let onward = Onward { client: key, cseq: invite.cseq().number };
        if invite.body().is_empty() {
            return self.join(facts, turn, leg, onward, response);
        }
        // It answered the transferor's offer, who called it and is gone: it is asked for one of its own.
        leg.told = words_of(&invite);
        leg.said = words_of(response);
        acknowledge(facts, turn, &leg, &onward, None);
        self.ask_target(facts, turn, leg)
    }

    /// Asks the target, which talks already, for an offer.
    pub(super) fn ask_target(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        mut leg: Leg,
    ) -> Option<State> {
        leg.side = self.transfer.by;
        turn.core.bind_tag(leg.dialog.local_tag(), facts.call, leg.side);
        let request = request_on(facts, turn, &mut leg, Method::Invite);
        let sent = turn.request(&leg.hop.clone(), request, Purpose::Join(facts.call, Step::Offer));
        let client = sent.map(|(key, _)| key);
        let unsent = client.is_none();
        self.transfer.way = Way::Asking { leg: Box::new(leg), client };
        if unsent {
            self.fail(facts, turn, Cause::TemporaryFailure, None)
        } else {
            Some(State::Transferring(self))
        }
    }

    /// The target's offer, or that it makes none.
    pub(super) fn offered(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let asked = matches!(&self.transfer.way, Way::Asking { client, .. } if client.as_ref() == Some(key));
        let provisional = |message: &Message| message.status().is_some_and(|status| !status.is_final());
        if !asked || outcome.as_ref().is_ok_and(provisional) {
            return Some(State::Transferring(self));
        }
        match outcome {
            Ok(response) if response.status().is_some_and(Status::is_success) => {
                let Way::Asking { leg, .. } = std::mem::replace(&mut self.transfer.way, Way::Routing) else {
                    return Some(State::Transferring(self));
                };
                let onward = Onward { client: key.clone(), cseq: response.cseq().number };
                self.join(facts, turn, *leg, onward, &response)
            }
            outcome => {
                self.transfer.settled();
                let cause = outcome.map_or(Cause::UnreachableByCut, |response| cause_of(&response));
                self.fail(facts, turn, cause, None)
            }
        }
    }

    /// The target has offered: the staying party is asked for the answer.
    fn join(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        leg: Leg,
        onward: Onward,
        offer: &Message,
    ) -> Option<State> {
        let offers = words_of(offer).is_some();
        let (offer, not_before) = (offer.clone(), turn.now);
        self.transfer.way =
            Way::Joining(Box::new(Joining { leg, offer, onward, sent: false, not_before, tries: 0 }));
        if offers { self.go_on(facts, turn) } else { self.fail(facts, turn, Cause::IncompatibleMedia, None) }
    }

    /// Sends the target's offer to the staying party, who is shown who it is.
    pub(super) fn ask_the_other(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
    ) -> Option<State> {
        let Transferring { talking, transfer } = &mut *self;
        let by = transfer.by;
        let Way::Joining(joining) = &mut transfer.way else { return Some(State::Transferring(self)) };
        let leg = talking.leg(by.other());
        joining.tries += 1;
        joining.not_before = turn.now + PAUSE;
        if joining.tries > TRIES_MAX {
            return self.fail(facts, turn, Cause::TemporaryFailure, None);
        }
        // Across a cut it waits for the link to come back; the target's phone waits too.
        if !turn.core.carries(&leg.hop) {
            return Some(State::Transferring(self));
        }
        let mut shown = facts.clone();
        shown.replace_party(by, transfer.target.clone(), None);
        leg.shows = shown.shown_to(by.other()).to_owned();
        let request = request_on(&shown, turn, leg, Method::Invite).body_of(&joining.offer);
        let hop = leg.hop.clone();
        joining.sent = turn.request(&hop, request, Purpose::Join(facts.call, Step::Answer)).is_some();
        Some(State::Transferring(self))
    }

    /// The staying party's answer.
    pub(super) fn answered(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        outcome: Result<Message, Failure>,
    ) -> Option<State> {
        let provisional = |message: &Message| message.status().is_some_and(|status| !status.is_final());
        if outcome.as_ref().is_ok_and(provisional) {
            return Some(State::Transferring(self));
        }
        let by = self.transfer.by;
        let Way::Joining(joining) = &mut self.transfer.way else {
            if let Ok(response) = &outcome {
                settle_late(&mut self.talking, facts, turn, (Step::Answer, key), response);
            }
            return Some(State::Transferring(self));
        };
        joining.sent = false;
        match outcome {
            Ok(response) if response.status().is_some_and(Status::is_success) => {
                let leg = self.talking.leg(by.other());
                let onward = Onward { client: key.clone(), cseq: response.cseq().number };
                acknowledge(facts, turn, leg, &onward, None);
                leg.heard = turn.now;
                super::watch::agree(turn, leg, &response);
                self.complete(facts, turn, &response)
            }
            // It has an offer of its own on its way, or is not ready (RFC 3261 § 14.1).
            Ok(response) if matches!(response.status().map(Status::code), Some(491 | 500 | 503)) => {
                joining.not_before = turn.now + PAUSE;
                Some(State::Transferring(self))
            }
            Ok(response) => {
                let cause = cause_of(&response);
                self.fail(facts, turn, cause, response.status())
            }
            Err(_) => self.fail(facts, turn, Cause::TemporaryFailure, None),
        }
    }

    /// Both have agreed: they talk, and whoever transferred parts.
    fn complete(self, facts: &mut Facts, turn: &mut Turn<'_>, answer: &Message) -> Option<State> {
        let Transferring { mut talking, mut transfer } = self;
        let (by, gone) = (transfer.by, transfer.gone);
        let Way::Joining(joining) = transfer.way else { return Some(State::Talking(talking)) };
        let Joining { mut leg, offer, onward, .. } = *joining;
        acknowledge(facts, turn, &leg, &onward, Some(answer));
        if !gone {
            transfer.report.tell(facts, turn, talking.leg(by), Status::OK);
        }
        let stays = talking.leg(by.other());
        agreed(&mut leg, stays, &offer);
        agreed(stays, &mut leg, answer);
        let how = if transfer.consult.is_some() { TransferKind::Attended } else { TransferKind::Blind };
        let transfer_of =
            record::Transfer { by: facts.party(by).clone(), to: transfer.target.clone(), how, at: turn.now };
        let parted = std::mem::replace(talking.leg(by), leg);
        if !gone {
            parting::part(turn, facts, parted);
        }
        facts.transfers.push(transfer_of.clone());
        if let Some(mut consult) = transfer.consult {
            facts.call_ids.extend(consult.facts.call_ids.iter().cloned());
            consult.facts.transfers.push(transfer_of);
            consult.dissolve(turn);
        }
        facts.replace_party(by, transfer.target, None);
        facts.replace_half(by, headers::half_of(&offer));
        facts.show(turn);
        Some(State::Talking(talking))
    }
}

impl Transferring {
    /// The consultation call is here, or cannot be had.
    pub(super) fn brought(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        session: Option<Box<Session>>,
    ) -> Option<State> {
        let by = self.transfer.by;
        let transferor = facts.party(by).number.clone();
        let taken = match (&self.transfer.way, session) {
            (Way::Bringing { replaces }, Some(session)) => {
                taken(facts, turn, by, &transferor, replaces, *session)
            }
            (_, session) => {
                if let Some(session) = session {
                    turn.ask(Ask::Keep(session));
                }
                None
            }
        };
        let Some((found, party, consult)) = taken else {
            return self.fail(facts, turn, Cause::ProtocolError, Some(Status::NO_SUCH_CALL));
        };
        self.transfer.way = Way::Checking(found);
        self.transfer.consult = consult;
        let staying = facts.party(by.other()).number.clone();
        if party.number == staying {
            return self.fail(facts, turn, Cause::Loop, None);
        }
        let digits = party.number.clone();
        self.transfer.target = party;
        ask_route(facts, turn, by, digits, None);
        Some(State::Transferring(self))
    }
}

type Taken = (Found, record::Party, Option<Box<Consult>>);

/// Takes the target out of the consultation call, if it is one of the same subscriber; else puts it back.
fn taken(
    facts: &Facts,
    turn: &mut Turn<'_>,
    by: Side,
    transferor: &str,
    replaces: &super::refer::Replaces,
    session: Session,
) -> Option<Taken> {
    let Session { facts: its_facts, state } = session;
    let put_back = |turn: &mut Turn<'_>, facts: Box<Facts>, state: State| {
        turn.ask(Ask::Keep(Box::new(Session { facts, state })));
        None
    };
    match state {
        State::Talking(talking) => {
            let side = if replaces.names(&talking.caller) { Side::Caller } else { Side::Called };
            if its_facts.party(side).number != transferor {
                return put_back(turn, its_facts, State::Talking(talking));
            }
            match Consult::of(its_facts, talking, replaces) {
                Ok((consult, leg)) => {
                    let party = consult.facts.party(side.other()).clone();
                    turn.core.bind_tag(leg.dialog.local_tag(), facts.call, by);
                    turn.core.bind_tag(consult.leg.dialog.local_tag(), facts.call, by);
                    Some((Found::Talking { leg: Box::new(leg) }, party, Some(Box::new(consult))))
                }
                Err((facts, talking)) => put_back(turn, facts, State::Talking(talking)),
            }
        }
        State::Offering(offering) => {
            let theirs = its_facts.caller.number == transferor && replaces.names(&offering.caller.leg);
            if !theirs || offering.modify.is_some() {
                return put_back(turn, its_facts, State::Offering(offering));
            }
            let party = its_facts.called.clone();
            Some((adopt(facts, turn, by, &its_facts, *offering), party, None))
        }
        state => put_back(turn, its_facts, state),
    }
}

/// The target still rings: the ringing goes on in this call, and the transferor's own call is over.
fn adopt(facts: &Facts, turn: &mut Turn<'_>, by: Side, its_facts: &Facts, mut offering: Offering) -> Found {
    let mut branches = std::mem::take(&mut offering.branches);
    branches.retain(|branch| branch.end().is_none());
    for branch in &mut branches {
        if let Some(tag) = branch.invite.from_tag() {
            turn.core.bind_tag(tag, facts.call, by);
        }
        turn.core.repurpose(&branch.key, Purpose::Invite(facts.call));
        if let Some(early) = &mut branch.early {
            early.side = by;
        }
    }
    let until = offering.ring_until;
    offering.refuse(its_facts, turn, Cause::Cancelled, record::EndedBy::Caller);
    turn.ask(Ask::Over(its_facts.call));
    Found::Ringing { branches, until }
}

impl Transfer {
    fn give_up_branches(&mut self, turn: &mut Turn<'_>) {
        if let Way::Ringing { branches, .. } | Way::Checking(Found::Ringing { branches, .. }) = &mut self.way
        {
            for branch in std::mem::take(branches) {
                if branch.end().is_none() {
                    branch.give_up(turn);
                }
            }
        }
    }

    /// The question to the target has been answered.
    fn settled(&mut self) {
        if let Way::Asking { client, .. } = &mut self.way {
            *client = None;
        }
    }

    /// Lets go of the target: a ringing one stops, a consultation call goes on as it was.
    pub(super) fn release(&mut self, facts: &Facts, turn: &mut Turn<'_>, cause: Cause) {
        self.give_up_branches(turn);
        let consult = self.consult.take();
        let target = match std::mem::replace(&mut self.way, Way::Routing) {
            Way::Routing
            | Way::Bringing { .. }
            | Way::Ringing { .. }
            | Way::Checking(Found::Ringing { .. }) => None,
            Way::Checking(Found::Talking { leg }) => Some(*leg),
            Way::Asking { leg, client } => {
                if let (Some(client), Some(consult)) = (client, &consult) {
                    // Its offer may still come, and wants an ACK.
                    turn.core.repurpose(&client, Purpose::Join(consult.facts.call, Step::Offer));
                }
                Some(*leg)
            }
            Way::Joining(joining) => {
                let Joining { leg, onward, .. } = *joining;
                let back = consult.as_ref().and_then(|_| leg.told.clone());
                acknowledge_with(facts, turn, &leg, &onward, back.as_deref());
                Some(leg)
            }
        };
        match (target, consult) {
            (Some(leg), Some(consult)) => consult.restore(turn, leg),
            (Some(mut leg), None) => crate::owed::bye(turn, facts, &mut leg, cause),
            (None, _) => {}
        }
    }
}

/// Who a member says the target is (RFC 3325); of its own phones this edge knows it.
fn learn_target(transfer: &mut Transfer, leg: &Leg, response: &Message) {
    let asserted = response.address(Name::PAssertedIdentity).ok().flatten();
    if let (Hop::Cluster, Some(asserted)) = (&leg.hop, asserted) {
        transfer.target.name = asserted.display.unwrap_or_default();
    }
}

fn acknowledge(facts: &Facts, turn: &mut Turn<'_>, leg: &Leg, onward: &Onward, answer: Option<&Message>) {
    let words = answer.and_then(words_of);
    acknowledge_with(facts, turn, leg, onward, words.as_deref());
}

fn acknowledge_with(facts: &Facts, turn: &mut Turn<'_>, leg: &Leg, onward: &Onward, words: Option<&str>) {
    let via = turn.via(&leg.hop);
    let ack = leg.dialog.ack(onward.cseq, &via).header(Name::SessionId, facts.session_id(leg.side));
    let ack = match words {
        Some(words) => ack.body(SDP, words.as_bytes()),
        None => ack,
    };
    turn.acknowledge(&onward.client, &leg.hop, ack);
}

/// The answer to a re-INVITE that has been given up comes late, after a cut or a join that failed: it is acknowledged, and its phone brought back to what it
/// was told before.
pub(super) fn settle_late(
    talking: &mut Talking,
    facts: &Facts,
    turn: &mut Turn<'_>,
    (step, key): (Step, &ClientKey),
    response: &Message,
) {
    if !response.status().is_some_and(Status::is_success) {
        return;
    }
    for side in [Side::Caller, Side::Called] {
        let leg = talking.leg(side);
        if !leg.dialog.matches(response) {
            continue;
        }
        let onward = Onward { client: key.clone(), cseq: response.cseq().number };
        let told = leg.told.clone();
        let owed = told.as_deref().filter(|_| step == Step::Offer);
        acknowledge_with(facts, turn, leg, &onward, owed);
        if let Some(told) = told.filter(|_| step == Step::Answer) {
            let request = request_on(facts, turn, leg, Method::Invite).body(SDP, told.as_bytes());
            turn.request(&leg.hop.clone(), request, Purpose::Check(facts.call, side));
        }
    }
}
