//! Pick-up: another phone takes a call that rings, or that somebody talks in, by INVITE with Replaces (RFC 3891).
//!
//! It may do so for its own subscriber, or with the right to pick up. Both sides have made an offer by then, the caller
//! and the phone that picks up, and only one can be answered. So the phone is answered with media that rests and asked
//! again with the caller's offer; its answer is the caller's. The other phones ring until that is done, and if one of
//! them is quicker, it has the call.
//!
//! Across members the INVITE is handed on with its Replaces, and the edge of the ringing phone does all this.

use super::exchange::{accept, later, request_on};
use super::leg::{Leg, Words, agreed, words_of};
use super::media;
use super::offering::Offering;
use super::refer::Replaces;
use super::talking::{Acking, Onward, Talking};
use super::{Asked, Event, Facts, Side, State, Step, identity, watch};
use crate::core::{ALLOW, Purpose, SDP, SUPPORTED, Turn};
use crate::headers;
use crate::hop::Hop;
use crate::owed;
use crate::record::{Party, Transfer, TransferKind};
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::{ClientKey, Dialog, Message, Method, Name, Response, ServerKey, Status};

/// A phone that wants a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PickUp {
    pub(crate) key: ServerKey,
    pub(crate) from: Hop,
    pub(crate) invite: Message,
    pub(crate) party: Party,
    pub(crate) replaces: Replaces,
    /// It may pick up calls of others. For those of its own subscriber it needs no right.
    pub(crate) by_right: bool,
}

/// A call that rings while another phone is about to take it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PickingUp {
    pub(super) offering: Box<Offering>,
    /// Whose phone rang.
    from: Party,
    to: Party,
    leg: Leg,
    /// The caller's offer, as the phone is to see it.
    offer: Words,
    stage: Stage,
}

#[derive(Debug, Serialize, Deserialize)]
enum Stage {
    /// Our 2xx waits for its ACK.
    Acknowledging { server: ServerKey, cseq: u32 },
    /// It was given the caller's offer.
    Offered { client: ClientKey },
}

impl PickUp {
    pub(super) fn refuse(&self, turn: &mut Turn<'_>, status: Status) {
        turn.answer(&self.key, &self.invite, status);
    }

    /// True for the leg of the phone that shall lose the call. Watchers name a dialog from its phone's side, those who
    /// refer from ours (RFC 3891 § 3, RFC 4235 § 4.1.2).
    fn names(&self, leg: &Leg) -> bool {
        let Replaces { call_id, to_tag, from_tag, early_only } = self.replaces.clone();
        let turned = Replaces { call_id, to_tag: from_tag, from_tag: to_tag, early_only };
        self.replaces.names(leg) || turned.names(leg)
    }

    fn may_take_from(&self, party: &Party) -> bool {
        self.by_right || self.party.number == party.number
    }

    /// Its leg in a call.
    fn leg(&self, turn: &mut Turn<'_>, facts: &Facts, side: Side) -> Option<Leg> {
        let tag = turn.core.tokens.tag();
        let dialog = Dialog::as_callee(&self.invite, &tag).ok()?;
        turn.core.bind_tag(&tag, facts.call, side);
        turn.core.bind_server(&self.key, facts.call);
        Some(Leg::new(turn, side, &self.from, dialog, facts.shown_to(side), &self.invite))
    }

    /// Our 2xx to it.
    fn accept(&self, turn: &mut Turn<'_>, facts: &Facts, leg: &mut Leg, words: &str) {
        let answer = Response::to(&self.invite, Status::OK)
            .to_tag(leg.dialog.local_tag())
            .contact(&turn.contact(&leg.hop, &leg.shows))
            .header(Name::Allow, ALLOW)
            .header(Name::Supported, SUPPORTED);
        let answer = identity::sign_response(turn, facts, leg.side, &leg.hop, answer);
        let answer = watch::grant(turn, leg, &self.invite, answer).body(SDP, words.as_bytes());
        leg.dialog.confirmed();
        leg.told = Some(Words::of(words));
        turn.respond(&self.key, answer);
    }

    fn happened(&self, turn: &Turn<'_>, from: Party) -> Transfer {
        Transfer { by: from, to: self.party.clone(), how: TransferKind::PickUp, at: turn.now }
    }
}

