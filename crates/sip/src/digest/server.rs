//! The server's side: challenges that need no memory, and a bounded memory of what was used.
//!
//! A nonce carries its time and number under a keyed hash with the peer's address, so a flood of requests without
//! credentials costs no memory. Only a nonce that was *used rightly* is remembered, with its last count. What falls
//! out of that memory (oldest first) leaves a floor: nonces from before it are `stale`, never valid again. So a
//! captured request cannot be played twice, whatever is forgotten, and forgetting costs a phone one round trip.

use super::credentials::Fields;
use super::{Algorithm, Asked, Secrets, response};
use crate::token::{hex, keyed_hash};
use crate::{Message, Name, Uri, scan};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// How long a nonce may be used after it was given out.
const NONCE_LIFETIME: Duration = Duration::from_secs(600);

/// Nonces whose counts are remembered.
const NONCES_MAX: usize = 65_536;

/// Header lines with credentials that are looked at.
const CREDENTIALS_MAX: usize = 8;

/// What a request proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is this user.
    Accepted {
        /// The user of the credentials.
        user: String,
    },
    /// Credentials for our realm that cannot be read: 400.
    Malformed,
    /// No credentials for our realm, or not with `qop=auth`: challenge.
    Missing,
    /// The user is right, the nonce is old, used or not for this peer: challenge with `stale=true`.
    Stale,
    /// Unknown user or wrong password; nothing tells one from the other. Challenge or 403.
    Wrong {
        /// Who it said it was.
        user: String,
    },
}

/// Which nonce: when it was given out, and its number.
type NonceId = (u64, u64);

/// Challenges and judges for one realm. Not serde: a new process has a new key, and its phones get one `stale`.
#[derive(Clone)]
pub struct Challenger {
    realm: String,
    key: [u8; 32],
    given: u64,
    used: BTreeMap<NonceId, u32>,
    /// Nonces up to this one are not taken any more.
    floor: Option<NonceId>,
}

impl Challenger {
    /// For a realm, with a secret key of its own.
    #[must_use]
    pub fn new(realm: &str, key: [u8; 32]) -> Challenger {
        Challenger { realm: realm.to_owned(), key, given: 0, used: BTreeMap::new(), floor: None }
    }

    /// The same, its nonces numbered from `first`: several challengers with one key must not give the same nonce twice.
    #[must_use]
    pub fn counting_from(self, first: u64) -> Challenger {
        Challenger { given: first, ..self }
    }

    /// Who a request says it is from, when it has readable credentials for our realm.
    #[must_use]
    pub fn claimed(&self, request: &Message, header: Name) -> Option<String> {
        self.credentials(request, header).ok().flatten().map(|credentials| credentials.user)
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The values of two WWW-Authenticate or Proxy-Authenticate headers, SHA-256 first (RFC 8760 §2.4).
    pub fn challenges(&mut self, now: Duration, source: IpAddr, stale: bool) -> [String; 2] {
        self.given += 1;
        let id = (u64::try_from(now.as_millis()).unwrap_or(u64::MAX), self.given);
        let nonce = self.nonce(id, source);
        let stale = if stale { ", stale=true" } else { "" };
        Algorithm::ALL.map(|algorithm| {
            let (realm, name) = (scan::quote(&self.realm), algorithm.as_str());
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}")
        })
    }

