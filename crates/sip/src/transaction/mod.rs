//! Transactions: RFC 3261 §17 with the Accepted states of RFC 6026, as values.
//!
//! Four machines, one file each, one function a state; hold the RFC's figure beside it:
//!
//! | machine | figure | states |
//! | --- | --- | --- |
//! | [`client_invite`] | RFC 6026 figure 5 | Calling, Proceeding, Completed, Accepted |
//! | [`client_other`] | RFC 3261 figure 6 | Trying, Proceeding, Completed |
//! | [`server_invite`] | RFC 6026 figure 4 | Proceeding, Completed, Confirmed, Accepted |
//! | [`server_other`] | RFC 3261 figure 8 | Trying, Proceeding, Completed |
//!
//! The [`Layer`] holds them all and is what others use. It also does what every user of transactions would have to
//! do: 100 after 200 ms, CANCEL in both directions, ACK to a refusal, 482 to a merged request, the 2xx again until
//! its ACK comes (RFC 3261 §13.3.1.4) and the ACK again when the 2xx comes again (§13.2.2.4).
//!
//! It decides nothing about calls and keeps no dialogs. Everything is serde data: a layer can be frozen and thawed.

mod alarms;
mod client_invite;
mod client_other;
mod frozen;
mod key;
mod layer;
mod server_invite;
mod server_other;
mod table;

pub use key::{ClientKey, ServerKey};
pub use layer::Layer;

use crate::{Message, Method, Name, Request};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a message that may have to be sent again.
type Wire = Arc<[u8]>;

/// The timers of RFC 3261 §17.1.1.1 and how much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest retransmission interval of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// Transactions held; beyond it requests get 503 with Retry-After, and ours fail as [`Failure::Full`]. The last
    /// tenth is kept for INVITE, so that a call can be made when everything else is used up. Beyond half of it, answered
    /// requests but INVITE are forgotten before Timer J.
    pub transactions_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            transactions_max: 100_000,
        }
    }
}

impl Limits {
    /// What requests of this method may use of the whole.
    fn room_for(&self, method: &Method) -> usize {
        match method {
            Method::Invite => self.transactions_max,
            _ => self.transactions_max - self.transactions_max / 10,
        }
    }

    /// Timers B, F, H, J, L, M.
    fn patience(&self) -> Duration {
        self.t1 * 64
    }
}

/// A 100 is sent when nothing else was within this time (RFC 3261 §17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// Timer D (RFC 3261 §17.1.1.2).
const TIMER_D: Duration = Duration::from_secs(32);

/// Dialogs that one forked INVITE of ours may open; the answer of a further fork is dropped.
const FORKS_MAX: usize = 8;

/// What the layer is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<H> {
    /// A message came; a request from a socket already stamped ([`Message::stamped`]).
    Received {
        /// Where it came from, and where answers go.
        from: H,
        /// The message.
        message: Message,
    },
    /// Send a request of ours; its name is [`ClientKey::of`] it. Not for ACK.
    Request {
        /// The next hop.
        to: H,
        /// The request.
        request: Message,
    },
    /// Give up an INVITE of ours on a hop that keeps the order of what it does not lose: it is not sent again, and
    /// the CANCEL goes out at once, since it cannot overtake the INVITE (RFC 3261 §9.1 has it wait for that reason).
    /// So an INVITE that was lost stays lost, and one that arrived is cancelled though its answers were lost.
    Abandon {
        /// The INVITE.
        key: ClientKey,
    },
    /// Give up an INVITE of ours. The CANCEL waits for a provisional response (RFC 3261 §9.1).
    Cancel {
        /// The INVITE.
        key: ClientKey,
    },
    /// Answer a request.
    Respond {
        /// The request.
        key: ServerKey,
        /// The answer.
        response: Message,
    },
    /// Answer a request once and forget it, as a stateless server does (RFC 3261 §8.2.7, §26.3.2.4): a refusal is not
    /// sent again by a timer, so a request with a forged source has one packet of ours sent there, and leaves
    /// nothing behind. When the request comes again it is a new one. For what may be done twice (OPTIONS) it is the
    /// cheap way too; not for REGISTER, whose copy must not be answered before the first is on disk.
    Dismiss {
        /// The request.
        key: ServerKey,
        /// The answer; final, and no 2xx to an INVITE.
        response: Message,
    },
    /// The ACK for a 2xx: sent now, and again whenever that 2xx comes again.
    Acknowledge {
        /// The INVITE.
        key: ClientKey,
        /// The next hop of the dialog.
        to: H,
        /// The ACK.
        ack: Message,
    },
    /// A hop is known to be dead: what waits on it fails at once.
    Unreachable {
        /// The hop.
        hop: H,
    },
    /// Time has passed.
    Tick,
}

