//! The media of a pick-up: the phone that takes a call, or a side of it, may sit elsewhere and speak another keying than
//! the phone whose call it was. What it speaks its own offer says, so nobody has to refuse first.
//!
//! | the call | the offer that counts | goes to | its way |
//! |---|---|---|---|
//! | rings | the caller's | the phone that picks up, after resting media | one of the routes, by its tag, until it is answered |
//! | is talked in | that of the phone that picks up | the party that stays | the joining route, as of a transfer |

use super::policy::{Place, Refusal};
use super::route::Route;
use super::{has_words, warning, with_words};
use crate::core::Turn;
use crate::session::pick_up::PickUp;
use crate::session::{Facts, Side};
use media::sdp::glance;
use sip::{Message, Name, Status};

impl PickUp {
    /// Where its phone is, and whether it offers SRTP; `None` when it offers nothing.
    fn place(&self) -> (Place, Option<bool>) {
        let contact = self.invite.contact().ok().flatten().map(|contact| contact.uri);
        let mut place = Place::new(&self.from, contact.as_ref());
        let seen = has_words(&self.invite).then(|| glance(self.invite.body()));
        place.says(seen.as_ref().and_then(|seen| seen.address));
        (place, seen.map(|seen| seen.srtp))
    }

    /// Its description cannot be carried: it is told why.
    pub(in crate::session) fn refuse_media(&self, turn: &mut Turn<'_>, refusal: Refusal) {
        let response = turn.answer_to(&self.invite, Status::NOT_ACCEPTABLE_HERE);
        turn.respond(&self.key, response.header(Name::Warning, warning(refusal)));
    }
}

/// The caller's offer of a call that rings, as the phone that picks it up with `tag` of ours is to see it; `None` when
/// that is as it came.
pub(in crate::session) fn offer_to_taker(
    turn: &mut Turn<'_>,
    facts: &mut Facts,
    pick_up: &PickUp,
    tag: &str,
    offer: &Message,
) -> Result<Option<String>, Refusal> {
    let Some(caller) = facts.media.caller.clone() else { return Ok(None) };
    let (place, seals) = pick_up.place();
    let mut route = new_route(turn, (Side::Called, place), caller);
    if seals.is_some_and(|seals| seals != glance(offer.body()).srtp) {
        route = route.bridging();
    }
    match route.offer(turn, facts.call, Side::Caller, offer.body()) {
        Ok(words) => {
            facts.media.routes.insert(tag.to_owned(), route);
            Ok(words)
        }
        Err(refusal) => {
            route.close(turn);
            Err(refusal)
        }
    }
}

/// The phone with `tag` of ours does not pick up after all.
pub(in crate::session) fn give_up_taker(turn: &mut Turn<'_>, facts: &mut Facts, tag: &str) {
    if let Some(mut lost) = facts.media.routes.remove(tag) {
        lost.close(turn);
    }
}

/// The phone that picks up a ringing call has answered the caller's offer: as the caller is to see it. Who answers
/// has the call.
pub(super) fn answer_of_taker(
    turn: &mut Turn<'_>,
    facts: &mut Facts,
    tag: &str,
    message: Message,
) -> Message {
    let words =
        facts.media.routes.get_mut(tag).and_then(|route| route.answer(turn, Side::Called, message.body()));
    facts.media.choose(turn, tag);
    with_words(message, words)
}

/// The offer of a phone that takes `side` of a call, as the party that stays is to see it.
pub(in crate::session) fn offer_of_taker(
    turn: &mut Turn<'_>,
    facts: &mut Facts,
    side: Side,
    pick_up: &PickUp,
) -> Result<Option<String>, Refusal> {
    let Some(chosen) = &facts.media.chosen else { return Ok(None) };
    let (stays, sealed) = (chosen.place(side.other()), chosen.is_encrypted(side.other()));
    let (place, seals) = pick_up.place();
    let mut route = new_route(turn, (side, place), stays);
    if seals.is_some_and(|seals| seals != sealed) {
        route = route.bridging();
    }
    match route.offer(turn, facts.call, side, pick_up.invite.body()) {
        Ok(words) => {
            facts.media.join(turn, route);
            Ok(words)
        }
        Err(refusal) => {
            route.close(turn);
            Err(refusal)
        }
    }
}

fn new_route(turn: &mut Turn<'_>, (side, place): (Side, Place), other: Place) -> Route {
    let name = u64::from(turn.core.secrets.number(u32::MAX));
    Route::between(side, place, other, name)
}
