//! Reliable provisional responses towards the caller (RFC 3262).
//!
//! We never ask for them. A phone's reliable 18x goes on reliably to a caller who knows them, and the caller's PRACK
//! goes back to the phone, so that an offer in one and an answer in the other pass end to end; each leg numbers its
//! own (RSeq, RAck). A caller who requires them gets ours, even where the phone sent a plain one.

use super::leg::supports;
use crate::core::{SDP, Turn};
use serde::{Deserialize, Serialize};
use sip::{ClientKey, Message, Method, Name, Response, ServerKey};
use std::collections::VecDeque;
use std::time::Duration;

/// Responses that wait for the PRACK of the one before. A further one is dropped: the final response says it all.
const WAITING_MAX: usize = 4;
/// T1 and 64*T1 (RFC 3262 § 3).
const T1: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(32);

/// What the caller thinks of reliable provisional responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wish {
    /// It does not know them.
    Unknown,
    /// It supports them.
    Supported,
    /// It requires them.
    Required,
}

/// The caller's side of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reliable {
    pub(super) wish: Wish,
    next: u32,
    sent: Option<Unconfirmed>,
    waiting: VecDeque<Unconfirmed>,
}

/// A reliable response without its PRACK.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Unconfirmed {
    rseq: u32,
    cseq: u32,
    response: Message,
    /// What it stands for on the other leg.
    pub(super) far: Option<Far>,
    resend_at: Duration,
    interval: Duration,
    until: Duration,
}

/// A reliable response that came to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Far {
    pub(super) branch: ClientKey,
    pub(super) rseq: u32,
    /// The CSeq of our INVITE.
    pub(super) cseq: u32,
}

impl Far {
    /// From a response with `Require: 100rel` and an RSeq.
    pub(super) fn of(branch: &ClientKey, response: &Message) -> Option<Far> {
        let rseq = response.number(Name::RSeq).ok()??;
        let reliable = response.has_option(Name::Require, "100rel");
        reliable.then(|| Far { branch: branch.clone(), rseq, cseq: response.cseq().number })
    }

    /// The RAck of its PRACK (RFC 3262 § 7.2).
    pub(super) fn rack(&self) -> String {
        format!("{} {} INVITE", self.rseq, self.cseq)
    }
}

impl Reliable {
    pub(super) fn of(turn: &mut Turn<'_>, invite: &Message) -> Reliable {
        let wish = match (invite.has_option(Name::Require, "100rel"), supports(invite, "100rel")) {
            (true, _) => Wish::Required,
            (false, true) => Wish::Supported,
            (false, false) => Wish::Unknown,
        };
        // RFC 3262 § 3: the first is chosen from 1 to 2^31 - 1.
        let next = 1 + turn.core.tokens.below((1 << 31) - 1);
        Reliable { wish, next, sent: None, waiting: VecDeque::new() }
    }

    /// Sends a provisional response reliably: at once, or after the PRACK of the one before.
    pub(super) fn send(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ServerKey,
        response: Response,
        far: Option<Far>,
    ) {
        let response = response.header(Name::Require, "100rel").header(Name::RSeq, self.next);
        let response = match response.message() {
            Ok(response) => response,
            Err(fault) => return turn.fault(crate::io::Fault::Unbuildable(fault.to_string())),
        };
        let unconfirmed = Unconfirmed {
            rseq: self.next,
            cseq: response.cseq().number,
            response,
            far,
            resend_at: turn.now,
            interval: T1,
            until: turn.now + PATIENCE,
        };
        if self.sent.is_some() && self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.next += 1;
        self.waiting.push_back(unconfirmed);
        self.go_on(turn, key);
    }

    fn go_on(&mut self, turn: &mut Turn<'_>, key: &ServerKey) {
        if self.sent.is_none()
            && let Some(mut next) = self.waiting.pop_front()
        {
            next.until = turn.now + PATIENCE;
            next.repeat(turn, key);
            self.sent = Some(next);
        }
    }

    /// The response that this PRACK confirms; the next one goes out then.
    pub(super) fn confirm(
        &mut self,
        turn: &mut Turn<'_>,
        key: &ServerKey,
        prack: &Message,
    ) -> Option<Unconfirmed> {
        let confirmed = self.sent.take_if(|sent| sent.is_meant(prack))?;
        self.go_on(turn, key);
        Some(confirmed)
    }

    /// What is still unconfirmed when the final response goes out; it is not repeated any more.
    pub(super) fn into_unconfirmed(self) -> Option<Unconfirmed> {
        self.sent
    }

    /// When it is repeated next.
    pub(super) fn due(&self) -> Option<Duration> {
        self.sent.as_ref().map(|sent| sent.resend_at.min(sent.until))
    }

    /// Repeats what is due. False when the caller has not confirmed for 64*T1: the call is refused then.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>, key: &ServerKey) -> bool {
        match &mut self.sent {
            Some(sent) if sent.until <= turn.now => false,
            Some(sent) if sent.resend_at <= turn.now => {
                sent.repeat(turn, key);
                true
            }
            _ => true,
        }
    }
}

impl Unconfirmed {
    /// True for the PRACK of this response.
    pub(super) fn is_meant(&self, prack: &Message) -> bool {
        let Some(rack) = prack.header(Name::RAck) else { return false };
        let mut words = rack.split_ascii_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u32>().ok());
        number(words.next()) == Some(self.rseq)
            && number(words.next()) == Some(self.cseq)
            && words.next() == Some(Method::Invite.as_str())
    }

    fn repeat(&mut self, turn: &mut Turn<'_>, key: &ServerKey) {
        self.resend_at = turn.now + self.interval;
        self.interval *= 2;
        turn.transact(sip::transaction::Input::Respond { key: key.clone(), response: self.response.clone() });
    }
}

/// True for a PRACK that carries an offer or an answer.
pub(super) fn has_words(prack: &Message) -> bool {
    !prack.body().is_empty() && prack.content_type().as_deref() == Some(SDP)
}
