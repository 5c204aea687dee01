//! Whose request is it? Phones prove themselves by digest (RFC 3261 § 22, RFC 8760: SHA-256 first, MD5 for those
//! that cannot). A wrong password and an unknown user look the same.
//!
//! The owner of who a request says it is from judges, since it keeps the counts of nonces and of wrong tries; the shard
//! that holds the transaction answers.

use super::word::Saying;
use super::{Shard, ShardId, Step};
use crate::io::{Fault, Output};
use model::Extension;
use model::routing::Uplink;
use sip::digest::{Secrets, Verdict};
use sip::{Flow, Message, Method, Name, Response, ServerKey, Status};

/// How soon a phone that this node cannot judge may ask again.
const RETRY_AFTER_S: u32 = 5;

/// Where a challenge and its answer stand: for registrars, or for everything else (RFC 3261 § 22.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
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
    /// Its credentials cannot be read.
    Malformed,
}

impl Shard {
    /// Has the request judged by the owner it names; what comes of it goes to `judged`.
    pub(super) fn prove(&mut self, step: &mut Step<'_>, proof: Proof) {
        let (_, _, header) = proof.asking.names();
        // A registration is judged where it is, with its owner. Nobody registers another's number, whatever it can prove.
        let claimed = match proof.asking {
            _ if self.core.sorter.shards() == 1 => None,
            Asking::Registrar => None,
            Asking::Call => self.core.challenger.claimed(&proof.message, header),
        };
        let owner = claimed.map_or(self.core.id, |user| self.core.sorter.owner_of(&user));
        if owner == self.core.id {
            let judgement = self.judge(step, &proof);
            self.judged(step, proof, judgement);
        } else {
            self.core.away(&proof.key);
            step.say(owner, Saying::Prove(Box::new(proof)));
        }
    }

    /// The owner's part.
    pub(super) fn judge(&mut self, step: &mut Step<'_>, proof: &Proof) -> Judgement {
        let source_ip = proof.flow.remote.ip();
        let (_, _, answer) = proof.asking.names();
        let tables = &self.core.tables;
        // A subscriber registers its own number and no other (RFC 3261 § 10.3 step 4), so its owner is here.
        let registers = (proof.asking == Asking::Registrar).then(|| proof.message.to().uri.user());
        let secrets = |user: &str| {
            registers.as_ref().is_none_or(|number| number == user).then_some(())?;
            let extension: Extension = user.parse().ok()?;
            let credentials = tables.subscriber(&extension)?.credentials.as_ref()?;
            Some(Secrets { sha256: credentials.ha1_sha256.clone(), md5: credentials.ha1_md5.clone() })
        };
        match self.core.challenger.verify(step.now, source_ip, &proof.message, answer, secrets) {
            Verdict::Accepted { user } => {
                // A guesser learns nothing from the right guess while the brake holds.
                if self.core.brake.holds(step.now, source_ip, &user) {
                    return Judgement::Forbidden;
                }
                self.core.brake.right(source_ip, &user);
                user.parse().map_or(Judgement::Forbidden, |user| self.proven(user, &proof.message))
            }
            Verdict::Missing => Judgement::Challenge { stale: false },
            Verdict::Stale => Judgement::Challenge { stale: true },
            Verdict::Wrong { user } if self.cannot_know(&user) => Judgement::Later,
            Verdict::Wrong { user } => {
                if let Some(count) = self.core.brake.wrong(step.now, source_ip, &user) {
                    step.out.push(Output::Fault(Fault::Braked { user, source_ip, count }));
                }
                Judgement::Forbidden
            }
            Verdict::Malformed => Judgement::Malformed,
        }
    }

    fn proven(&mut self, user: Extension, message: &Message) -> Judgement {
        let room = *message.method() != Method::Invite || self.core.held.owners.begins(&user);
        Judgement::Proven { user, room }
    }

    /// Cut and unknown is "not now", never "no" (DESIGN § 8): the subscriber may exist beyond the cut, and a new node
    /// has nobody's data before it first synchronised.
    fn cannot_know(&self, user: &str) -> bool {
        let known = user.parse().is_ok_and(|extension| self.core.tables.subscriber(&extension).is_some());
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
            },
            Judgement::Challenge { stale } => self.challenge(step, (asking, stale), &key, &flow, &message),
            Judgement::Later => {
                let later: Response = self.turn(step).answer_to(&message, Status::SERVICE_UNAVAILABLE);
                self.turn(step).respond(&key, later.header(Name::RetryAfter, RETRY_AFTER_S));
            }
            Judgement::Forbidden => self.forbid(step, &key, &message),
            Judgement::Malformed => self.turn(step).answer(&key, &message, Status::BAD_REQUEST),
        }
    }

    /// SHA-256 first (RFC 8760), for phones that can be trusted to read on when they do not know it. What is offered
    /// depends on the phone's product, never on the user.
    fn challenge(
        &mut self,
        step: &mut Step<'_>,
        (asking, stale): (Asking, bool),
        key: &ServerKey,
        flow: &Flow,
        message: &Message,
    ) {
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
