//! BYEs that could not cross the cluster: the phone here has hung up and was answered, the far edge is owed the
//! news. They are kept through freezes, sent when the cluster side is up, and given up only by age or limit;
//! the far edge's own liveness is the net under that.

use crate::core::{Purpose, Turn};
use crate::headers;
use crate::hop::Hop;
use crate::session::{Facts, Leg};
use crate::settings::{OWED_AGE_MAX, OWED_FRESH, OWED_MAX, OWED_RETRY, OWED_RETRY_OLD};
use model::Cause;
use serde::{Deserialize, Serialize};
use sip::transaction::Failure;
use sip::{Edit, Message, Method, Name};
use std::time::Duration;

/// A BYE that the far edge has not answered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Owed {
    request: Message,
    since: Duration,
    retry_at: Duration,
}

/// Ends a leg that is nobody's any more.
pub(crate) fn bye(turn: &mut Turn<'_>, facts: &Facts, leg: &mut Leg, cause: Cause) {
    let via = turn.via(&leg.hop);
    let request = leg
        .dialog
        .request(Method::Bye, &via)
        .header(Name::Reason, headers::reason_of(cause))
        .header(Name::SessionId, facts.session_id(leg.side));
    if !leg.hop.is_cluster() {
        turn.request(&leg.hop, request, Purpose::Bye(None));
        return;
    }
    match request.message() {
        Ok(request) => {
            let owed = Owed { request, since: turn.now, retry_at: turn.now };
            if turn.core.carries(&Hop::Cluster) { send(turn, owed) } else { keep(turn, owed) }
        }
        Err(fault) => turn.fault(crate::io::Fault::Unbuildable(fault.to_string())),
    }
}

/// What became of a BYE. Across the cluster only the far edge's own word settles it: an answer that there is
/// no way to it, or none at all, means to try again.
pub(crate) fn answered(turn: &mut Turn<'_>, owed: Option<Owed>, outcome: Result<Message, Failure>) {
    let Some(mut owed) = owed else { return };
    let settled = outcome.is_ok_and(|response| {
        let status = response.status().map_or(0, sip::Status::code);
        !matches!(status, 408 | 500..=599)
    });
    if !settled {
        let fresh = turn.now < owed.since + OWED_FRESH;
        owed.retry_at = turn.now + if fresh { OWED_RETRY } else { OWED_RETRY_OLD };
        keep(turn, owed);
    }
}

/// Sends what is owed and due; all of it when the cluster side has just come up.
pub(crate) fn pay(turn: &mut Turn<'_>, all: bool) {
    let now = turn.now;
    turn.core.held.owed.retain(|owed| now < owed.since + OWED_AGE_MAX);
    if !turn.core.carries(&Hop::Cluster) {
        return;
    }
    let (due, later) =
        std::mem::take(&mut turn.core.held.owed).into_iter().partition(|owed| all || owed.retry_at <= now);
    turn.core.held.owed = later;
    let due: Vec<Owed> = due;
    for owed in due {
        send(turn, owed);
    }
}

/// When the next attempt is due.
pub(crate) fn next_retry(owed: &[Owed]) -> Option<Duration> {
    owed.iter().map(|owed| owed.retry_at).min()
}

/// The same request with the same CSeq in a new transaction: if the far edge has taken it before, it says 481.
fn send(turn: &mut Turn<'_>, owed: Owed) {
    let via = turn.via(&Hop::Cluster);
    match Edit::of(&owed.request).pop_via().push_via(&via).message() {
        Ok(request) => drop(turn.send(&Hop::Cluster, request, Purpose::Bye(Some(owed)))),
        Err(fault) => turn.fault(crate::io::Fault::Unbuildable(fault.to_string())),
    }
}

fn keep(turn: &mut Turn<'_>, owed: Owed) {
    if turn.core.held.owed.len() >= turn.core.share(OWED_MAX) {
        turn.core.held.owed.remove(0);
        turn.fault(crate::io::Fault::Limit("OWED_MAX"));
    }
    turn.core.held.owed.push(owed);
}
