//! The media of a call: whether they go from phone to phone, or through a relay of this member.
//!
//! Every offer and answer is looked at once, where it comes in (`arrive`), and goes on in the session as the other side
//! is to see it; an INVITE of ours gets its offer in `attach`. The states of a session carry bodies and know nothing of
//! media. A body that nothing stands against is not even read (see `policy`).
//!
//! | what | where |
//! |---|---|
//! | direct or anchored, with keys or without | `policy` |
//! | the offers and answers between two sides | `route`, `line` |
//! | ports, what the relay is told, records that wait for its figures | `desk`, `ports` |
//! | a phone that picks up | `taking` |
//! | what people are told | `summary` |
//!
//! The one thing a reader must know: a phone that refuses the keying of an offer (488, 606, 415) is asked once more with
//! the other one, and SRTP ends here then.

mod desk;
mod line;
mod policy;
mod ports;
mod route;
mod summary;
mod taking;

pub(crate) use desk::{Desk, Stream};
pub use policy::{AnchorWhen, MediaSettings};
pub use ports::PortRange;
pub use summary::{CallMedia, MediaPath, MediaTraffic};
pub(super) use taking::{give_up_taker, offer_of_taker, offer_to_taker};

use super::offering::{Branch, Offering, Reached};
use super::{Asked, Event, Facts, Side, State, Step};
use crate::core::{Purpose, SDP, Turn};
use crate::hop::Hop;
use media::relay::Report;
use model::Cause;
use policy::{Place, Refusal};
use route::Route;
use serde::{Deserialize, Serialize};
use sip::{ClientKey, Edit, Flow, Message, Method, Name, Request, Status, Uri};
use std::collections::BTreeMap;

/// The media of one call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Media {
    caller: Option<Place>,
    /// Before the answer: the way to each phone that is called, by our tag in its dialog.
    routes: BTreeMap<String, Route>,
    /// Since the answer: the way to the one that answered.
    chosen: Option<Route>,
    /// While a transfer joins two: the way between the party that stays and the target, and whether both have agreed.
    joining: Option<Route>,
    joined: bool,
    /// Why an INVITE could not be sent.
    refusal: Option<Refusal>,
    silent: bool,
    failed: bool,
}

impl Media {
    /// Of a call that begins with `invite`.
    pub(super) fn of(from: &Hop, invite: &Message) -> Media {
        let contact = invite.contact().ok().flatten().map(|contact| contact.uri);
        Media { caller: Some(Place::new(from, contact.as_ref())), ..Media::default() }
    }

    /// Why nobody could be called, when it was for the media's sake.
    pub(super) fn refusal(&self) -> Option<Cause> {
        self.refusal.map(Refusal::cause)
    }

    /// What people are told.
    pub(super) fn summary(&self) -> CallMedia {
        let ringing = || self.routes.values().find(|_| self.routes.len() == 1);
        let route = self.chosen.as_ref().or_else(ringing);
        let (silent, failed) = (self.silent, self.failed);
        CallMedia { silent, failed, ..route.map(Route::summary).unwrap_or_default() }
    }

    /// The relay has told something. True when people should know.
    pub(super) fn report(&mut self, report: &Report) -> bool {
        let was = (self.silent, self.failed);
        match report {
            Report::Failed(_) => self.failed = true,
            Report::Silent(_) => self.silent = true,
            Report::Heard(_) => self.silent = false,
            Report::Stands(..) | Report::Closed(..) => {}
        }
        was != (self.silent, self.failed)
    }

    /// The way between the two sides, once it is clear which one: there is one phone only, or one has answered.
    fn only(&mut self) -> Option<&mut Route> {
        let one = self.routes.len() == 1;
        self.chosen.as_mut().or_else(|| self.routes.values_mut().next().filter(|_| one))
    }

    /// A phone has answered: the ways to the others are given up. The target of a transfer is not yet joined.
    fn choose(&mut self, turn: &mut Turn<'_>, tag: &str) {
        let Some(mut route) = self.routes.remove(tag) else { return };
        route.offered = None;
        if self.chosen.is_some() {
            self.join(turn, route);
        } else {
            self.chosen = Some(route);
        }
        std::mem::take(&mut self.routes).values_mut().for_each(|lost| lost.close(turn));
    }

    fn join(&mut self, turn: &mut Turn<'_>, route: Route) {
        if let Some(mut before) = self.joining.replace(route) {
            before.close(turn);
        }
        self.joined = false;
    }

    /// A transfer is over: the way of those who talk now stays, the other one is given up.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>, state: Option<&State>) {
        if !matches!(state, Some(State::Talking(_))) {
            return;
        }
        let Some(mut lost) = self.joining.take() else { return };
        if std::mem::take(&mut self.joined)
            && let Some(before) = self.chosen.replace(lost.clone())
        {
            lost = before;
        }
        lost.close(turn);
    }

    fn moved(&mut self, old: Flow, new: Flow) {
        self.caller.iter_mut().for_each(|caller| caller.moved(old, new));
        let answered = self.chosen.iter_mut().chain(self.joining.iter_mut());
        answered.chain(self.routes.values_mut()).for_each(|route| route.moved(old, new));
    }
}

