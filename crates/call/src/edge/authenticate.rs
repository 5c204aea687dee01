//! Whose request is it? Phones prove themselves by digest (RFC 3261 § 22, RFC 8760: SHA-256 first, MD5 for those
//! that cannot). A wrong password and an unknown user look the same.

use super::Edge;
use crate::io::{Fault, Output};
use model::Extension;
use sip::digest::{Secrets, Verdict};
use sip::{Flow, Message, Name, Response, ServerKey, Status};
use std::time::Duration;

/// Where a challenge and its answer stand: for registrars, or for everything else (RFC 3261 § 22.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    Registrar,
    Call,
}

impl Asking {
    fn names(self) -> (Status, Name, Name) {
        match self {
            Asking::Registrar => (Status::UNAUTHORIZED, Name::WwwAuthenticate, Name::Authorization),
            Asking::Call => {
                (Status::PROXY_AUTHENTICATION_REQUIRED, Name::ProxyAuthenticate, Name::ProxyAuthorization)
            }
        }
    }
}

impl Edge {
    /// The subscriber whose phone sent this. `None` when the phone has been answered: challenged or refused.
    pub(super) fn authenticate(
        &mut self,
        now: Duration,
        asking: Asking,
        key: &ServerKey,
        flow: &Flow,
        message: &Message,
        out: &mut Vec<Output>,
    ) -> Option<Extension> {
        let source_ip = flow.remote.ip();
        let (_, _, answer) = asking.names();
        let tables = &self.core.tables;
        let secrets = |user: &str| {
            let extension: Extension = user.parse().ok()?;
            let credentials = tables.subscriber(&extension)?.credentials.as_ref()?;
            Some(Secrets { sha256: credentials.ha1_sha256.clone(), md5: credentials.ha1_md5.clone() })
        };
        match self.core.challenger.verify(now, source_ip, message, answer, secrets) {
            Verdict::Accepted { user } => {
                // A guesser learns nothing from the right guess while the brake holds.
                if self.core.brake.holds(now, source_ip, &user) {
                    self.forbid(now, key, message, out);
                    return None;
                }
                self.core.brake.right(source_ip, &user);
                user.parse().ok()
            }
            Verdict::Missing => {
                self.challenge(now, asking, key, flow, message, false, out);
                None
            }
            Verdict::Stale => {
                self.challenge(now, asking, key, flow, message, true, out);
                None
            }
            Verdict::Wrong { user } => {
                if let Some(count) = self.core.brake.wrong(now, source_ip, &user) {
                    out.push(Output::Fault(Fault::Braked { user, source_ip, count }));
                }
                self.forbid(now, key, message, out);
                None
            }
            Verdict::Malformed => {
                self.turn(now, out).answer(key, message, Status::BAD_REQUEST);
                None
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the turn's three and what a challenge is made of")]
    fn challenge(
        &mut self,
        now: Duration,
        asking: Asking,
        key: &ServerKey,
        flow: &Flow,
        message: &Message,
        stale: bool,
        out: &mut Vec<Output>,
    ) {
        let (status, name, _) = asking.names();
        let challenges = self.core.challenger.challenges(now, flow.remote.ip(), stale);
        let mut turn = self.turn(now, out);
        let response: Response = turn.answer_to(message, status);
        let response = challenges.iter().fold(response, |response, value| response.header(name, value));
        turn.respond(key, response);
    }

    pub(super) fn forbid(
        &mut self,
        now: Duration,
        key: &ServerKey,
        message: &Message,
        out: &mut Vec<Output>,
    ) {
        self.turn(now, out).answer(key, message, Status::FORBIDDEN);
    }
}