impl Offering {
    /// Somebody wants this call.
    pub(super) fn picked_up(
        self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        pick_up: &PickUp,
    ) -> Option<State> {
        let rings = |early: &Leg| pick_up.names(early);
        let branch = self.branches.iter().find(|branch| branch.early.as_ref().is_some_and(rings));
        let Some(from) = branch.map(|branch| branch.party.clone()) else {
            pick_up.refuse(turn, Status::NO_SUCH_CALL);
            return Some(State::Offering(self));
        };
        if !pick_up.may_take_from(&from) {
            pick_up.refuse(turn, Status::FORBIDDEN);
            return Some(State::Offering(self));
        }
        // When nobody has offered anything, nothing can be answered now.
        let Some(offer) = words_of(&self.caller.invite) else {
            pick_up.refuse(turn, Status::NOT_ACCEPTABLE_HERE);
            return Some(State::Offering(self));
        };
        let Some(mut leg) = pick_up.leg(turn, facts, Side::Called) else {
            pick_up.refuse(turn, Status::BAD_REQUEST);
            return Some(State::Offering(self));
        };
        let tag = leg.dialog.local_tag();
        let offer = match media::offer_to_taker(turn, facts, pick_up, tag, &self.caller.invite) {
            Ok(rewritten) => rewritten.map_or(offer, |text| Words::of(&text)),
            Err(refusal) => {
                pick_up.refuse_media(turn, refusal);
                return Some(State::Offering(self));
            }
        };
        let words = match words_of(&pick_up.invite) {
            Some(theirs) => Words::of(&resting(&theirs)),
            None => offer.clone(),
        };
        pick_up.accept(turn, facts, &mut leg, &words);
        let stage = Stage::Acknowledging { server: pick_up.key.clone(), cseq: pick_up.invite.cseq().number };
        let to = pick_up.party.clone();
        Some(State::PickingUp(Box::new(PickingUp { offering: self, from, to, leg, offer, stage })))
    }
}

impl PickingUp {
    /// Our tag in the dialog with the phone that picks up.
    pub(super) fn tag(&self) -> &str {
        self.leg.dialog.local_tag()
    }

    /// True for an ACK in which the phone, that had nothing to offer, answers the caller's offer.
    pub(super) fn is_answered_by(&self, ack: &Message) -> bool {
        self.is_acknowledged_by(ack) && words_of(ack).is_some()
    }

    fn is_acknowledged_by(&self, ack: &Message) -> bool {
        let Stage::Acknowledging { cseq, .. } = &self.stage else { return false };
        ack.cseq().number == *cseq && ack.to_tag() == Some(self.tag())
    }

    pub(super) fn handle(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match (event, &self.stage) {
            (Event::Request(asked), _) if self.leg.dialog.matches(&asked.message) => {
                self.request(facts, turn, &asked)
            }
            (Event::Ack(_, ack), _) if self.is_acknowledged_by(&ack) => self.acknowledged(facts, turn, &ack),
            (Event::Unacknowledged(key), Stage::Acknowledging { server, .. }) if key == *server => {
                self.gives_up(facts, turn)
            }
            (Event::Joining(Step::Answer, key, outcome), Stage::Offered { client }) if key == *client => {
                match outcome {
                    Ok(response) if response.status().is_some_and(|status| !status.is_final()) => {
                        Some(State::PickingUp(self))
                    }
                    Ok(response) if response.status().is_some_and(Status::is_success) => {
                        self.agreed(facts, turn, &key, &response)
                    }
                    _ => self.gives_up(facts, turn),
                }
            }
            (Event::PickedUp(pick_up), _) => {
                pick_up.refuse(turn, Status::BUSY_HERE);
                Some(State::PickingUp(self))
            }
            (Event::Moved(old, new), _) => {
                self.leg.moved(old, new);
                self.like_before(facts, turn, Event::Moved(old, new))
            }
            (event, _) => self.like_before(facts, turn, event),
        }
    }

