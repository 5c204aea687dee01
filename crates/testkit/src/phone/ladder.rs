//! What went over a phone's wire, one line a message, and several phones' lines as one diagram.

use serde::{Deserialize, Serialize};
use sip::Message;
use std::time::Duration;

/// Lines a phone keeps; later ones are counted, not kept.
pub const LADDER_LINES_MAX: usize = 10_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// When, in milliseconds on the phone's steady clock.
    pub at_ms: u64,
    /// True when the phone sent it.
    pub sent: bool,
    /// `INVITE sip:2201@pleiad.test` or `180 Ringing (INVITE)`.
    pub text: String,
}

impl Rung {
    /// The rung of a message.
    #[must_use]
    pub fn of(now: Duration, sent: bool, message: &Message) -> Rung {
        let text = match (message.status(), message.request_uri()) {
            (Some(status), _) => format!("{} {} ({})", status, status.reason(), message.method()),
            (None, Some(uri)) => format!("{} {uri}", message.method()),
            (None, None) => message.method().to_string(),
        };
        let sdp = if message.body().is_empty() { "" } else { " +sdp" };
        Rung { at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX), sent, text: text + sdp }
    }
}

/// The ladders of several phones side by side in time: seconds from the first rung, phone, arrow, message.
#[must_use]
pub fn draw(phones: &[(&str, &[Rung])]) -> String {
    let mut rungs: Vec<(&Rung, &str)> =
        phones.iter().flat_map(|(name, rungs)| rungs.iter().map(move |rung| (rung, *name))).collect();
    rungs.sort_by_key(|(rung, _)| rung.at_ms);
    let start = rungs.first().map_or(0, |(rung, _)| rung.at_ms);
    rungs.into_iter().fold(String::new(), |mut text, (rung, name)| {
        let ms = rung.at_ms - start;
        let arrow = if rung.sent { "──▶" } else { "◀──" };
        text.push_str(&format!("{:>3}.{:03}  {name:>6} {arrow} {}\n", ms / 1000, ms % 1000, rung.text));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_phones_are_drawn_in_the_order_of_time() {
        let rung = |at_ms, sent, text: &str| Rung { at_ms, sent, text: text.to_owned() };
        let caller = [rung(1_000, true, "INVITE sip:2@x +sdp"), rung(1_030, false, "180 Ringing (INVITE)")];
        let called = [rung(1_010, false, "INVITE sip:2@y +sdp")];
        let expected = "  0.000       1 ──▶ INVITE sip:2@x +sdp\n  0.010       2 ◀── INVITE sip:2@y +sdp\n  \
                        0.030       1 ◀── 180 Ringing (INVITE)\n";
        assert_eq!(draw(&[("1", &caller), ("2", &called)]), expected);
    }
}
