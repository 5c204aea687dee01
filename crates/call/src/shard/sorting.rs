//! Which shard takes a message.
//!
//! | message | shard |
//! |---|---|
//! | a request with our tag in To or Replaces, a response with our branch | the one the name says, when its seal is genuine |
//! | REGISTER, PUBLISH, SUBSCRIBE | that of the owner of the subscriber in To |
//! | everything else | by its Call-ID |
//!
//! Subscribers and Call-IDs are hashed under a secret key. So an INVITE, its retransmissions, its CANCEL and its ACK meet, a
//! registration never leaves its owner's shard, and nobody outside can choose a shard to fill.

use crate::keyed::Key;
use crate::names::{shard_of_branch, shard_of_tag};
use serde::{Deserialize, Serialize};
use sip::headers::Replaces;
use sip::{Message, Method};
use std::borrow::Cow;

/// The number of a shard within its edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShardId(pub u8);

/// Sorts messages and subscribers among the shards of one edge. It is a copy of two numbers: every reader of a
/// socket may have its own.
#[derive(Debug, Clone, Copy)]
pub struct Sorter {
    /// Of the hashes.
    spread: Key,
    /// Of the seals in our names.
    seal: Key,
    shards: u8,
}

impl Sorter {
    pub(crate) fn new(spread: Key, seal: Key, shards: u8) -> Sorter {
        Sorter { spread, seal, shards: shards.max(1) }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u8 {
        self.shards
    }

    /// The shard that takes `message`.
    #[must_use]
    pub fn shard_of(&self, message: &Message) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        if let Some(shard) = self.named(message).filter(|shard| shard.0 < self.shards) {
            return shard;
        }
        match message.cseq().method {
            Method::Register | Method::Publish | Method::Subscribe if message.is_request() => {
                self.owner_of(&message.to().uri.user())
            }
            _ => self.hashed(message.call_id()),
        }
    }

    /// The shard of the owner of a subscriber.
    #[must_use]
    pub fn owner_of(&self, extension: &str) -> ShardId {
        self.hashed(extension)
    }

    /// The shard that a tag of ours names.
    pub(crate) fn shard_of_tag(&self, tag: &str) -> Option<ShardId> {
        shard_of_tag(self.seal, tag).filter(|shard| shard.0 < self.shards)
    }

    fn named(&self, message: &Message) -> Option<ShardId> {
        if message.is_request() {
            named_tags(message).find_map(|tag| self.shard_of_tag(&tag))
        } else {
            shard_of_branch(self.seal, message.via().branch()?)
        }
    }

    /// The shard of what is known by this text and nothing else.
    pub(crate) fn hashed(&self, text: &str) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        let shard = self.spread.hash(text.as_bytes()) % u64::from(self.shards);
        ShardId(u8::try_from(shard).unwrap_or_default())
    }
}

/// The tags under which a request may name a dialog of ours: that in To, or those in the Replaces of a new INVITE.
pub(crate) fn named_tags(request: &Message) -> impl Iterator<Item = Cow<'_, str>> {
    let to = request.to_tag();
    let invites = to.is_none() && *request.method() == Method::Invite;
    let replaces = invites.then(|| request.typed::<Replaces>().ok().flatten()).flatten();
    let replaced = replaces.into_iter().flat_map(|replaces| [replaces.to_tag, replaces.from_tag]);
    to.map(Cow::Borrowed).into_iter().chain(replaced.map(Cow::Owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    const SHARDS: u8 = 4;

    fn keys() -> (Key, Key) {
        (Key::of([1; 32]), Key::of([2; 32]))
    }

    fn sorter() -> Sorter {
        let (spread, seal) = keys();
        Sorter::new(spread, seal, SHARDS)
    }

    fn request(method: &str, call_id: &str, to: &str, branch: &str) -> Message {
        let text = format!(
            "{method} sip:2102@c-1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:2101@c-1>;tag=f\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    fn response(call_id: &str, branch: &str) -> Message {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch={branch}\r\nFrom: <sip:2101@c-1>;tag=f\r\n\
             To: <sip:2102@c-1>;tag=t\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_invite_its_cancel_and_the_ack_of_its_refusal_meet() {
        let sorter = sorter();
        for number in 0..200 {
            let call_id = format!("call-{number}");
            let of =
                |method, branch: &str| sorter.shard_of(&request(method, &call_id, "<sip:2102@c-1>", branch));
            let home = of("INVITE", "z9hG4bKa");
            assert_eq!(of("INVITE", "z9hG4bKa"), home, "a retransmission");
            assert_eq!(of("CANCEL", "z9hG4bKa"), home);
            let mut names = Names::new(home, keys().1, [9; 32]);
            let refused = format!("<sip:2102@c-1>;tag={}", names.tag());
            assert_eq!(sorter.shard_of(&request("ACK", &call_id, &refused, "z9hG4bKa")), home);
        }
    }

    #[test]
    fn our_names_lead_to_their_shard_whatever_the_call_id() {
        let sorter = sorter();
        for shard in (0..SHARDS).map(ShardId) {
            let mut names = Names::new(shard, keys().1, [9; 32]);
            for call_id in ["a", "b", "c", "d"] {
                let to = format!("<sip:2102@c-1>;tag={}", names.tag());
                assert_eq!(sorter.shard_of(&request("BYE", call_id, &to, "z9hG4bKx")), shard);
                assert_eq!(sorter.shard_of(&response(call_id, &names.branch())), shard);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_ours_chooses_nothing() {
        let sorter = sorter();
        let mut other = Names::new(ShardId(3), Key::of([66; 32]), [9; 32]);
        for number in 0..50 {
            let call_id = format!("call-{number}");
            let home = sorter.shard_of(&request("INVITE", &call_id, "<sip:2102@c-1>", "z9hG4bKa"));
            let forged = format!("<sip:2102@c-1>;tag={}", other.tag());
            assert_eq!(sorter.shard_of(&request("BYE", &call_id, &forged, "z9hG4bKa")), home);
            assert_eq!(sorter.shard_of(&response(&call_id, &other.branch())), home);
        }
        // A shard that we have sealed ourselves and that does not exist: an edge that ran with more of them.
        let mut gone = Names::new(ShardId(200), keys().1, [9; 32]);
        assert!(sorter.shard_of(&response("a", &gone.branch())).0 < SHARDS);
    }

    #[test]
    fn a_registration_goes_to_its_owner_and_owners_are_spread() {
        let sorter = sorter();
        let mut counts = [0u32; 4];
        for number in 2000..4000 {
            let to = format!("<sip:{number}@c-1>");
            let home = sorter.shard_of(&request("REGISTER", &format!("r-{number}"), &to, "z9hG4bKa"));
            assert_eq!(home, sorter.owner_of(&number.to_string()));
            counts[usize::from(home.0)] += 1;
        }
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
    }
}
