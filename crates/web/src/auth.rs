//! Login, logout, change of password, and who a request comes from.
//!
//! One [`Auth`] a server. Unknown user and wrong password take the same time and say the same. A machine's
//! management token (which is no account) is recognised by a function the owner gives.

use crate::account::{Account, AccountStore, Hasher, Role, USER_BYTES_MAX};
use crate::error::ApiError;
use crate::secret;
use crate::session::{Carrier, Sessions};
use crate::throttle::Throttle;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The name of the session cookie of the server these headers are for. `__Host-` binds it to this host, to HTTPS and
/// to the whole site. Browsers do not tell ports apart, so the name does: several machines of one demo share a host.
#[must_use]
pub fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let port = if port.bytes().all(|b| b.is_ascii_digit()) { port } else { "" };
    format!("__Host-pleiad{port}")
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account, or the machine, as the operations log names it.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// The password must be changed before a browser may do anything else.
    pub must_change: bool,
    /// The token that forms carry; none for a bearer token, which no foreign page can make a browser send.
    pub csrf: Option<String>,
}

/// A login that succeeded, as `POST /api/v1/login` answers it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Login {
    /// The bearer token.
    pub token: String,
    /// What the account may do.
    pub role: Role,
    /// The password was given by us and should be changed.
    pub must_change: bool,
}

/// Recognises bearer tokens that are no sessions.
pub type Recogniser = dyn Fn(&str) -> Option<Principal> + Send + Sync;

/// Accounts, sessions and throttle of one server; clones share them.
#[derive(Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    accounts: Arc<dyn AccountStore>,
    recognise: Box<Recogniser>,
    hasher: Hasher,
    sessions: Sessions,
    throttle: Throttle,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// With accounts only.
    #[must_use]
    pub fn new(accounts: Arc<dyn AccountStore>) -> Auth {
        Auth::with_tokens(accounts, |_| None)
    }

    /// With accounts, and bearer tokens that `recognise` knows (it should compare by [`secret::equal`] or hash).
    #[must_use]
    pub fn with_tokens(
        accounts: Arc<dyn AccountStore>,
        recognise: impl Fn(&str) -> Option<Principal> + Send + Sync + 'static,
    ) -> Auth {
        let inner = Inner {
            accounts,
            recognise: Box::new(recognise),
            hasher: Hasher::default(),
            sessions: Sessions::default(),
            throttle: Throttle::default(),
        };
        Auth { inner: Arc::new(inner) }
    }

    /// Writes an account with a generated password and returns the password, the only time it is seen.
    ///
    /// # Errors
    /// The store, or the system's randomness.
    pub async fn create(&self, user: &str, role: Role) -> Result<String, ApiError> {
        let password = secret::password()?;
        self.set_password(user, role, &password, true).await?;
        Ok(password)
    }

    /// Writes an account with this password; its sessions end.
    ///
    /// # Errors
    /// The name or password is refused, or the store cannot be written.
    pub async fn set_password(
        &self,
        user: &str,
        role: Role,
        password: &str,
        must_change: bool,
    ) -> Result<(), ApiError> {
        if user.is_empty()
            || user.len() > USER_BYTES_MAX
            || user.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            let rule = format!("an account name has 1 to {USER_BYTES_MAX} characters and no blanks");
            return Err(ApiError::bad_request("invalid-user", rule));
        }
        let password_hash = self.inner.hasher.hash(password).await?;
        self.save(user, Account { role, password_hash, must_change }).await?;
        self.inner.sessions.end_all(user);
        Ok(())
    }

    /// Logs in, and returns the token of a new session.
    ///
    /// # Errors
    /// 401 `wrong-password` (also for an unknown user), 429 after too many failures.
    pub async fn login(
        &self,
        source: IpAddr,
        user: &str,
        password: &str,
        carrier: Carrier,
    ) -> Result<Login, ApiError> {
        let account = self.verify(source, user, password).await?;
        let (role, must_change) = (account.role, account.must_change);
        let token = self.inner.sessions.begin(user, role, must_change, carrier, Instant::now())?;
        tracing::info!(%user, %source, "logged in");
        Ok(Login { token, role, must_change })
    }

    /// Replaces the password of an account that knows its present one. All its sessions end.
    ///
    /// # Errors
    /// As [`Auth::login`]; 400 when the new one is too weak or the same.
    pub async fn change_password(
        &self,
        source: IpAddr,
        user: &str,
        old: &str,
        new: &str,
    ) -> Result<(), ApiError> {
        let account = self.verify(source, user, old).await?;
        if secret::equal(old, new) {
            return Err(ApiError::bad_request("same-password", "the new password is the present one"));
        }
        self.set_password(user, account.role, new, false).await
    }

    /// Ends the session of these headers, cookie or bearer.
    pub fn logout(&self, headers: &HeaderMap) {
        for token in [cookie(headers), bearer(headers)].into_iter().flatten() {
            self.inner.sessions.end(token);
        }
    }

    /// Who sends these headers.
    #[must_use]
    pub fn principal(&self, headers: &HeaderMap) -> Option<Principal> {
        let now = Instant::now();
        if let Some(token) = bearer(headers) {
            let session = self.inner.sessions.find(token, Carrier::Bearer, now);
            return match session {
                Some(s) => {
                    Some(Principal { user: s.user, role: s.role, must_change: s.must_change, csrf: None })
                }
                None => (self.inner.recognise)(token),
            };
        }
        let session = self.inner.sessions.find(cookie(headers)?, Carrier::Cookie, now)?;
        Some(Principal {
            user: session.user,
            role: session.role,
            must_change: session.must_change,
            csrf: Some(session.csrf),
        })
    }

    async fn verify(&self, source: IpAddr, user: &str, password: &str) -> Result<Account, ApiError> {
        let throttle = &self.inner.throttle;
        let name = user.get(..USER_BYTES_MAX).unwrap_or(user);
        throttle.check(source, name, Instant::now()).map_err(|wait| {
            ApiError::too_many("too many failed logins from here")
                .next(format!("wait {} s, then try again", wait.as_secs() + 1))
        })?;
        let account = if user.len() <= USER_BYTES_MAX { self.load(user).await? } else { None };
        let hash = account.as_ref().map(|account| account.password_hash.as_str());
        match (self.inner.hasher.verify(password, hash).await?, account) {
            (true, Some(account)) => {
                throttle.succeeded(source, name);
                Ok(account)
            }
            _ => {
                throttle.failed(source, name, Instant::now());
                tracing::warn!(%source, "a login failed");
                Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong-password", "user or password is wrong"))
            }
        }
    }

    async fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
        let (accounts, user) = (self.inner.accounts.clone(), user.to_owned());
        blocking(move || accounts.load(&user)).await
    }

    async fn save(&self, user: &str, account: Account) -> Result<(), ApiError> {
        let (accounts, user) = (self.inner.accounts.clone(), user.to_owned());
        blocking(move || accounts.save(&user, &account)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ApiError::internal("the account store was interrupted"))?
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, &cookie_name(headers))
}