/// Gives an INVITE of ours, with `tag` in its From, its offer. `None` when it must not be sent.
pub(super) fn attach(
    turn: &mut Turn<'_>,
    facts: &mut Facts,
    tag: &str,
    (side, hop, uri): (Side, &Hop, &Uri),
    offer: Option<&Message>,
    request: Request,
) -> Option<Request> {
    // A transfer calls its target in place of one of the two who talk.
    let stays = facts.media.chosen.as_ref().map(|chosen| chosen.place(side.other()));
    let Some(other) = stays.or_else(|| facts.media.caller.clone()) else {
        return Some(offer.into_iter().fold(request, |request, offer| request.body_of(offer)));
    };
    let name = u64::from(turn.core.secrets.number(u32::MAX));
    let mut route = Route::between(side, Place::new(hop, Some(uri)), other, name);
    let offer = offer.filter(|offer| has_words(offer));
    let request = match offer {
        None => {
            route.late = true;
            request
        }
        Some(offer) => match route.offer(turn, facts.call, side.other(), offer.body()) {
            Ok(text) => {
                route.offered = String::from_utf8(offer.body().to_vec()).ok();
                match text {
                    Some(text) => request.body(SDP, text.as_bytes()),
                    None => request.body_of(offer),
                }
            }
            Err(refusal) => {
                route.close(turn);
                facts.media.refusal = Some(refusal);
                return None;
            }
        },
    };
    facts.media.routes.insert(tag.to_owned(), route);
    Some(request)
}

/// Looks at what happens to a call before its state does. `None` when there is nothing left to do.
pub(super) fn arrive(
    facts: &mut Facts,
    state: &mut State,
    turn: &mut Turn<'_>,
    event: Event,
) -> Option<Event> {
    match event {
        Event::Response(key, message) => response(facts, state, turn, key, message),
        Event::Passed(passed, Ok(message)) => {
            let words = has_words(&message).then(|| {
                let route = facts.media.only()?;
                let from = passed.from.other();
                if has_words(&passed.request) {
                    route.answer(turn, from, message.body())
                } else {
                    route
                        .offer(turn, facts.call, from, message.body())
                        .unwrap_or_else(|_| Some(String::new()))
                }
            });
            Some(Event::Passed(passed, Ok(with_words(message, words.flatten()))))
        }
        Event::Request(asked) => request(facts, turn, asked),
        Event::Ack(side, message) => {
            if let State::PickingUp(taker) = state
                && taker.is_answered_by(&message)
            {
                let message = taking::answer_of_taker(turn, facts, taker.tag(), message);
                return Some(Event::Ack(side, message));
            }
            let words = has_words(&message).then(|| facts.media.only()?.answer(turn, side, message.body()));
            Some(Event::Ack(side, with_words(message, words.flatten())))
        }
        Event::Joining(step, key, Ok(message)) => {
            let message = joining(facts, state, turn, step, message);
            Some(Event::Joining(step, key, Ok(message)))
        }
        Event::Moved(old, new) => {
            facts.media.moved(old, new);
            Some(Event::Moved(old, new))
        }
        other => Some(other),
    }
}

/// A response to an INVITE of ours.
fn response(
    facts: &mut Facts,
    state: &mut State,
    turn: &mut Turn<'_>,
    key: ClientKey,
    message: Message,
) -> Option<Event> {
    let status = message.status()?;
    let tag = message.from_tag().unwrap_or_default().to_owned();
    if status.is_final() && !status.is_success() {
        if refuses_keying(status) && try_other_keying(facts, state, turn, &key, &tag) {
            return None;
        }
        if status != Status::SESSION_INTERVAL_TOO_SMALL
            && let Some(mut lost) = facts.media.routes.remove(&tag)
        {
            lost.close(turn);
        }
        return Some(Event::Response(key, message));
    }
    let words = has_words(&message).then(|| {
        let route = facts.media.routes.get_mut(&tag)?;
        if route.late {
            // What must not be told is not told; the phone finds no answer in the ACK and hangs up.
            let offer = route.offer(turn, facts.call, route.rung, message.body());
            offer.unwrap_or_else(|_| Some(String::new()))
        } else {
            route.answer(turn, route.rung, message.body())
        }
    });
    if status.is_success() {
        facts.media.choose(turn, &tag);
    }
    Some(Event::Response(key, with_words(message, words.flatten())))
}

