//! Digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): SHA-256 and MD5, `qop=auth` always.
//!
//! [`Challenger`] is the server's side, [`Client`] the phone's. The realm is given; secrets are kept as HA1, so a
//! stolen table is no list of passwords, and the realm cannot change without new secrets. What a user has used is
//! kept with the user ([`UsedNonces`]), whoever that is.

mod client;
mod credentials;
mod nonce;
mod server;

pub use client::{Client, Password};
pub use credentials::Credentials;
pub use nonce::UsedNonces;
pub use server::{Challenger, Known, Malformed, Verdict};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A hash a challenge may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// RFC 8760; offered first.
    Sha256,
    /// RFC 2617; many phones know nothing else.
    Md5,
}

impl Algorithm {
    /// The strongest first, as RFC 8760 §2.4 orders challenges.
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

    /// As a header names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Md5 => "MD5",
        }
    }

    /// From a header; MD5 when it names none.
    fn named(name: Option<&str>) -> Option<Algorithm> {
        let Some(name) = name else { return Some(Algorithm::Md5) };
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// The hash of the parts with colons between them, in hexadecimal.
    fn hash(self, parts: &[&str]) -> Hash {
        match self {
            Algorithm::Sha256 => hash::<Sha256>(parts),
            Algorithm::Md5 => hash::<Md5>(parts),
        }
    }
}

/// A hash in hexadecimal, without memory of its own.
struct Hash {
    letters: [u8; 64],
    length: usize,
}

impl Hash {
    fn of(bytes: &[u8]) -> Hash {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut letters = [0; 64];
        for (pair, byte) in letters.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Hash { letters, length: 2 * bytes.len() }
    }

    fn as_str(&self) -> &str {
        let letters = self.letters.get(..self.length).unwrap_or_default();
        std::str::from_utf8(letters).unwrap_or_default()
    }
}

fn hash<D: Digest>(parts: &[&str]) -> Hash {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    Hash::of(&hasher.finalize())
}

/// What is stored of a password: H(user:realm:password), in hexadecimal.
#[must_use]
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password]).as_str().to_owned()
}

/// Both HA1s of one user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// With SHA-256.
    pub sha256: String,
    /// With MD5.
    pub md5: String,
}

impl Secrets {
    /// From the password itself.
    #[must_use]
    pub fn of(user: &str, realm: &str, password: &str) -> Secrets {
        Secrets {
            sha256: ha1(Algorithm::Sha256, user, realm, password),
            md5: ha1(Algorithm::Md5, user, realm, password),
        }
    }

    /// To look into.
    #[must_use]
    pub fn as_ref(&self) -> SecretsRef<'_> {
        SecretsRef { sha256: &self.sha256, md5: &self.md5 }
    }

    fn ha1(&self, algorithm: Algorithm) -> &str {
        self.as_ref().ha1(algorithm)
    }
}

/// The secrets of one user wherever they are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretsRef<'a> {
    /// With SHA-256.
    pub sha256: &'a str,
    /// With MD5.
    pub md5: &'a str,
}

impl<'a> SecretsRef<'a> {
    fn ha1(self, algorithm: Algorithm) -> &'a str {
        match algorithm {
            Algorithm::Sha256 => self.sha256,
            Algorithm::Md5 => self.md5,
        }
    }
}

/// Never printed.
impl fmt::Debug for SecretsRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// Never printed.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// The answer to a challenge with `qop=auth` (RFC 7616 §3.4.1).
fn response(algorithm: Algorithm, ha1: &str, asked: &Asked<'_>) -> Hash {
    let Asked { method, uri, nonce, nc, cnonce } = asked;
    let ha2 = algorithm.hash(&[method, uri]);
    algorithm.hash(&[ha1, nonce, nc, cnonce, "auth", ha2.as_str()])
}

/// What goes into a response besides the secret.
struct Asked<'a> {
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    nc: &'a str,
    cnonce: &'a str,
}
