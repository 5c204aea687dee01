//! Whose request is it? Phones prove themselves by digest (RFC 3261 § 22, RFC 8760: SHA-256 first, MD5 for those
//! that cannot). A wrong password and an unknown user look the same.

use super::{Edge, Step};
use crate::io::{Fault, Output};
use model::Extension;
use model::routing::Uplink;
use sip::digest::{Secrets, Verdict};
use sip::{Flow, Message, Name, Response, ServerKey, Status};

/// How soon a phone that this node cannot judge may ask again.
const RETRY_AFTER_S: u32 = 5;

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

/// A request whose sender must prove itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) asking: Asking,
    pub(super) key: &'a ServerKey,
    pub(super) flow: &'a Flow,
    pub(super) message: &'a Message,
}

impl Edge {
    /// The subscriber whose phone sent this. `None` when the phone has been answered: challenged or refused.
    pub(super) fn authenticate(&mut self, step: &mut Step<'_>, asked: &Asked<'_>) -> Option<Extension> {
        let Asked { asking, key, flow, message } = *asked;
        let source_ip = flow.remote.ip();
        let (_, _, answer) = asking.names();
        let tables = &self.core.tables;
        let secrets = |user: &str| {
            let extension: Extension = user.parse().ok()?;
            let credentials = tables.subscriber(&extension)?.credentials.as_ref()?;
            Some(Secrets { sha256: credentials.ha1_sha256.clone(), md5: credentials.ha1_md5.clone() })
        };
        match self.core.challenger.verify(step.now, source_ip, message, answer, secrets) {
            Verdict::Accepted { user } => {
                // A guesser learns nothing from the right guess while the brake holds.
                if self.core.brake.holds(step.now, source_ip, &user) {
                    self.forbid(step, key, message);
                    return None;
                }
                self.core.brake.right(source_ip, &user);
                user.parse().ok()
            }
            Verdict::Missing => {
                self.challenge(step, asked, false);
                None
            }
            Verdict::Stale => {
                self.challenge(step, asked, true);
                None
            }
            Verdict::Wrong { user } if self.cannot_know(&user) => {
                let later: Response = self.turn(step).answer_to(message, Status::SERVICE_UNAVAILABLE);
                self.turn(step).respond(key, later.header(Name::RetryAfter, RETRY_AFTER_S));
                None
            }
            Verdict::Wrong { user } => {
                if let Some(count) = self.core.brake.wrong(step.now, source_ip, &user) {
                    step.out.push(Output::Fault(Fault::Braked { user, source_ip, count }));
                }
                self.forbid(step, key, message);
                None
            }
            Verdict::Malformed => {
                self.turn(step).answer(key, message, Status::BAD_REQUEST);
                None
            }
        }
    }

    /// Cut and unknown is "not now", never "no" (DESIGN § 8): the subscriber may exist beyond the cut, and a new node
    /// has nobody's data before it first synchronised.
    fn cannot_know(&self, user: &str) -> bool {
        let known = user.parse().is_ok_and(|extension| self.core.tables.subscriber(&extension).is_some());
        self.core.uplink() == Uplink::Lost && !known
    }

    /// SHA-256 first (RFC 8760), for phones that can be trusted to read on when they do not know it. What is offered
    /// depends on the phone's product, never on the user.
    fn challenge(&mut self, step: &mut Step<'_>, asked: &Asked<'_>, stale: bool) {
        let Asked { asking, key, flow, message } = *asked;
        let (status, name, _) = asking.names();
        let strong = self.core.config.reads_sha256(message.header(Name::UserAgent));
        let [sha256, md5] = self.core.challenger.challenges(step.now, flow.remote.ip(), stale);
        let mut turn = self.turn(step);
        let response: Response = turn.answer_to(message, status);
        let response = if strong { response.header(name, sha256) } else { response };
        turn.respond(key, response.header(name, md5));
    }

    pub(super) fn forbid(&mut self, step: &mut Step<'_>, key: &ServerKey, message: &Message) {
        self.turn(step).answer(key, message, Status::FORBIDDEN);
    }
}