/// A step of a transfer or pick-up: the target of a transfer, which talks already, offers; or somebody answers.
fn joining(facts: &mut Facts, state: &State, turn: &mut Turn<'_>, step: Step, message: Message) -> Message {
    if !message.status().is_some_and(Status::is_success) || !has_words(&message) {
        return message;
    }
    match (state, step) {
        (State::PickingUp(taker), Step::Answer) => taking::answer_of_taker(turn, facts, taker.tag(), message),
        (State::Taking(taking), Step::Answer) => stays(facts, turn, taking.side().other(), message),
        (State::Transferring(transferring), Step::Answer) => {
            stays(facts, turn, transferring.transfer.by.other(), message)
        }
        (State::Transferring(transferring), Step::Offer) => {
            let transfer = &transferring.transfer;
            let stays = facts.media.chosen.as_ref().map(|chosen| chosen.place(transfer.by.other()));
            let (Some(stays), Some(hop)) = (stays, transfer.asked_hop()) else { return message };
            let name = u64::from(turn.core.secrets.number(u32::MAX));
            let mut route = Route::between(transfer.by, Place::new(hop, None), stays, name);
            let words = route.offer(turn, facts.call, transfer.by, message.body());
            facts.media.join(turn, route);
            with_words(message, words.unwrap_or_else(|_| Some(String::new())))
        }
        _ => message,
    }
}

/// The party that stays, on that side, has answered the offer of the one that comes.
fn stays(facts: &mut Facts, turn: &mut Turn<'_>, side: Side, message: Message) -> Message {
    facts.media.joined = true;
    let words = facts.media.joining.as_mut().and_then(|route| route.answer(turn, side, message.body()));
    with_words(message, words)
}

/// A request inside a dialog.
fn request(facts: &mut Facts, turn: &mut Turn<'_>, asked: Asked) -> Option<Event> {
    let Some(route) = facts.media.only().filter(|_| has_words(&asked.message)) else {
        return Some(Event::Request(asked));
    };
    let body = asked.message.body();
    let words = match asked.message.method() {
        Method::Invite | Method::Update => route.offer(turn, facts.call, asked.side, body),
        Method::Prack if route.late => Ok(route.answer(turn, asked.side, body)),
        Method::Prack => route.offer(turn, facts.call, asked.side, body),
        _ => Ok(None),
    };
    match words {
        Ok(words) => {
            let message = with_words(asked.message, words);
            Some(Event::Request(Asked { message, ..asked }))
        }
        Err(refusal) => {
            let response = turn.answer_to(&asked.message, Status::NOT_ACCEPTABLE_HERE);
            turn.respond(&asked.key, response.header(Name::Warning, warning(refusal)));
            None
        }
    }
}

/// Asks a phone once more, with SRTP instead of RTP or the other way round.
fn try_other_keying(
    facts: &mut Facts,
    state: &mut State,
    turn: &mut Turn<'_>,
    key: &ClientKey,
    tag: &str,
) -> bool {
    let State::Offering(offering) = state else { return false };
    let Offering { branches, .. } = &mut **offering;
    let Some(branch) = branches.iter_mut().find(|branch| branch.key == *key) else { return false };
    let Some(route) = facts.media.routes.get_mut(tag) else { return false };
    // Beyond the cluster the edge of that phone has tried it.
    if branch.hop.is_cluster() || matches!(branch.reached, Reached::End(_)) || !route.cross() {
        return false;
    }
    let Some(offer) = route.offered.clone() else { return false };
    let Ok(Some(text)) = route.offer(turn, facts.call, route.rung.other(), offer.as_bytes()) else {
        return false;
    };
    ask_again(turn, facts, branch, &text)
}

/// The same INVITE with another offer, one CSeq later.
fn ask_again(turn: &mut Turn<'_>, facts: &Facts, branch: &mut Branch, offer: &str) -> bool {
    let via = turn.via(&branch.hop);
    let cseq = branch.invite.cseq().number.saturating_add(1);
    let invite = Edit::of(&branch.invite)
        .pop_via()
        .push_via(&via)
        .set(Name::CSeq, format!("{cseq} INVITE"))
        .body(SDP, offer.as_bytes())
        .message();
    let Ok(invite) = invite else { return false };
    branch.key = turn.send(&branch.hop, invite.clone(), Purpose::Invite(facts.call));
    branch.invite = invite;
    branch.reached = Reached::Nothing;
    true
}

/// RFC 3261 § 21.4.13, § 21.4.26, § 21.6.4.
fn refuses_keying(status: Status) -> bool {
    matches!(status.code(), 415 | 488 | 606)
}

fn warning(refusal: Refusal) -> String {
    format!("399 pleiad \"{}\"", refusal.warning())
}

fn has_words(message: &Message) -> bool {
    !message.body().is_empty() && message.has_type(SDP)
}

/// The message with another description, or as it is.
pub(super) fn with_words(message: Message, words: Option<String>) -> Message {
    let Some(words) = words else { return message };
    Edit::of(&message).body(SDP, words.as_bytes()).message().unwrap_or(message)
}