    /// What is no business of the pick-up happens to the call that rings. When it is answered or over, the phone comes
    /// too late.
    fn like_before(self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, event: Event) -> Option<State> {
        let PickingUp { offering, from, to, mut leg, offer, stage } = *self;
        match offering.handle(facts, turn, event) {
            Some(State::Offering(offering)) => {
                Some(State::PickingUp(Box::new(PickingUp { offering, from, to, leg, offer, stage })))
            }
            over => {
                owed::bye(turn, facts, &mut leg, Cause::NormalClearing);
                over
            }
        }
    }

    fn request(mut self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, asked: &Asked) -> Option<State> {
        let Asked { key, message, .. } = asked;
        if accept(turn, &mut self.leg, asked) {
            match message.method() {
                Method::Bye => {
                    media::give_up_taker(turn, facts, self.tag());
                    turn.answer(key, message, Status::OK);
                    return Some(State::Offering(self.offering));
                }
                Method::Options => turn.answer(key, message, Status::OK),
                Method::Invite => turn.answer(key, message, Status::REQUEST_PENDING),
                _ => later(turn, key, message),
            }
        }
        Some(State::PickingUp(self))
    }

    /// The phone has our 2xx: it is asked with the caller's offer, or has answered that already.
    fn acknowledged(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        ack: &Message,
    ) -> Option<State> {
        if words_of(ack).is_some() {
            return self.complete(facts, turn, ack);
        }
        let request = request_on(facts, turn, &mut self.leg, Method::Invite);
        let request = request.body(SDP, self.offer.as_bytes());
        let hop = self.leg.hop.clone();
        match turn.request(&hop, request, Purpose::Join(facts.call, Step::Answer)) {
            Some((client, _)) => {
                self.stage = Stage::Offered { client };
                Some(State::PickingUp(self))
            }
            None => self.gives_up(facts, turn),
        }
    }

    fn agreed(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        key: &ClientKey,
        answer: &Message,
    ) -> Option<State> {
        let via = turn.via(&self.leg.hop);
        let ack = self.leg.dialog.ack(answer.cseq().number, &via);
        turn.acknowledge(key, &self.leg.hop, ack.header(Name::SessionId, facts.session_id(Side::Called)));
        watch::agree(turn, &mut self.leg, answer);
        self.complete(facts, turn, answer)
    }

    /// The phone has answered the caller's offer: it has the call.
    fn complete(self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, answer: &Message) -> Option<State> {
        let PickingUp { mut offering, from, to, mut leg, offer, .. } = *self;
        offering.cancel_all_but(turn, None);
        facts.transfers.push(Transfer { by: from, to: to.clone(), how: TransferKind::PickUp, at: turn.now });
        facts.replace_party(Side::Called, to, None);
        facts.learn(&mut turn.core.tokens, &leg.hop, answer);
        let relayed = offering.to_caller(facts, turn, Status::OK).header(Name::Supported, SUPPORTED);
        let caller = &mut offering.caller;
        agreed(&mut caller.leg, &mut leg, &caller.invite);
        leg.told = Some(offer);
        agreed(&mut leg, &mut caller.leg, answer);
        let relayed = watch::grant(turn, &mut caller.leg, &caller.invite, relayed).body_of(answer);
        turn.respond(&caller.key, relayed);
        caller.leg.dialog.confirmed();
        facts.answered = Some(turn.now);
        facts.show(turn);
        let acking = Acking {
            asker: Side::Caller,
            server: offering.caller.key,
            asked: offering.caller.invite.cseq().number,
            first: true,
            onward: None,
        };
        Some(State::Talking(Box::new(Talking {
            caller: offering.caller.leg,
            called: leg,
            acking: Some(acking),
            modify: None,
            unconfirmed: None,
        })))
    }

    /// The phone that wanted it does not take it: it rings on.
    fn gives_up(self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>) -> Option<State> {
        let PickingUp { offering, mut leg, .. } = *self;
        media::give_up_taker(turn, facts, leg.dialog.local_tag());
        owed::bye(turn, facts, &mut leg, Cause::TemporaryFailure);
        Some(State::Offering(offering))
    }
}

/// A call that is talked in while another phone is about to take a side of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Taking {
    pub(super) talking: Box<Talking>,
    /// The side that is taken.
    side: Side,
    pick_up: PickUp,
    client: ClientKey,
}

