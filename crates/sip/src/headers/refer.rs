//! What a REFER says besides its Refer-To address, and what its NOTIFYs carry (RFC 3515 §2.4.5, RFC 4488).

use crate::{Message, Name, Status, scan};

/// The event package that a REFER subscribes to.
pub const PACKAGE: &str = "refer";

/// Content type of the fragment in its NOTIFYs.
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// The body of a NOTIFY: how far the referred request is.
#[must_use]
pub fn sipfrag(status: Status) -> Vec<u8> {
    format!("SIP/2.0 {status} {}\r\n", status.reason()).into_bytes()
}

/// The status in such a body.
#[must_use]
pub fn read_sipfrag(body: &[u8]) -> Option<Status> {
    let line = std::str::from_utf8(body.split(|byte| matches!(byte, b'\r' | b'\n')).next()?).ok()?;
    let code = line.strip_prefix("SIP/2.0 ")?.split(' ').next()?;
    Status::try_from(scan::number::<u16>(code)?).ok()
}

/// True when the REFER wants no subscription: `Refer-Sub: false` (RFC 4488 §4).
#[must_use]
pub fn wants_no_subscription(refer: &Message) -> bool {
    let word = refer.header(Name::ReferSub).and_then(|value| value.split(';').next());
    word.is_some_and(|word| scan::trim(word).eq_ignore_ascii_case("false"))
}
