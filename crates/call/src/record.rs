//! What is told of a call: the live view while it lasts, the record when it has ended.
//!
//! The originating edge writes *the* call record, the terminating edge a leg record; both carry the same
//! session (RFC 7989). A call between two phones of one edge has one record, the originating one.

use crate::session::CallMedia;
use model::routing::Step;
use model::{Cause, MemberNumber};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The name of a call at its edge. It is not the session, which two edges share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Which part this edge has in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The caller's phone is ours: our record is the call's record.
    Originating,
    /// Only the called phone is ours: our record is a leg of the call.
    Terminating,
}

/// One of the two ends of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its number.
    pub number: String,
    /// Its name, where known.
    pub name: String,
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The caller.
    Caller,
    /// The called party.
    Called,
    /// This system: a refusal, a timer, a lost phone, an operator.
    System,
}

/// A call (or one edge's leg of it) that has ended. There is exactly one for each at an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The Session-ID of the call, 32 hexadecimal digits, the same at all its edges (RFC 7989).
    pub session: String,
    /// The edge that wrote this.
    pub member: MemberNumber,
    /// Its part in the call.
    pub role: Role,
    /// Who called.
    pub caller: Party,
    /// The digits that were dialled.
    pub dialled: String,
    /// Who was called in the end: differs from `dialled` for a special number.
    pub called: Party,
    /// It was a call to an emergency number.
    pub emergency: bool,
    /// When the INVITE came.
    pub created: Duration,
    /// When a phone began to ring.
    pub ringing: Option<Duration>,
    /// When it was answered.
    pub answered: Option<Duration>,
    /// When it ended.
    pub ended: Duration,
    /// Why it ended.
    pub cause: Cause,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// The Call-IDs of all its legs at this edge, the caller's first: traces are joined by them.
    pub call_ids: Vec<String>,
    /// The route decision.
    pub steps: Vec<Step>,
    /// The transfers it saw, the first first. Its caller stays who began it.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    /// Its media at this edge.
    #[serde(default)]
    pub media: CallMedia,
}

/// One party of a call gave it to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Who did it.
    pub by: Party,
    /// To whom.
    pub to: Party,
    /// In which way.
    pub how: TransferKind,
    /// When the two were joined.
    pub at: Duration,
}

/// How a call went from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferKind {
    /// Without a word before (RFC 5589 § 6).
    Blind,
    /// After they had spoken (RFC 5589 § 7).
    Attended,
    /// Taken by the one who has it now (RFC 3891): `by` is whose phone it was taken from.
    PickUp,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// On its way to a phone.
    Routing,
    /// A phone rings.
    Ringing,
    /// Answered.
    Talking,
    /// Over; its record follows in the same step, or when its relay has said what was carried.
    Ended,
}

/// A call in progress, as it is shown to who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallView {
    /// Its name at this edge, for ending it.
    pub call: CallId,
    /// The Session-ID shared with the other edge.
    pub session: String,
    /// This edge's part in it.
    pub role: Role,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub called: Party,
    /// How far it has come.
    pub progress: Progress,
    /// When the INVITE came.
    pub created: Duration,
    /// When it was answered.
    pub answered: Option<Duration>,
    /// The Call-IDs of its legs at this edge, the caller's first.
    pub call_ids: Vec<String>,
    /// The transfers it has seen, the first first.
    #[serde(default)]
    pub transfers: Vec<Transfer>,
    /// Its media at this edge.
    #[serde(default)]
    pub media: CallMedia,
}