/// The value of a cookie.
pub(crate) fn cookie_named<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// Accounts in memory.
    #[derive(Default)]
    pub(crate) struct Accounts(Mutex<BTreeMap<String, Account>>);

    impl AccountStore for Accounts {
        fn load(&self, user: &str) -> Result<Option<Account>, ApiError> {
            Ok(self.0.lock().unwrap().get(user).cloned())
        }
        fn save(&self, user: &str, account: &Account) -> Result<(), ApiError> {
            self.0.lock().unwrap().insert(user.to_owned(), account.clone());
            Ok(())
        }
    }

    fn here() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn with_bearer(token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    }

    #[tokio::test]
    async fn the_first_password_is_generated_works_once_and_its_change_ends_all_sessions() {
        let auth = Auth::new(Arc::new(Accounts::default()));
        let first = auth.create("admin", Role::Administrator).await.unwrap();
        let login = auth.login(here(), "admin", &first, Carrier::Bearer).await.unwrap();
        assert!(login.must_change);
        assert_eq!(auth.principal(&with_bearer(&login.token)).unwrap().user, "admin");
        auth.change_password(here(), "admin", &first, "a better one").await.unwrap();
        assert_eq!(auth.principal(&with_bearer(&login.token)), None);
        assert!(!auth.login(here(), "admin", "a better one", Carrier::Bearer).await.unwrap().must_change);
    }

    #[tokio::test]
    async fn unknown_user_and_wrong_password_look_the_same_and_are_throttled() {
        let auth = Auth::new(Arc::new(Accounts::default()));
        auth.create("admin", Role::Administrator).await.unwrap();
        let wrong = auth.login(here(), "admin", "no", Carrier::Cookie).await.unwrap_err();
        let unknown = auth.login(here(), "nobody", "no", Carrier::Cookie).await.unwrap_err();
        assert_eq!(wrong, unknown);
        for _ in 0..4 {
            auth.login(here(), "admin", "no", Carrier::Cookie).await.unwrap_err();
        }
        let slowed = auth.login(here(), "admin", "no", Carrier::Cookie).await.unwrap_err();
        assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    }
}
