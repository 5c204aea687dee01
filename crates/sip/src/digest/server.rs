//! The server's side: challenges that need no memory, and the verdict on what comes back.
//!
//! The order is part of it. What can be seen without knowing any user comes first: is it readable, is it for this
//! request ([`Challenger::read`]). Then is the nonce ours, for this peer and young: if not, a new challenge, whoever
//! asks, so a guesser learns nothing from nonces of its own making. Only then the secret; and the count last, when
//! the response is known to be right, so that nobody can use up another's nonce. What is forgotten leaves a floor:
//! forgetting costs a phone one round trip and never lets a captured request in.

use super::credentials::Credentials;
use super::nonce::{NonceId, UsedNonces};
use super::{Algorithm, Asked, Secrets, SecretsRef, response};
use crate::token::{hex, keyed_hash};
use crate::{Message, Name, scan};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Bytes of a nonce's seal: 112 bits.
const SEAL_BYTES: usize = 14;

/// Letters of a nonce: its name and its seal, three bytes in four.
const NONCE_LETTERS: usize = (NonceId::BYTES + SEAL_BYTES) / 3 * 4;

/// What credentials prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is this user.
    Accepted,
    /// The nonce is old, used, or not for this peer: challenge with `stale=true` (RFC 7616 §3.3).
    Stale,
    /// Unknown user or wrong password; nothing tells one from the other.
    Wrong,
}

/// What is known of a user.
#[derive(Debug)]
pub struct Known<'a> {
    /// Its secrets.
    pub secrets: SecretsRef<'a>,
    /// What it has used.
    pub used: &'a mut UsedNonces,
}

/// Credentials that cannot be read, or are for another Request-URI than the one they came with: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("credentials that cannot be read")]
pub struct Malformed;

/// Challenges and judges for one realm. It remembers nothing but how many nonces it gave out.
#[derive(Clone)]
pub struct Challenger {
    realm: String,
    seal: Option<Hmac<Sha256>>,
    given: u32,
    /// Secrets that no password has, for users that do not exist: made beforehand, so that they cost no time.
    nobody: Secrets,
}

impl Challenger {
    /// For a realm, with a secret key. Several with one key take each other's nonces; give each a `lane` of its
    /// own, so that no two give out the same one.
    #[must_use]
    pub fn new(realm: &str, key: [u8; 32], lane: u8) -> Challenger {
        let secret = hex(&keyed_hash(&key, &[b"nobody\n"]));
        let nobody = Secrets { md5: secret.get(..32).unwrap_or_default().to_owned(), sha256: secret };
        // HMAC takes a key of any length, so there is always one.
        let seal = Hmac::new_from_slice(&keyed_hash(&key, &[b"nonce\n"])).ok();
        Challenger { realm: realm.to_owned(), seal, given: u32::from(lane) << 24, nobody }
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The values of two WWW-Authenticate or Proxy-Authenticate headers, SHA-256 first (RFC 8760 §2.4). No `opaque`:
    /// all that must come back is in the nonce. No `auth-int`: bodies are changed on their way.
    pub fn challenges(&mut self, now: Duration, source: IpAddr, stale: bool) -> [String; 2] {
        let lane = self.given & 0xff00_0000;
        self.given = lane | (self.given.wrapping_add(1) & 0x00ff_ffff);
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let nonce = self.nonce(NonceId { at_ms, number: self.given }, source);
        let (realm, stale) = (scan::quote(&self.realm), if stale { ", stale=true" } else { "" });
        Algorithm::ALL.map(|algorithm| {
            let name = algorithm.as_str();
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
        })
    }

    /// The credentials of a request for this realm; `None` when there are none, or not with `qop=auth`: challenge.
    ///
    /// # Errors
    /// [`Malformed`]: answer 400.
    pub fn read<'m>(&self, request: &'m Message, header: Name) -> Result<Option<Credentials<'m>>, Malformed> {
        Credentials::of(request, header, &self.realm)
    }

    /// Judges what [`Challenger::read`] gave. A user that is not known is compared against a secret nobody has, so
    /// that the time tells nothing either.
    #[must_use]
    pub fn judge(
        &self,
        now: Duration,
        source: IpAddr,
        request: &Message,
        credentials: &Credentials<'_>,
        known: Option<Known<'_>>,
    ) -> Verdict {
        let Some(id) = self.read_nonce(&credentials.nonce, source).filter(|id| id.is_fresh(now)) else {
            return Verdict::Stale;
        };
        let secrets = known.as_ref().map_or(self.nobody.as_ref(), |known| known.secrets);
        let algorithm = credentials.algorithm;
        let asked = Asked {
            method: request.method().as_str(),
            uri: &credentials.uri,
            nonce: &credentials.nonce,
            nc: &credentials.nc,
            cnonce: &credentials.cnonce,
        };
        let wanted = response(algorithm, secrets.ha1(algorithm), &asked);
        let equal: bool = wanted.as_str().as_bytes().ct_eq(credentials.response.as_bytes()).into();
        let Some(known) = known.filter(|_| equal) else { return Verdict::Wrong };
        match known.used.take(now, id, credentials.count) {
            true => Verdict::Accepted,
            false => Verdict::Stale,
        }
    }

    fn nonce(&self, id: NonceId, source: IpAddr) -> String {
        let mut bytes = [0; NonceId::BYTES + SEAL_BYTES];
        let named = id.bytes().into_iter().chain(self.seal(&id.bytes(), source));
        bytes.iter_mut().zip(named).for_each(|(to, from)| *to = from);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_nonce(&self, nonce: &str, source: IpAddr) -> Option<NonceId> {
        let mut bytes = [0; NonceId::BYTES + SEAL_BYTES];
        if nonce.len() != NONCE_LETTERS || URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).is_err() {
            return None;
        }
        let (id, seal) = bytes.split_first_chunk::<{ NonceId::BYTES }>()?;
        let genuine: bool = self.seal(id, source).ct_eq(seal).into();
        genuine.then(|| NonceId::of(*id))
    }

    /// Binds a nonce to the address it was given to. Not to the port: a phone may come back on another connection.
    fn seal(&self, id: &[u8], source: IpAddr) -> [u8; SEAL_BYTES] {
        let mut seal = [0; SEAL_BYTES];
        if let Some(mut mac) = self.seal.clone() {
            let source = match source {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            mac.update(id);
            mac.update(&source.octets());
            let hash = mac.finalize().into_bytes();
            seal.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        }
        seal
    }
}

/// No key is printed.
impl std::fmt::Debug for Challenger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Challenger({}, {} nonces given out)", self.realm, self.given & 0x00ff_ffff)
    }
}
