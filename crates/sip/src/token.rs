//! Names that cannot be guessed, from a seed: tags, branches, Call-IDs, session ids, keys.
//!
//! A keyed hash of a counter instead of a random source: the machines stay pure, and a simulation repeats from its
//! seed. A thawed machine is given a fresh seed, so it repeats nothing. Names are SipHash-2-4 of 128 bits, a keyed
//! function made for this; keys and seeds are HMAC-SHA256.

use crate::via::MAGIC_COOKIE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use siphasher::sip128::SipHasher24;

/// The source of names of one machine.
#[derive(Clone)]
pub struct Tokens {
    seed: [u8; 32],
    names: SipHasher24,
    counter: u64,
}

impl Tokens {
    /// From 32 random bytes of the shell.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Tokens {
        let mut key = [0; 16];
        key.iter_mut().zip(keyed_hash(&seed, &[b"names"])).for_each(|(to, from)| *to = from);
        Tokens { seed, names: SipHasher24::new_with_key(&key), counter: 0 }
    }

    /// 32 fresh bytes: a key, or the seed of another machine.
    pub fn key32(&mut self) -> [u8; 32] {
        self.counter += 1;
        keyed_hash(&self.seed, &[&self.counter.to_be_bytes()])
    }

    /// A tag of 96 bits; RFC 3261 §19.3 asks for 32.
    pub fn tag(&mut self) -> String {
        self.letters(12)
    }

    /// A branch: the cookie and 128 bits (RFC 3261 §8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.letters(16))
    }

    /// A Call-ID of 128 bits, `…@host`.
    pub fn call_id(&mut self, host: &str) -> String {
        format!("{}@{host}", self.letters(16))
    }

    /// A session identifier half: 32 lower-case hexadecimal digits, never all zero (RFC 7989 §5).
    pub fn session_id(&mut self) -> String {
        self.letters(16)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub fn number(&mut self, bound: u32) -> u32 {
        let [a, b, c, d, ..] = self.next_name();
        u32::from_be_bytes([a, b, c, d]).checked_rem(bound).unwrap_or(0)
    }

    fn letters(&mut self, bytes: usize) -> String {
        hex(self.next_name().get(..bytes).unwrap_or_default())
    }

    fn next_name(&mut self) -> [u8; 16] {
        self.counter += 1;
        self.names.hash(&self.counter.to_be_bytes()).as_bytes()
    }
}

/// The seed is a secret.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens(#{})", self.counter)
    }
}

/// HMAC-SHA256 over the parts, one after the other.
pub(crate) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes a key of any length, so the error cannot occur; an all-zero hash would only make names collide.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_repeat_and_follow_from_the_seed() {
        let (mut one, mut same, mut other) =
            (Tokens::new([1; 32]), Tokens::new([1; 32]), Tokens::new([2; 32]));
        let names: Vec<String> = (0..1000).map(|_| one.tag()).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(names[0], same.tag());
        assert_ne!(names[0], other.tag());
        assert!(one.branch().starts_with("z9hG4bK"));
        assert_eq!(one.session_id().len(), 32);
        assert!((0..100).all(|_| one.number(7) < 7));
        assert_eq!(one.number(0), 0);
    }
}
