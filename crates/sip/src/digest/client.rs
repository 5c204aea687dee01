//! The phone's side: answers a challenge, and goes on answering with the same nonce.

use super::credentials::Fields;
use super::{Algorithm, Asked, Secrets, ha1, response};
use crate::{Message, Method, Name, Status, scan};
use serde::{Deserialize, Serialize};

/// What the user gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Password {
    /// The password itself.
    Plain(String),
    /// Its HA1s.
    Stored(Secrets),
}

/// Never printed.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// One challenge being answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    user: String,
    ha1: String,
    algorithm: Algorithm,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    count: u32,
    proxy: bool,
    /// The server said that only the nonce was wrong: the user need not be asked again.
    pub stale: bool,
}

impl Client {
    /// From a 401 or 407: the first challenge whose algorithm we know and that offers `qop=auth`.
    #[must_use]
    pub fn challenged(refusal: &Message, user: &str, password: &Password) -> Option<Client> {
        let proxy = match refusal.status()? {
            Status::UNAUTHORIZED => false,
            Status::PROXY_AUTHENTICATION_REQUIRED => true,
            _ => return None,
        };
        let header = if proxy { Name::ProxyAuthenticate } else { Name::WwwAuthenticate };
        let challenges = refusal.headers(header).filter_map(|line| Fields::parse(line)?.ok());
        challenges.filter_map(|fields| Client::answering(&fields, user, password, proxy)).next()
    }

    fn answering(fields: &Fields<'_>, user: &str, password: &Password, proxy: bool) -> Option<Client> {
        let algorithm = Algorithm::named(fields.value("algorithm"))?;
        let offers_auth =
            fields.value("qop")?.split(',').any(|qop| scan::trim(qop).eq_ignore_ascii_case("auth"));
        let realm = fields.value("realm")?.to_owned();
        let ha1 = match password {
            Password::Plain(password) => ha1(algorithm, user, &realm, password),
            Password::Stored(secrets) => secrets.ha1(algorithm).to_owned(),
        };
        offers_auth.then_some(Client {
            user: user.to_owned(),
            ha1,
            algorithm,
            realm,
            nonce: fields.value("nonce")?.to_owned(),
            opaque: fields.value("opaque").map(str::to_owned),
            count: 0,
            proxy,
            stale: fields.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The header for the next request; `cnonce` from [`crate::Tokens::tag`].
    pub fn authorization(&mut self, method: &Method, uri: &str, cnonce: &str) -> (Name, String) {
        self.count += 1;
        let nc = format!("{:08x}", self.count);
        let asked = Asked { method: method.as_str(), uri, nonce: &self.nonce, nc: &nc, cnonce };
        let response = response(self.algorithm, &self.ha1, &asked);
        let response = response.as_str();
        let (user, realm, algorithm) =
            (scan::quote(&self.user), scan::quote(&self.realm), self.algorithm.as_str());
        let (nonce, uri) = (scan::quote(&self.nonce), scan::quote(uri));
        let mut value = format!(
            "Digest username={user}, realm={realm}, nonce={nonce}, uri={uri}, response=\"{response}\", \
             algorithm={algorithm}, cnonce=\"{cnonce}\", qop=auth, nc={nc}"
        );
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", scan::quote(opaque)));
        }
        let name = if self.proxy { Name::ProxyAuthorization } else { Name::Authorization };
        (name, value)
    }
}

/// The HA1 is a secret.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({} in {}, {} used)", self.user, self.realm, self.count)
    }
}
