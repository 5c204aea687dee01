//! The call-flow diagram of a call as this member saw it: who said what to whom, and when.
//!
//! ```text
//!     127.0.0.1:40000         node 1         cluster server
//!            |                   |                   |
//!    0.000   |------ INVITE ---->|                   |   SDP
//!    0.004   |                   |------ INVITE ---->|   SDP
//! ```

use super::{Party, Traced};
use crate::shell::clock::ms;
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// Width of a column of the text form.
const COLUMN: usize = 24;

/// The diagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Ladder {
    /// The columns, left to right; this member is one of them.
    pub parties: Vec<String>,
    /// Which column is this member.
    pub own_column: usize,
    /// The arrows, top to bottom.
    pub arrows: Vec<Arrow>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Arrow {
    /// When, Unix time.
    pub at_ms: u64,
    /// Milliseconds after the first message.
    pub offset_ms: u64,
    /// The column it came from.
    pub from: usize,
    /// The column it went to.
    pub to: usize,
    /// The method, or the status and its words.
    pub label: String,
    /// The CSeq, which says what a response answers.
    pub cseq: String,
    /// True when it carries a description of media.
    pub has_sdp: bool,
    /// The whole message, credentials blanked.
    pub message: String,
}

impl Ladder {
    /// Draws the messages of one call; `own` is what this member is called.
    #[must_use]
    pub fn of(own: &str, messages: &[Traced]) -> Ladder {
        let mut others: Vec<Party> = Vec::new();
        for message in messages {
            if !others.contains(&message.party) {
                others.push(message.party);
            }
        }
        // The caller stands left of us, everybody else right.
        let column = |party: &Party| match others.iter().position(|other| other == party) {
            Some(0) | None => 0,
            Some(place) => place + 1,
        };
        let start = messages.first().map_or(Duration::ZERO, |message| message.at);
        let arrows = messages.iter().map(|message| arrow(message, start, column(&message.party))).collect();
        let mut parties: Vec<String> = others.iter().map(Party::to_string).collect();
        let own_column = parties.len().min(1);
        parties.insert(own_column, own.to_owned());
        Ladder { parties, own_column, arrows }
    }

    /// The diagram in letters.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("         ");
        for party in &self.parties {
            let name: String = party.chars().take(COLUMN - 2).collect();
            let _infallible = write!(text, "{name:^COLUMN$}");
        }
        text.push('\n');
        for arrow in &self.arrows {
            let line = self.line(arrow);
            let offset = Duration::from_millis(arrow.offset_ms).as_secs_f64();
            let sdp = if arrow.has_sdp { "  SDP" } else { "" };
            let _infallible = writeln!(text, "{offset:8.3} {}{sdp}", line.trim_end());
        }
        text
    }

    /// One arrow between the life lines of all.
    fn line(&self, arrow: &Arrow) -> String {
        let half = COLUMN / 2;
        let mut cells: Vec<char> = vec![' '; self.parties.len() * COLUMN];
        let mut draw = |at: usize, letter: char| {
            if let Some(cell) = cells.get_mut(at) {
                *cell = letter;
            }
        };
        for column in 0..self.parties.len() {
            draw(column * COLUMN + half, '|');
        }
        let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
        let (start, end) = (left * COLUMN + half + 1, right * COLUMN + half);
        for at in start..end {
            draw(at, '-');
        }
        let rightward = arrow.to > arrow.from;
        draw(if rightward { end.saturating_sub(1) } else { start }, if rightward { '>' } else { '<' });
        let room = end.saturating_sub(start).saturating_sub(4);
        let label: Vec<char> = format!(" {} ", arrow.label).chars().take(room).collect();
        let begin = start + (end - start).saturating_sub(label.len()) / 2;
        for (offset, letter) in label.iter().enumerate() {
            draw(begin + offset, *letter);
        }
        cells.into_iter().collect()
    }
}

fn arrow(message: &Traced, start: Duration, theirs: usize) -> Arrow {
    let text = String::from_utf8_lossy(&message.bytes).into_owned();
    let own = 1;
    let (from, to) = if message.sent { (own, theirs) } else { (theirs, own) };
    let first = text.lines().next().unwrap_or_default();
    let label = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => status.to_owned(),
        None => first.split(' ').next().unwrap_or_default().to_owned(),
    };
    let cseq = header(&text, "CSeq").unwrap_or_default().to_owned();
    let has_sdp = header(&text, "Content-Type").is_some_and(|kind| kind.starts_with("application/sdp"));
    let offset_ms = ms(message.at.saturating_sub(start));
    Arrow { at_ms: ms(message.at), offset_ms, from, to, label, cseq, has_sdp, message: text }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::traced;
    use super::*;

    #[test]
    fn the_caller_stands_left_the_called_right_and_we_between() {
        let mut invite = traced(
            1_000,
            false,
            "INVITE sip:2102@x SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0",
        );
        invite.party = Party::Phone("10.0.0.1:5060".parse().unwrap());
        let mut onward = traced(1_004, true, "INVITE sip:2102@x SIP/2.0\r\n\r\n");
        onward.party = Party::Member(0);
        let ringing =
            Traced { sent: false, bytes: b"SIP/2.0 180 Ringing\r\n\r\n".to_vec(), ..onward.clone() };
        let ladder = Ladder::of("node 1", &[invite, onward, ringing]);
        assert_eq!(ladder.parties, ["10.0.0.1:5060", "node 1", "cluster server"]);
        let arrows: Vec<_> =
            ladder.arrows.iter().map(|a| (a.from, a.to, a.label.as_str(), a.has_sdp)).collect();
        assert_eq!(arrows, [(0, 1, "INVITE", true), (1, 2, "INVITE", false), (2, 1, "180 Ringing", false)]);
        let text = ladder.text();
        assert!(
            text.lines().nth(1).unwrap().contains("INVITE") && text.contains("<---- 180 Ringing"),
            "{text}"
        );
    }
}