impl Talking {
    /// Somebody wants a side of this call.
    pub(super) fn picked_up(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        mut pick_up: PickUp,
    ) -> Option<State> {
        let named = [Side::Caller, Side::Called].into_iter().find(|side| pick_up.names(self.leg(*side)));
        let status = match named {
            None => Some(Status::NO_SUCH_CALL),
            // RFC 3891 § 3: it wanted a call that rings.
            Some(_) if pick_up.replaces.early_only => Some(Status::BUSY_HERE),
            Some(side) if !pick_up.may_take_from(facts.party(side)) => Some(Status::FORBIDDEN),
            Some(_) if !self.is_settled() => Some(Status::REQUEST_PENDING),
            Some(_) if words_of(&pick_up.invite).is_none() => Some(Status::NOT_ACCEPTABLE_HERE),
            Some(side) if !turn.core.carries(&self.leg(side.other()).hop) => {
                Some(Status::SERVICE_UNAVAILABLE)
            }
            Some(_) => None,
        };
        let (Some(side), None) = (named, status) else {
            pick_up.refuse(turn, status.unwrap_or(Status::NO_SUCH_CALL));
            return Some(State::Talking(self));
        };
        let stays = self.leg(side.other());
        if stays.told == words_of(&pick_up.invite)
            && let Some(said) = stays.said.clone()
        {
            // It was told this already, and has answered it: nobody has to be asked.
            return Some(State::Talking(self.taken_by(facts, turn, side, pick_up, &said)));
        }
        match media::offer_of_taker(turn, facts, side, &pick_up) {
            Ok(words) => pick_up.invite = media::with_words(pick_up.invite, words),
            Err(refusal) => {
                pick_up.refuse_media(turn, refusal);
                return Some(State::Talking(self));
            }
        }
        let mut shown = facts.clone();
        shown.replace_party(side, pick_up.party.clone(), None);
        let leg = self.leg(side.other());
        let request = request_on(&shown, turn, leg, Method::Invite).body_of(&pick_up.invite);
        let hop = leg.hop.clone();
        match turn.request(&hop, request, Purpose::Join(facts.call, Step::Answer)) {
            Some((client, _)) => {
                turn.core.bind_server(&pick_up.key, facts.call);
                Some(State::Taking(Box::new(Taking { talking: self, side, pick_up, client })))
            }
            None => {
                pick_up.refuse(turn, Status::SERVER_INTERNAL_ERROR);
                Some(State::Talking(self))
            }
        }
    }
}

impl Taking {
    /// The side that is taken.
    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn handle(
        self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        event: Event,
    ) -> Option<State> {
        match event {
            Event::Joining(Step::Answer, key, Ok(response)) if key == self.client => {
                let status = response.status().unwrap_or(Status::SERVER_INTERNAL_ERROR);
                match () {
                    () if status.is_success() => self.taken(facts, turn, &response),
                    () if status.is_final() => self.refused(turn, status),
                    () => Some(State::Taking(self)),
                }
            }
            Event::Joining(_, key, Err(_)) if key == self.client => {
                self.refused(turn, Status::REQUEST_TIMEOUT)
            }
            // It does not want it any more; the answer of the other side brings back what was.
            Event::Cancelled(key) if key == self.pick_up.key => {
                self.refused(turn, Status::REQUEST_TERMINATED)
            }
            Event::PickedUp(pick_up) => {
                pick_up.refuse(turn, Status::REQUEST_PENDING);
                Some(State::Taking(self))
            }
            Event::Request(asked)
                if matches!(asked.message.method(), Method::Invite | Method::Update | Method::Refer) =>
            {
                let Taking { mut talking, side, pick_up, client } = *self;
                if accept(turn, talking.leg(asked.side), &asked) {
                    turn.answer(&asked.key, &asked.message, Status::REQUEST_PENDING);
                }
                Some(State::Taking(Box::new(Taking { talking, side, pick_up, client })))
            }
            event => {
                let Taking { talking, side, pick_up, client } = *self;
                match talking.handle(facts, turn, event) {
                    Some(State::Talking(talking)) => {
                        Some(State::Taking(Box::new(Taking { talking, side, pick_up, client })))
                    }
                    over => {
                        pick_up.refuse(turn, Status::NO_SUCH_CALL);
                        over
                    }
                }
            }
        }
    }

