//! Our names: tags, branches, Call-IDs and sessions that nobody can guess. Tags and branches also say which shard
//! they are from, under a short seal (MAC), so that what comes back with one finds its shard, and nobody outside can choose one.
//!
//! ```text
//!   tag      SS MMMMMMMM RRRRRRRRRRRRRRRR                        shard, seal, 64 random bits
//!   branch   z9hG4bK SS MMMMMMMM RRRRRRRRRRRRRRRRRRRRRRRRRRRRRRRR  the same with 128
//! ```
//!
//! The seal's key lives as long as the edge and its frozen copies; the random part follows from the seed of one
//! process, which is never frozen, so two thawed copies draw different names.

use crate::keyed::Key;
use crate::shard::ShardId;

/// How every branch of RFC 3261 begins (§ 8.1.1.7).
const COOKIE: &str = "z9hG4bK";
/// Characters of the shard's number, and of its seal.
const SHARD: usize = 2;
const SEAL: usize = 8;
/// Characters of 64 random bits.
const WORD: usize = 16;

/// Where the names of one shard come from.
#[derive(Clone)]
pub(crate) struct Names {
    shard: ShardId,
    seal: Key,
    /// Of this process.
    fresh: Key,
    drawn: u64,
}

/// Keys are secrets.
impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names({:?}, {} drawn)", self.shard, self.drawn)
    }
}

impl Names {
    /// The names of `shard`, sealed with `seal`; `seed` is fresh random bytes.
    pub(crate) fn new(shard: ShardId, seal: Key, seed: [u8; 32]) -> Names {
        Names { shard, seal, fresh: Key::of(seed), drawn: 0 }
    }

    /// A tag (RFC 3261 § 19.3 asks for 32 random bits).
    pub(crate) fn tag(&mut self) -> String {
        let random = self.draw();
        self.sealed("", &[random])
    }

    /// A branch.
    pub(crate) fn branch(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        self.sealed(COOKIE, &[high, low])
    }

    /// A Call-ID of 128 bits, `…@host`.
    pub(crate) fn call_id(&mut self, host: &str) -> String {
        let (high, low) = (self.draw(), self.draw());
        let mut call_id = String::with_capacity(2 * WORD + 1 + host.len());
        push_hex(&mut call_id, high, WORD);
        push_hex(&mut call_id, low, WORD);
        call_id.push('@');
        call_id.push_str(host);
        call_id
    }

    /// A session identifier: 32 lower-case hexadecimal digits, never all zero (RFC 7989 § 5).
    pub(crate) fn session_id(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        let mut session = String::with_capacity(2 * WORD);
        push_hex(&mut session, high, WORD);
        push_hex(&mut session, low | 1, WORD);
        session
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let drawn = self.draw().checked_rem(u64::from(bound)).unwrap_or(0);
        u32::try_from(drawn).unwrap_or(0)
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.fresh.number(self.drawn)
    }

    fn sealed(&self, before: &str, random: &[u64]) -> String {
        let mut drawn = String::with_capacity(2 * WORD);
        random.iter().for_each(|word| push_hex(&mut drawn, *word, WORD));
        let seal = seal(self.seal, self.shard, &drawn);
        let mut name = String::with_capacity(before.len() + SHARD + SEAL + drawn.len());
        name.push_str(before);
        push_hex(&mut name, self.shard.0.into(), SHARD);
        push_hex(&mut name, seal.into(), SEAL);
        name.push_str(&drawn);
        name
    }
}

/// The last `digits` hexadecimal digits of a number: names are made by the dozen a call, and formatting costs more than drawing.
fn push_hex(text: &mut String, number: u64, digits: usize) {
    let digit = |place: usize| {
        let nibble = u32::try_from(number >> (4 * place) & 0xf).unwrap_or_default();
        char::from_digit(nibble, 16).unwrap_or('0')
    };
    text.extend((0..digits).rev().map(digit));
}

/// The shard that a tag of ours names; none for a tag that is not ours.
pub(crate) fn shard_of_tag(key: Key, tag: &str) -> Option<ShardId> {
    let shard = ShardId(u8::from_str_radix(tag.get(..SHARD)?, 16).ok()?);
    let sealed = u32::from_str_radix(tag.get(SHARD..SHARD + SEAL)?, 16).ok()?;
    let random = tag.get(SHARD + SEAL..).filter(|random| !random.is_empty())?;
    (seal(key, shard, random) == sealed).then_some(shard)
}

/// The shard that a branch of ours names.
pub(crate) fn shard_of_branch(key: Key, branch: &str) -> Option<ShardId> {
    shard_of_tag(key, branch.strip_prefix(COOKIE)?)
}

fn seal(key: Key, shard: ShardId, random: &str) -> u32 {
    let hash = key.hash(random.as_bytes()) ^ u64::from(shard.0) << 56;
    // Mixed again, so that the shard's bits reach all of the seal.
    u32::try_from(key.number(hash) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn names(shard: u8, seed: u8) -> Names {
        Names::new(ShardId(shard), Key::of(KEY), [seed; 32])
    }

    #[test]
    fn a_name_of_ours_says_its_shard_and_no_other_name_says_any() {
        let key = Key::of(KEY);
        let mut names = names(3, 1);
        let (tag, branch) = (names.tag(), names.branch());
        assert_eq!(shard_of_tag(key, &tag), Some(ShardId(3)));
        assert_eq!(shard_of_branch(key, &branch), Some(ShardId(3)));
        // Another shard's number under the same seal, another key, a cut and a foreign name.
        assert_eq!(shard_of_tag(key, &tag.replacen("03", "02", 1)), None);
        assert_eq!(shard_of_tag(Key::of([8; 32]), &tag), None);
        assert_eq!(shard_of_tag(key, &tag[..10]), None);
        for foreign in [
            "",
            "as7f",
            "9fxced76sl",
            "0300000000",
            "030000000000000000",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(shard_of_tag(key, foreign), None, "{foreign}");
        }
        assert_eq!(shard_of_branch(key, &tag), None);
    }

    #[test]
    fn names_never_repeat_and_follow_from_the_seed() {
        let (mut one, mut same, mut other) = (names(0, 1), names(0, 1), names(0, 2));
        let tags: std::collections::BTreeSet<String> = (0..1000).map(|_| one.tag()).collect();
        assert_eq!(tags.len(), 1000);
        let first = same.tag();
        assert!(tags.contains(&first));
        assert!(!tags.contains(&other.tag()));
        assert_eq!(one.session_id().len(), 32);
        assert!(one.call_id("n1.c").ends_with("@n1.c"));
    }
}
