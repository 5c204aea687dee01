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

use crate::token::hex;
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
    fn hash(self, parts: &[&str]) -> String {
        match self {
            Algorithm::Sha256 => hash::<Sha256>(parts),
            Algorithm::Md5 => hash::<Md5>(parts),
        }
    }
}

fn hash<D: Digest>(parts: &[&str]) -> String {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

/// What is stored of a password: H(user:realm:password), in hexadecimal.
#[must_use]
pub fn ha1(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> String {
    algorithm.hash(&[user, realm, password])
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

    fn ha1(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Sha256 => &self.sha256,
            Algorithm::Md5 => &self.md5,
        }
    }
}

/// Never printed.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// The answer to a challenge with `qop=auth` (RFC 7616 §3.4.1).
fn response(algorithm: Algorithm, ha1: &str, asked: &Asked<'_>) -> String {
    let Asked { method, uri, nonce, nc, cnonce } = asked;
    let ha2 = algorithm.hash(&[method, uri]);
    algorithm.hash(&[ha1, nonce, nc, cnonce, "auth", &ha2])
}

/// What goes into a response besides the secret.
struct Asked<'a> {
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    nc: &'a str,
    cnonce: &'a str,
}