    fn refused(self: Box<Self>, turn: &mut Turn<'_>, status: Status) -> Option<State> {
        self.pick_up.refuse(turn, status);
        Some(State::Talking(self.talking))
    }

    /// The other side has answered the phone's offer: it has this side, and the phone before it is hung up.
    fn taken(self: Box<Self>, facts: &mut Facts, turn: &mut Turn<'_>, answer: &Message) -> Option<State> {
        let Taking { mut talking, side, pick_up, client } = *self;
        let stays = talking.leg(side.other());
        let onward = Onward { client, cseq: answer.cseq().number };
        let via = turn.via(&stays.hop);
        let ack = stays.dialog.ack(onward.cseq, &via).header(Name::SessionId, facts.session_id(stays.side));
        turn.acknowledge(&onward.client, &stays.hop, ack);
        watch::agree(turn, stays, answer);
        let Some(words) = words_of(answer) else {
            pick_up.refuse(turn, Status::NOT_ACCEPTABLE_HERE);
            return Some(State::Talking(talking));
        };
        stays.said = Some(words.clone());
        stays.told = words_of(&pick_up.invite);
        Some(State::Talking(talking.taken_by(facts, turn, side, pick_up, &words)))
    }
}

impl Talking {
    /// A phone has a side from now on, and the one before is hung up.
    fn taken_by(
        mut self: Box<Self>,
        facts: &mut Facts,
        turn: &mut Turn<'_>,
        side: Side,
        pick_up: PickUp,
        words: &str,
    ) -> Box<Talking> {
        let Some(mut leg) = pick_up.leg(turn, facts, side) else {
            pick_up.refuse(turn, Status::BAD_REQUEST);
            return self;
        };
        facts.transfers.push(pick_up.happened(turn, facts.party(side).clone()));
        facts.replace_party(side, pick_up.party.clone(), None);
        facts.replace_half(side, headers::half_of(&pick_up.invite));
        pick_up.accept(turn, facts, &mut leg, words);
        leg.said = words_of(&pick_up.invite);
        self.leg(side.other()).shows = facts.shown_to(side.other()).to_owned();
        let mut before = std::mem::replace(self.leg(side), leg);
        owed::bye(turn, facts, &mut before, Cause::NormalClearing);
        self.acking = Some(Acking {
            asker: side,
            server: pick_up.key,
            asked: pick_up.invite.cseq().number,
            first: true,
            onward: None,
        });
        facts.show(turn);
        self
    }
}

/// The answer to an offer that lets all its media rest (RFC 3264 § 6.1), until there is somebody to talk to.
fn resting(offer: &str) -> String {
    let mut answer = String::with_capacity(offer.len() + 64);
    for line in offer.lines() {
        let direction = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(&line.trim_end());
        let of_path = line.starts_with("a=candidate") || line.starts_with("a=rtcp:");
        match line.split_at_checked(2) {
            _ if direction || of_path => continue,
            Some(("o=", _)) => answer.push_str("o=pleiad 1 1 IN IP4 0.0.0.0"),
            Some(("c=", _)) => answer.push_str("c=IN IP4 0.0.0.0"),
            Some(("m=", media)) => answer.push_str(&with_port_9(media)),
            _ => answer.push_str(line),
        }
        answer.push_str("\r\n");
        if line.starts_with("m=") {
            answer.push_str("a=inactive\r\n");
        }
    }
    answer
}

/// A medium that is not refused (which port 0 would say) and that nothing is sent to.
fn with_port_9(media: &str) -> String {
    let mut words = media.split(' ');
    let kind = words.next().unwrap_or_default();
    let port = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    format!("m={kind} {} {}", if port == "0" { "0" } else { "9" }, rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3264_a_resting_answer_has_every_medium_of_the_offer_and_sends_none() {
        let offer = "v=0\r\no=a 7 8 IN IP4 192.168.1.7\r\ns=-\r\nc=IN IP4 192.168.1.7\r\nt=0 0\r\n\
                     m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\nm=video 0 RTP/AVP 99\r\n";
        assert_eq!(
            resting(offer),
            "v=0\r\no=pleiad 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 0\r\n\
             a=inactive\r\na=rtpmap:8 PCMA/8000\r\nm=video 0 RTP/AVP 99\r\na=inactive\r\n"
        );
    }
}
