//! Whose request is it? Phones prove themselves by digest (RFC 3261 § 22, RFC 8760: SHA-256 first, MD5 for those
//! that cannot). A wrong password and an unknown user look the same.
//!
//! The owner of who a request says it is from judges, since it keeps the counts of nonces and of wrong tries; the shard
//! that holds the transaction answers.

use super::word::Saying;
use super::{Shard, ShardId, Step};
use crate::core::Core;
use crate::io::{Fault, Output};
use crate::owner::Attempt;
use model::Extension;
use model::routing::Uplink;
use model::tables::Tables;
use sip::digest::{Credentials, Known, Malformed, Secrets, Verdict};
use sip::{Flow, Message, Method, Name, Response, ServerKey, Status};
use std::time::Duration;

/// A request shorter than this is no phone's. Its challenge offers one algorithm, so that no answer before login is twice
/// as long as what it answers: who forges a source gains nothing by us.
const SHORT_REQUEST_BYTES: usize = 300;

/// How soon a phone that this node cannot judge may ask again.
const RETRY_AFTER_S: u32 = 5;

/// Where a challenge and its answer stand: for registrars, or for everything else (RFC 3261 § 22.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    Registrar,
    Call,
    /// A SUBSCRIBE, which ends here as a REGISTER does.
    Watch,
}

impl Asking {
    fn names(self) -> (Status, Name, Name) {
        match self {
            Asking::Registrar | Asking::Watch => {
                (Status::UNAUTHORIZED, Name::WwwAuthenticate, Name::Authorization)
            }
            Asking::Call => {
                (Status::PROXY_AUTHENTICATION_REQUIRED, Name::ProxyAuthenticate, Name::ProxyAuthorization)
            }
        }
    }
}

/// A request whose sender must prove itself.
#[derive(Debug)]
pub(super) struct Unproven {
    pub(super) asking: Asking,
    pub(super) key: ServerKey,
    pub(super) flow: Flow,
    pub(super) message: Message,
}

/// The same with what it says it proves itself by.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The shard that holds its transaction.
    pub(crate) home: ShardId,
    pub(crate) asking: Asking,
    pub(crate) key: ServerKey,
    pub(crate) flow: Flow,
    pub(crate) message: Message,
    pub(crate) credentials: Credentials,
}

/// What an owner found.
#[derive(Debug, PartialEq)]
pub(crate) enum Judgement {
    /// It is this subscriber.
    Proven {
        user: Extension,
        /// For an INVITE: false when it has begun as many calls as it may.
        room: bool,
    },
    /// It proves nothing, or by a nonce that is old.
    Challenge { stale: bool },
    /// It cannot be judged now.
    Later,
    /// It is not who it says it is.
    Forbidden,
}