    /// Judges a request. `secrets` gives what is stored for a user of this realm; a user it does not know is
    /// compared against a secret nobody has, so that the time tells nothing either.
    pub fn verify(
        &mut self,
        now: Duration,
        source: IpAddr,
        request: &Message,
        header: Name,
        secrets: impl FnOnce(&str) -> Option<Secrets>,
    ) -> Verdict {
        let credentials = match self.credentials(request, header) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Verdict::Missing,
            Err(()) => return Verdict::Malformed,
        };
        let user = credentials.user.clone();
        let known = secrets(&user);
        let is_known = known.is_some();
        let secrets = known.unwrap_or_else(|| self.nobody(&user));
        let asked = Asked {
            method: request.method().as_str(),
            uri: &credentials.uri,
            nonce: &credentials.nonce,
            nc: &credentials.nc,
            cnonce: &credentials.cnonce,
        };
        let wanted = response(credentials.algorithm, secrets.ha1(credentials.algorithm), &asked);
        let equal: bool =
            wanted.as_bytes().ct_eq(credentials.response.to_ascii_lowercase().as_bytes()).into();
        let covers = request.request_uri().is_some_and(|uri| covers(&credentials.uri, uri));
        if !(equal & is_known & covers) {
            return Verdict::Wrong { user };
        }
        match self.take(now, source, &credentials.nonce, credentials.count) {
            true => Verdict::Accepted { user },
            false => Verdict::Stale,
        }
    }

    /// The first readable credentials for our realm.
    fn credentials(&self, request: &Message, header: Name) -> Result<Option<Credentials>, ()> {
        for line in request.headers(header).take(CREDENTIALS_MAX) {
            let Some(fields) = Fields::parse(line) else { continue };
            let fields = fields?;
            if fields.value("realm") != Some(&self.realm) {
                continue;
            }
            return Credentials::read(&fields);
        }
        Ok(None)
    }

    /// Marks a nonce as used up to `count`; false when that was done before, or it is not one for this peer now.
    fn take(&mut self, now: Duration, source: IpAddr, nonce: &str, count: u32) -> bool {
        let Some(id) = self.read_nonce(nonce, source) else { return false };
        let given_at = Duration::from_millis(id.0);
        if self.floor.is_some_and(|floor| id <= floor) || now > given_at + NONCE_LIFETIME {
            return false;
        }
        match self.used.get_mut(&id) {
            Some(last) if count <= *last => return false,
            Some(last) => *last = count,
            // Counting starts with 1; a higher first count is a nonce we have forgotten, or a lost request.
            None => {
                self.used.insert(id, count);
            }
        }
        self.forget(now);
        true
    }

    /// Keeps the memory bounded: what is too old goes, then the oldest; the floor rises over them.
    fn forget(&mut self, now: Duration) {
        while let Some((id, _)) = self.used.first_key_value() {
            let id = *id;
            let old = now > Duration::from_millis(id.0) + NONCE_LIFETIME;
            if !old && self.used.len() <= NONCES_MAX {
                break;
            }
            self.used.remove(&id);
            self.floor = self.floor.max(Some(id));
        }
    }

    fn nonce(&self, id: NonceId, source: IpAddr) -> String {
        let stamp = format!("{:x}-{:x}", id.0, id.1);
        let seal = self.seal(&stamp, source);
        format!("{stamp}-{seal}")
    }

    fn read_nonce(&self, nonce: &str, source: IpAddr) -> Option<NonceId> {
        let (stamp, seal) = nonce.rsplit_once('-')?;
        let genuine: bool = self.seal(stamp, source).as_bytes().ct_eq(seal.as_bytes()).into();
        let (at, number) = stamp.split_once('-').filter(|_| genuine)?;
        Some((u64::from_str_radix(at, 16).ok()?, u64::from_str_radix(number, 16).ok()?))
    }

    fn seal(&self, stamp: &str, source: IpAddr) -> String {
        let hash =
            keyed_hash(&self.key, &[b"nonce\n", stamp.as_bytes(), b"\n", source.to_string().as_bytes()]);
        hex(hash.get(..16).unwrap_or_default())
    }

    /// A secret that no password has.
    fn nobody(&self, user: &str) -> Secrets {
        let secret = hex(&keyed_hash(&self.key, &[b"nobody\n", user.as_bytes()]));
        Secrets { md5: secret.clone(), sha256: secret }
    }
}

/// Neither the key nor who used what is printed.
impl std::fmt::Debug for Challenger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Challenger({}, {} nonces in use)", self.realm, self.used.len())
    }
}

struct Credentials {
    user: String,
    nonce: String,
    uri: String,
    response: String,
    cnonce: String,
    nc: String,
    count: u32,
    algorithm: Algorithm,
}

impl Credentials {
    /// `Ok(None)` for what deserves a new challenge: another algorithm or no `qop=auth`.
    fn read(fields: &Fields) -> Result<Option<Credentials>, ()> {
        let Some(algorithm) = Algorithm::named(fields.value("algorithm")) else { return Ok(None) };
        if fields.value("qop").is_none_or(|qop| !qop.eq_ignore_ascii_case("auth")) {
            return Ok(None);
        }
        let text = |name: &str| fields.value(name).map(str::to_owned).ok_or(());
        let nc = text("nc")?;
        let hexadecimal = nc.len() == 8 && nc.bytes().all(|byte| byte.is_ascii_hexdigit());
        let count = u32::from_str_radix(&nc, 16).ok().filter(|_| hexadecimal).ok_or(())?;
        Ok(Some(Credentials {
            user: text("username")?,
            nonce: text("nonce")?,
            uri: text("uri")?,
            response: text("response")?,
            cnonce: text("cnonce")?,
            nc,
            count,
            algorithm,
        }))
    }
}

/// True when the URI under the digest is the Request-URI (RFC 7616 §3.4.6); test tools (SIPp) sign just its host.
fn covers(signed: &str, asked: &Uri) -> bool {
    let Ok(signed) = Uri::parse(signed) else { return false };
    if signed.user_raw.is_none() && signed.params.is_empty() {
        return signed.scheme == asked.scheme && signed.host.same_as(&asked.host);
    }
    signed.same_as(asked)
}
