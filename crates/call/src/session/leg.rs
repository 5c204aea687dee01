//! One leg of a call: a dialog, the way to it, and what its other end can do.
//!
//! A leg belongs to no side for ever: a transfer carries it from one call into another. What it said and what it was
//! told last is kept, because a refresh is answered with it, and a join that fails goes back to it.

use super::Side;
use super::watch::Watch;
use crate::core::{SDP, Turn};
use crate::hop::Hop;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sip::{Dialog, Flow, Message, Name};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// One leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Leg {
    /// The side of its call.
    pub(crate) side: Side,
    pub(crate) hop: Hop,
    pub(crate) dialog: Dialog,
    /// The user part of our Contact towards it: the number of the other party, unless that one hides it.
    pub(crate) shows: String,
    /// The last sign of life.
    pub(crate) heard: Duration,
    /// How we know that it is still there.
    pub(crate) watch: Watch,
    /// What its other end can do.
    pub(crate) can: Can,
    /// The last session description that it sent and that was agreed.
    pub(crate) said: Option<Words>,
    /// The last one that it was sent.
    pub(crate) told: Option<Words>,
    /// Something of it is not yet on disk as it is (see `kept`).
    #[serde(skip)]
    pub(crate) unkept: bool,
}

/// What the other end of a leg has said it can do (Allow, Supported).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Can {
    /// UPDATE (RFC 3311).
    pub(crate) update: bool,
    /// Session timers (RFC 4028).
    pub(crate) timer: bool,
}

impl Can {
    /// What a message says of its sender. Without Allow nothing but RFC 3261 is expected of it.
    pub(crate) fn of(message: &Message) -> Can {
        Can { update: message.has_option(Name::Allow, "UPDATE"), timer: supports(message, "timer") }
    }
}

/// True when the sender supports an extension, or even requires it.
pub(super) fn supports(message: &Message, option: &str) -> bool {
    message.has_option(Name::Supported, option) || message.has_option(Name::Require, option)
}

impl Leg {
    /// A new leg, whose other end has just been heard in `message`.
    pub(super) fn new(
        turn: &Turn<'_>,
        side: Side,
        hop: &Hop,
        dialog: Dialog,
        shows: &str,
        message: &Message,
    ) -> Leg {
        Leg {
            side,
            hop: hop.clone().towards(&dialog.target),
            dialog,
            shows: shows.to_owned(),
            heard: turn.now,
            watch: Watch::asking(turn),
            can: Can::of(message),
            said: None,
            told: None,
            unkept: true,
        }
    }

    pub(super) fn moved(&mut self, old: Flow, new: Flow) {
        if self.hop == Hop::Phone(old) {
            self.hop = Hop::Phone(new);
            self.unkept = true;
        }
    }
}

/// A session description that was agreed. Copies share it, since what one leg said the other was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    text: Arc<str>,
    rests: bool,
}

impl Words {
    /// A session description.
    pub(crate) fn of(text: &str) -> Words {
        let says = |line: &str| matches!(line, "a=sendonly" | "a=inactive" | "c=IN IP4 0.0.0.0");
        Words { text: text.into(), rests: text.lines().any(|line| says(line.trim_end())) }
    }

    /// True when its phone wants to hear nothing (RFC 3264 § 8.4), in the form of old phones too.
    pub(crate) fn rest(&self) -> bool {
        self.rests
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        String::deserialize(deserializer).map(|text| Words::of(&text))
    }
}

/// The session description of a message.
pub(super) fn words_of(message: &Message) -> Option<Words> {
    if message.body().is_empty() || !message.has_type(SDP) {
        return None;
    }
    std::str::from_utf8(message.body()).ok().map(Words::of)
}

/// `from` has said what `message` holds, and `to` was told it.
pub(super) fn agreed(from: &mut Leg, to: &mut Leg, message: &Message) {
    if let Some(words) = words_of(message) {
        from.said = Some(words.clone());
        to.told = Some(words);
    }
    from.unkept = true;
    to.unkept = true;
}
