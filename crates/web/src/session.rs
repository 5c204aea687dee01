//! Who is logged in: a table in memory, keyed by the hash of a random token.
//!
//! A session ends by logout, by a time without requests, by its age, when its account's password changes, and
//! with the process. Browsers hold the token in a cookie, programs as a bearer token; a session of one kind is
//! never accepted as the other, so a stolen bearer token cannot be dressed up as a cookie past the CSRF check.

use crate::account::Role;
use crate::error::ApiError;
use crate::secret;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sessions at a time; the one longest unused makes room.
const SESSIONS_MAX: usize = 1000;

/// How a session's token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// In a cookie of a browser.
    Cookie,
    /// In the Authorization header of a program.
    Bearer,
}

impl Carrier {
    /// How long it may go unused.
    fn idle(self) -> Duration {
        match self {
            Carrier::Cookie => Duration::from_secs(60 * 60),
            Carrier::Bearer => Duration::from_secs(12 * 60 * 60),
        }
    }

    /// How old it may become.
    fn age(self) -> Duration {
        Duration::from_secs(12 * 60 * 60)
    }
}

/// One login.
#[derive(Debug, Clone)]
pub struct Session {
    /// The account.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// The password must be changed first.
    pub must_change: bool,
    /// How its token travels.
    pub carrier: Carrier,
    /// The token its forms carry (see [`crate::guard`]).
    pub csrf: String,
    created: Instant,
    seen: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.seen) > self.carrier.idle()
            || now.duration_since(self.created) > self.carrier.age()
    }
}

/// All sessions of one server.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<BTreeMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Begins a session and returns its token, the only time it is seen whole.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn begin(
        &self,
        user: &str,
        role: Role,
        must_change: bool,
        carrier: Carrier,
        now: Instant,
    ) -> Result<String, ApiError> {
        let token = secret::token()?;
        let csrf = secret::token()?;
        let session =
            Session { user: user.to_owned(), role, must_change, carrier, csrf, created: now, seen: now };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, session| !session.is_over(now));
        if table.len() >= SESSIONS_MAX {
            let oldest = table.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
            oldest.and_then(|key| table.remove(&key));
        }
        table.insert(secret::hashed(&token), session);
        Ok(token)
    }

    /// The session of this token, which counts as used now.
    pub fn find(&self, token: &str, carrier: Carrier, now: Instant) -> Option<Session> {
        let key = secret::hashed(token);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let session = table.get_mut(&key)?;
        if session.is_over(now) {
            table.remove(&key);
            return None;
        }
        if session.carrier != carrier {
            return None;
        }
        session.seen = now;
        Some(session.clone())
    }

    /// Ends one session.
    pub fn end(&self, token: &str) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&secret::hashed(token));
    }

    /// Ends all sessions of an account.
    pub fn end_all(&self, user: &str) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, session| session.user != user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_silence_by_age_and_by_a_new_password() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let minutes = |m: u64| start + Duration::from_secs(60 * m);
        let begin = || sessions.begin("admin", Role::Administrator, false, Carrier::Cookie, start).unwrap();
        let token = begin();
        assert!(sessions.find(&token, Carrier::Cookie, minutes(59)).is_some());
        assert!(sessions.find(&token, Carrier::Bearer, minutes(59)).is_none(), "not as a bearer token");
        assert!(sessions.find(&token, Carrier::Cookie, minutes(120)).is_none(), "an hour of silence");
        let token = begin();
        for half_hour in 1..=24 {
            assert!(sessions.find(&token, Carrier::Cookie, minutes(30 * half_hour)).is_some());
        }
        assert!(sessions.find(&token, Carrier::Cookie, minutes(750)).is_none(), "twelve hours of age");
        let token = begin();
        sessions.end_all("admin");
        assert!(sessions.find(&token, Carrier::Cookie, start).is_none());
    }

    #[test]
    fn the_longest_unused_session_makes_room() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let begin = |at| sessions.begin("admin", Role::Viewer, false, Carrier::Bearer, at).unwrap();
        let first = begin(start);
        for i in 0..SESSIONS_MAX {
            begin(start + Duration::from_millis(1 + u64::try_from(i).unwrap()));
        }
        assert!(sessions.find(&first, Carrier::Bearer, start + Duration::from_secs(2)).is_none());
        assert_eq!(sessions.table.lock().unwrap().len(), SESSIONS_MAX);
    }
}
