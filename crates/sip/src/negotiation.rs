//! Offer and answer: whose turn it is (RFC 3264 §4, RFC 3261 §14, RFC 6337).
//!
//! It does not read the session descriptions, and it keeps none: it only says which step is allowed, and what to
//! answer when the peer takes one that is not.

use crate::{Status, Tokens};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whose turn it is in one dialog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Negotiation {
    /// Nothing is open.
    #[default]
    Stable,
    /// We offered; the peer's answer is awaited.
    Offered,
    /// The peer offered; our answer is awaited.
    Asked,
}

/// A step that is not allowed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfTurn {
    /// Both offered at once: 491 (RFC 3261 §14.2).
    #[error("both sides offered at once")]
    Glare,
    /// The peer offered again before we answered: 500 with Retry-After of up to 10 s (RFC 3261 §14.2).
    #[error("an offer is still unanswered")]
    Pending,
    /// An answer without an offer.
    #[error("an answer without an offer")]
    Unasked,
}

impl OutOfTurn {
    /// What a request that takes this step is answered with.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            OutOfTurn::Glare => Status::REQUEST_PENDING,
            OutOfTurn::Pending => Status::SERVER_INTERNAL_ERROR,
            OutOfTurn::Unasked => Status::BAD_REQUEST,
        }
    }
}

impl Negotiation {
    /// True when we may offer.
    #[must_use]
    pub fn may_offer(self) -> bool {
        self == Negotiation::Stable
    }

    /// We send an offer.
    pub fn offer(&mut self) -> Result<(), OutOfTurn> {
        match self {
            Negotiation::Stable => self.set(Negotiation::Offered),
            Negotiation::Offered => Err(OutOfTurn::Pending),
            Negotiation::Asked => Err(OutOfTurn::Glare),
        }
    }

    /// The peer's offer came.
    pub fn offered(&mut self) -> Result<(), OutOfTurn> {
        match self {
            Negotiation::Stable => self.set(Negotiation::Asked),
            Negotiation::Offered => Err(OutOfTurn::Glare),
            Negotiation::Asked => Err(OutOfTurn::Pending),
        }
    }

    /// We send our answer.
    pub fn answer(&mut self) -> Result<(), OutOfTurn> {
        match self {
            Negotiation::Asked => self.set(Negotiation::Stable),
            Negotiation::Stable | Negotiation::Offered => Err(OutOfTurn::Unasked),
        }
    }

    /// The peer's answer came.
    pub fn answered(&mut self) -> Result<(), OutOfTurn> {
        match self {
            Negotiation::Offered => self.set(Negotiation::Stable),
            Negotiation::Stable | Negotiation::Asked => Err(OutOfTurn::Unasked),
        }
    }

    /// The offer that was open was refused, or its transaction ended: the session stays as it was.
    pub fn abandon(&mut self) {
        *self = Negotiation::Stable;
    }

    fn set(&mut self, next: Negotiation) -> Result<(), OutOfTurn> {
        *self = next;
        Ok(())
    }
}

/// How long to wait after a 491: 2.1 to 4 s for who made the Call-ID, 0 to 2 s for the other, in steps of 10 ms
/// (RFC 3261 §14.1).
#[must_use]
pub fn glare_wait(made_the_call_id: bool, tokens: &mut Tokens) -> Duration {
    let (least, steps) = if made_the_call_id { (2100, 191) } else { (0, 201) };
    Duration::from_millis(least + 10 * u64::from(tokens.number(steps)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_answered_and_the_next_may_follow() {
        let mut side = Negotiation::default();
        assert_eq!(side.offer(), Ok(()));
        assert!(!side.may_offer());
        assert_eq!(side.answered(), Ok(()));
        assert_eq!(side.offered(), Ok(()));
        assert_eq!(side.answer(), Ok(()));
        assert!(side.may_offer());
    }

    #[test]
    fn two_offers_that_cross_are_glare_and_change_nothing() {
        let mut side = Negotiation::Offered;
        assert_eq!(side.offered().map_err(OutOfTurn::status), Err(Status::REQUEST_PENDING));
        assert_eq!(side, Negotiation::Offered);
    }

    #[test]
    fn a_second_offer_before_our_answer_is_told_to_wait() {
        let mut side = Negotiation::Asked;
        assert_eq!(side.offered().map_err(OutOfTurn::status), Err(Status::SERVER_INTERNAL_ERROR));
        side.abandon();
        assert_eq!(side.offered(), Ok(()));
        assert_eq!(side.answered(), Err(OutOfTurn::Unasked));
    }

    #[test]
    fn after_glare_the_maker_of_the_call_id_waits_longer() {
        let mut tokens = Tokens::new([7; 32]);
        for _ in 0..500 {
            let (maker, other) = (glare_wait(true, &mut tokens), glare_wait(false, &mut tokens));
            assert!((2100..=4000).contains(&maker.as_millis()));
            assert!(other.as_millis() <= 2000);
        }
    }
}
