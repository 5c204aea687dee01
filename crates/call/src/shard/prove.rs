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
use sip::digest::{Credentials, Known, Malformed, SecretsRef, Verdict};
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

/// The same on its way to the owner it names.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The shard that holds its transaction.
    pub(crate) home: ShardId,
    pub(crate) asking: Asking,
    pub(crate) key: ServerKey,
    pub(crate) flow: Flow,
    pub(crate) message: Message,
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
        // A subscriber registers its own number and no other, whatever it can prove (RFC 3261 § 10.3 step 4).
        if asked.asking == Asking::Registrar && asked.message.to_ref().uri.user() != credentials.user() {
            return self.turn(step).dismiss_with(&asked.key, &asked.message, Status::FORBIDDEN);
        }
        let owner = self.core.sorter.owner_of(credentials.user());
        if owner == self.core.id {
            let judgement = self.judge(step, &asked.flow, &asked.message, &credentials);
            return self.judged(step, asked, judgement);
        }
        let Unproven { asking, key, flow, message } = asked;
        self.core.away(&key);
        let proof = Proof { home: self.core.id, asking, key, flow, message };
        step.say(owner, Saying::Prove(Box::new(proof)));
    }

    /// The same for a request whose transaction is in another shard.
    pub(super) fn judge_for(&mut self, step: &mut Step<'_>, proof: &Proof) -> Judgement {
        let (_, _, header) = proof.asking.names();
        match self.core.challenger.read(&proof.message, header) {
            Ok(Some(credentials)) => self.judge(step, &proof.flow, &proof.message, &credentials),
            // It was read before it was sent here.
            Ok(None) | Err(Malformed) => Judgement::Challenge { stale: false },
        }
    }

    /// The owner's part. The brake is asked first: whoever is braked learns nothing from a right guess either.
    fn judge(
        &mut self,
        step: &mut Step<'_>,
        flow: &Flow,
        message: &Message,
        credentials: &Credentials<'_>,
    ) -> Judgement {
        let user: Option<Extension> = credentials.user().parse().ok();
        let attempt = self.attempt(flow, credentials.user(), user.as_ref());
        let brake = &mut self.core.brake;
        if brake.holds(step.now, attempt) {
            let heard =
                calls_for_help(&self.core.tables, message) && brake.hears_emergency(step.now, attempt);
            if !heard {
                return Judgement::Forbidden;
            }
        }
        match self.core.verdict(step.now, (flow, message), credentials, user.as_ref()) {
            Verdict::Accepted => {
                self.core.brake.right(attempt);
                user.map_or(Judgement::Forbidden, |user| self.proven(user, message))
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

    fn attempt<'a>(&self, flow: &Flow, user: &'a str, known: Option<&Extension>) -> Attempt<'a> {
        let source_ip = flow.remote.ip();
        let is_at_home = known.is_some_and(|user| self.core.held.owners.is_at_home(user, source_ip));
        Attempt { source_ip, user, is_at_home }
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
    pub(super) fn judged(&mut self, step: &mut Step<'_>, asked: Unproven, judgement: Judgement) {
        let Unproven { asking, key, flow, message } = asked;
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
            && message.length() >= SHORT_REQUEST_BYTES;
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
    fn verdict(
        &mut self,
        now: Duration,
        (flow, message): (&Flow, &Message),
        credentials: &Credentials<'_>,
        user: Option<&Extension>,
    ) -> Verdict {
        let Core { tables, challenger, held, .. } = self;
        let source = flow.remote.ip();
        let stored = user.and_then(|user| Some((user, tables.subscriber(user)?.credentials.as_ref()?)));
        let Some((user, stored)) = stored else {
            return challenger.judge(now, source, message, credentials, None);
        };
        let secrets = SecretsRef { sha256: &stored.ha1_sha256, md5: &stored.ha1_md5 };
        held.owners.uses(now, user, |used| {
            let known = Some(Known { secrets, used });
            let verdict = challenger.judge(now, source, message, credentials, known);
            (verdict, verdict == Verdict::Accepted)
        })
    }
}

/// True for a call to an emergency number.
fn calls_for_help(tables: &Tables, message: &Message) -> bool {
    let dialled = message.request_uri().and_then(|uri| uri.user().parse::<Extension>().ok());
    let special = dialled.as_ref().and_then(|dialled| tables.special(dialled));
    *message.method() == Method::Invite && special.is_some_and(|special| special.emergency)
}