impl Shard {
    /// Has the request judged by the owner it names; what comes of it goes to `judged`.
    pub(super) fn prove(&mut self, step: &mut Step<'_>, asked: Unproven) {
        let (_, _, header) = asked.asking.names();
        let credentials = match self.core.challenger.read(&asked.message, header) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return self.challenge(step, &asked, false),
            Err(Malformed) => {
                return self.turn(step).dismiss_with(&asked.key, &asked.message, Status::BAD_REQUEST);
            }
        };
        let Unproven { asking, key, flow, message } = asked;
        // A subscriber registers its own number and no other, whatever it can prove (RFC 3261 § 10.3 step 4).
        if asking == Asking::Registrar && message.to().uri.user() != credentials.user() {
            return self.turn(step).dismiss_with(&key, &message, Status::FORBIDDEN);
        }
        let owner = self.core.sorter.owner_of(credentials.user());
        let proof = Proof { home: self.core.id, asking, key, flow, message, credentials };
        if owner == self.core.id {
            let judgement = self.judge(step, &proof);
            self.judged(step, proof, judgement);
        } else {
            self.core.away(&proof.key);
            step.say(owner, Saying::Prove(Box::new(proof)));
        }
    }

    /// The owner's part. The brake is asked first: whoever is braked learns nothing from a right guess either.
    pub(super) fn judge(&mut self, step: &mut Step<'_>, proof: &Proof) -> Judgement {
        let user: Option<Extension> = proof.credentials.user().parse().ok();
        let attempt = self.attempt(proof, user.as_ref());
        let brake = &mut self.core.brake;
        if brake.holds(step.now, attempt) {
            let heard =
                calls_for_help(&self.core.tables, &proof.message) && brake.hears_emergency(step.now, attempt);
            if !heard {
                return Judgement::Forbidden;
            }
        }
        match self.core.verdict(step.now, proof, user.as_ref()) {
            Verdict::Accepted => {
                self.core.brake.right(attempt);
                user.map_or(Judgement::Forbidden, |user| self.proven(user, &proof.message))
            }
            Verdict::Stale => Judgement::Challenge { stale: true },
            Verdict::Wrong if self.cannot_know(user.as_ref()) => Judgement::Later,
            Verdict::Wrong => {
                if let Some(count) = self.core.brake.wrong(step.now, attempt) {
                    let (user, source_ip) = (attempt.user.to_owned(), attempt.source_ip);
                    step.out.push(Output::Fault(Fault::Braked { user, source_ip, count }));
                }
                Judgement::Forbidden
            }
        }
    }

    fn attempt<'a>(&self, proof: &'a Proof, user: Option<&Extension>) -> Attempt<'a> {
        let source_ip = proof.flow.remote.ip();
        let mut bindings = user.into_iter().flat_map(|user| self.core.held.owners.registrar.of(user));
        let is_at_home = bindings.any(|binding| binding.flow.remote.ip() == source_ip);
        Attempt { source_ip, user: proof.credentials.user(), is_at_home }
    }

    fn proven(&mut self, user: Extension, message: &Message) -> Judgement {
        let room = *message.method() != Method::Invite || self.core.held.owners.begins(&user);
        Judgement::Proven { user, room }
    }

    /// Cut and unknown is "not now", never "no" (DESIGN § 8): the subscriber may exist beyond the cut, and a new node
    /// has nobody's data before it first synchronised.
    fn cannot_know(&self, user: Option<&Extension>) -> bool {
        let known = user.is_some_and(|user| self.core.tables.subscriber(user).is_some());
        self.core.uplink() == Uplink::Lost && !known
    }

    /// The part of the shard that holds the transaction.
    pub(super) fn judged(&mut self, step: &mut Step<'_>, proof: Proof, judgement: Judgement) {
        let Proof { asking, key, flow, message, .. } = proof;
        if !matches!(judgement, Judgement::Proven { .. }) {
            self.core.is_back(&key);
        }
        match judgement {
            Judgement::Proven { user, room } => match asking {
                Asking::Registrar => self.register(step, &key, &flow, &user, &message),
                Asking::Call => self.begin_of_phone(step, key, flow, (user, room), message),
                Asking::Watch => self.subscribe(step, key, flow, user, message),
            },
            Judgement::Challenge { stale } => {
                self.challenge(step, &Unproven { asking, key, flow, message }, stale);
            }
            Judgement::Later => {
                let mut turn = self.turn(step);
                let later: Response = turn.answer_to(&message, Status::SERVICE_UNAVAILABLE);
                turn.dismiss(&key, later.header(Name::RetryAfter, RETRY_AFTER_S));
            }
            Judgement::Forbidden => self.turn(step).dismiss_with(&key, &message, Status::FORBIDDEN),
        }
    }

    /// SHA-256 first (RFC 8760), for phones that can be trusted to read on when they do not know it. What is offered
    /// depends on the phone's product, never on the user.
    fn challenge(&mut self, step: &mut Step<'_>, asked: &Unproven, stale: bool) {
        let Unproven { asking, key, flow, message } = asked;
        let (status, name, _) = asking.names();
        let strong = self.core.config.reads_sha256(message.header(Name::UserAgent))
            && message.to_wire().len() >= SHORT_REQUEST_BYTES;
        let [sha256, md5] = self.core.challenger.challenges(step.now, flow.remote.ip(), stale);
        let mut turn = self.turn(step);
        let response: Response = turn.answer_to(message, status);
        let response = if strong { response.header(name, sha256) } else { response };
        turn.dismiss(key, response.header(name, md5));
    }

    pub(super) fn forbid(&mut self, step: &mut Step<'_>, key: &ServerKey, message: &Message) {
        self.turn(step).answer(key, message, Status::FORBIDDEN);
    }
}

impl Core {
    /// What the credentials prove, and that they were used.
    fn verdict(&mut self, now: Duration, proof: &Proof, user: Option<&Extension>) -> Verdict {
        let Core { tables, challenger, held, .. } = self;
        let stored = user.and_then(|user| Some((user, tables.subscriber(user)?.credentials.as_ref()?)));
        let mut stored = stored.map(|(user, stored)| {
            let secrets = Secrets { sha256: stored.ha1_sha256.clone(), md5: stored.ha1_md5.clone() };
            (secrets, held.owners.used.entry(user.clone()).or_default())
        });
        let known = stored.as_mut().map(|(secrets, used)| Known { secrets, used });
        challenger.judge(now, proof.flow.remote.ip(), &proof.message, &proof.credentials, known)
    }
}

/// True for a call to an emergency number.
fn calls_for_help(tables: &Tables, message: &Message) -> bool {
    let dialled = message.request_uri().and_then(|uri| uri.user().parse::<Extension>().ok());
    let special = dialled.as_ref().and_then(|dialled| tables.special(dialled));
    *message.method() == Method::Invite && special.is_some_and(|special| special.emergency)
}
