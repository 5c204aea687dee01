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

/// The value of a parameter in a header value, without its quotes.
pub(crate) fn param(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (known, value) = part.split_once('=')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The half of a Session-ID that its sender calls its own (RFC 7989 § 5); the nil one is none.
pub(crate) fn half_of(message: &Message) -> Option<String> {
    let id = message.header(Name::SessionId)?.split(';').next()?.trim();
    half(id)
}

/// The name of the call in an INVITE of a member: the caller's half, or the one that stands beside it.
pub(crate) fn session_of(message: &Message) -> Option<String> {
    let beside = param(message.header(Name::SessionId)?, "call");
    beside.and_then(|id| half(&id)).or_else(|| half_of(message))
}

/// 32 hexadecimal digits, not all of them zero.
fn half(id: &str) -> Option<String> {
    let well_formed = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (well_formed && id.bytes().any(|b| b != b'0')).then(|| id.to_ascii_lowercase())
}

/// The Priority of a call to an emergency number (RFC 3261 § 20.26): between members it says that nothing may hold
/// this call up.
pub(crate) const EMERGENCY: &str = "emergency";