/// Why a request of ours has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Too many transactions are open; nothing was sent.
    Full,
    /// No final response in time: treat as 408 (RFC 3261 §8.1.3.1).
    TimedOut,
    /// The hop died: treat as 503 (RFC 3261 §8.1.3.1).
    Unreachable,
}

/// What the layer says.
#[derive(Debug, Clone, PartialEq)]
pub enum Output<H> {
    /// An ACK for a 2xx: the first for a transaction, or one that belongs to none (then `key` is `None`).
    Ack {
        /// The INVITE it confirms, if that is still known.
        key: Option<ServerKey>,
        /// Where it came from.
        from: H,
        /// The ACK, which may carry the answer to a late offer.
        message: Message,
    },
    /// The caller gave up an INVITE that is unanswered: answer it with 487. The CANCEL itself has its 200.
    Cancelled {
        /// The INVITE.
        key: ServerKey,
        /// The CANCEL, which may carry a Reason.
        cancel: Message,
    },
    /// A request of ours came to nothing.
    Failed {
        /// The request.
        key: ClientKey,
        /// Why.
        why: Failure,
    },
    /// A new request, to be answered by [`Input::Respond`].
    Request {
        /// Its name.
        key: ServerKey,
        /// Where it came from.
        from: H,
        /// The request; never ACK or CANCEL.
        message: Message,
    },
    /// A response to a request of ours.
    Response {
        /// The request.
        key: ClientKey,
        /// Where it came from.
        from: H,
        /// The response.
        message: Message,
    },
    /// Bytes for the wire.
    Send {
        /// Where to.
        to: H,
        /// What.
        bytes: Vec<u8>,
    },
    /// A response that belongs to no request of ours. A 2xx to INVITE may have to be acknowledged and ended.
    Stray {
        /// Where it came from.
        from: H,
        /// The response.
        message: Message,
    },
    /// Our 2xx to an INVITE was never acknowledged: end the dialog with BYE (RFC 3261 §13.3.1.4).
    Unacknowledged {
        /// The INVITE.
        key: ServerKey,
    },
}

/// What a machine asks of the layer.
#[derive(Debug, Clone, PartialEq)]
enum Effect<H> {
    /// To the transaction's hop.
    Send(Wire),
    /// To another hop (the ACK of a 2xx).
    SendTo(H, Wire),
    /// A response for the user.
    Deliver(Message),
    /// This CANCEL goes out as a transaction of its own.
    Cancel(Message),
    /// The request came to nothing.
    Fail(Failure),
    /// A 2xx without ACK.
    Unacknowledged,
}

/// What happens to a client machine.
#[derive(Debug, Clone, Copy)]
enum ClientEvent<'m, H> {
    Response(&'m Message),
    Abandon,
    Cancel,
    Acknowledge { to: &'m H, ack: &'m Message },
    Unreachable,
    Tick,
}

/// What happens to a server machine.
#[derive(Debug, Clone, Copy)]
enum ServerEvent<'m> {
    /// The request again.
    Again,
    Respond(&'m Message),
    Ack,
    Tick,
}

/// A retransmission schedule: the next time, and the interval after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Resend {
    at: Duration,
    interval: Duration,
}

impl Resend {
    fn starting(now: Duration, interval: Duration) -> Resend {
        Resend { at: now + interval, interval }
    }

    fn is_due(self, now: Duration) -> bool {
        self.at <= now
    }

    /// Doubled, up to `longest`.
    fn next(self, now: Duration, longest: Duration) -> Resend {
        Resend::starting(now, (self.interval * 2).min(longest))
    }
}

/// CANCEL (RFC 3261 §9.1) or the ACK of a refusal (§17.1.1.3) of an INVITE: same Request-URI, Call-ID, From,
/// top Via, Route and CSeq number.
fn companion(invite: &Message, method: Method, to: &str) -> Option<Message> {
    let mut request = Request::new(method, invite.request_uri()?)
        .header(Name::Via, invite.list(Name::Via).next()?)
        .header(Name::From, invite.header(Name::From)?)
        .header(Name::To, to)
        .call_id(invite.call_id())
        .cseq(invite.cseq().number);
    for route in invite.headers(Name::Route) {
        request = request.header(Name::Route, route);
    }
    request.message().ok()
}
