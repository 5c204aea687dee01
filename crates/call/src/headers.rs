//! The two headers this crate reads and writes itself: Reason (RFC 3326) and Session-ID (RFC 7989).

use model::Cause;
use sip::{Message, Name, Status};

/// The status of a cause.
pub(crate) fn status_of(cause: Cause) -> Status {
    Status::try_from(cause.status()).unwrap_or(Status::SERVER_INTERNAL_ERROR)
}

/// `Q.850;cause=17;text="User busy"`.
pub(crate) fn reason_of(cause: Cause) -> String {
    format!("Q.850;cause={};text=\"{}\"", cause.q850(), cause.text())
}

/// The Q.850 number of a message's Reason header.
pub(crate) fn q850_of(message: &Message) -> Option<u8> {
    message.header(Name::Reason)?.split(',').find_map(|reason| {
        let mut parts = reason.split(';').map(str::trim);
        parts.next().filter(|protocol| protocol.eq_ignore_ascii_case("Q.850"))?;
        parts.find_map(|part| part.strip_prefix("cause="))?.trim().parse().ok()
    })
}

/// The cause a failure response means.
pub(crate) fn cause_of(response: &Message) -> Cause {
    let status = response.status().map_or(500, sip::Status::code);
    Cause::of_response(status, q850_of(response))
}

/// The session a member names in its INVITE: 32 lower-case hexadecimal digits.
pub(crate) fn session_of(message: &Message) -> Option<String> {
    let id = message.header(Name::SessionId)?.split(';').next()?.trim();
    let well_formed = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    well_formed.then(|| id.to_ascii_lowercase())
}

/// The value of our own Session-ID header. One identifier serves both ends of the call: the originating
/// edge makes it, and it is told to either side as its own (RFC 7989 § 6, "remote" nil).
pub(crate) fn session_id(session: &str) -> String {
    format!("{session};remote=00000000000000000000000000000000")
}

/// The Priority of a call to an emergency number (RFC 3261 § 20.26): between members it says that nothing may hold
/// this call up.
pub(crate) const EMERGENCY: &str = "emergency";
