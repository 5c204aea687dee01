//! SipHash-2-4 (Aumasson, Bernstein 2012): a hash that nobody without its key can steer. It sorts messages among
//! shards, seals our names and makes them.
//!
//! It is not for passwords or nonces: those have digests of their own.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

/// A secret key of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key(u64, u64);

/// The key is a secret.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The first 16 of 32 random bytes.
    pub(crate) fn of(bytes: [u8; 32]) -> Key {
        let word = |at: usize| {
            let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
            u64::from_le_bytes(eight.unwrap_or_default())
        };
        Key(word(0), word(8))
    }

    /// The hash of `bytes` under this key.
    pub(crate) fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = State::begin(self);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            state.take(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX) << 56;
        let tail = words.remainder().iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        state.take(length | tail);
        state.end()
    }

    /// The hash of a number: a sequence of them is a sequence that cannot be foretold.
    pub(crate) fn number(self, number: u64) -> u64 {
        self.hash(&number.to_le_bytes())
    }
}

/// For tables whose keys strangers may choose.
impl BuildHasher for Key {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    fn begin(Key(k0, k1): Key) -> State {
        State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }

    fn take(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    fn end(mut self) -> u64 {
        self.v2 ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the paper: key 00…0f, input the first n bytes of 00, 01, 02 …
    #[test]
    fn it_is_siphash_2_4() {
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let key = Key::of(bytes);
        assert_eq!(key.hash(&[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(key.hash(&bytes[..1]), 0x74f8_39c5_93dc_67fd);
        assert_eq!(key.hash(&bytes[..8]), 0x93f5_f579_9a93_2462);
        assert_eq!(key.hash(&bytes[..15]), 0xa129_ca61_49be_45e5);
    }
}
