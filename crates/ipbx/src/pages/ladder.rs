//! The call-flow diagram as a drawing: a column a party, an arrow a message, time downwards. Each arrow leads to
//! the message below it.

use crate::trace::ladder::{Arrow, Ladder};
use std::fmt::Write as _;
use web::view::{escape, instant};

/// Between two columns.
const COLUMN: i32 = 290;
/// Left of the first column: the times.
const TIMES: i32 = 90;
/// Right of the last column.
const MARGIN: i32 = 110;
/// The names of the parties.
const HEAD: i32 = 56;
/// An arrow.
const ROW: i32 = 34;

/// The drawing and, below it, the messages.
pub(super) fn draw(ladder: &Ladder) -> String {
    let columns = i32::try_from(ladder.parties.len()).unwrap_or(1).max(1);
    let rows = i32::try_from(ladder.arrows.len()).unwrap_or(0);
    let (width, height) = (TIMES + (columns - 1) * COLUMN + MARGIN + 60, HEAD + rows * ROW + 20);
    let mut svg = format!(
        "<div class=\"card ladder\" tabindex=\"0\" role=\"region\" aria-label=\"Call flow\">\
         <svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"Who said what to whom\">"
    );
    for (i, party) in ladder.parties.iter().enumerate() {
        head(&mut svg, column(i), party, height);
    }
    for (i, arrow) in ladder.arrows.iter().enumerate() {
        line(&mut svg, i, arrow);
    }
    svg.push_str("</svg></div><h2>Messages</h2>");
    for (i, arrow) in ladder.arrows.iter().enumerate() {
        message(&mut svg, ladder, i, arrow);
    }
    svg
}

fn column(i: usize) -> i32 {
    TIMES + 60 + i32::try_from(i).unwrap_or(0) * COLUMN
}

fn head(svg: &mut String, x: i32, party: &str, height: i32) {
    // Writing to a String cannot fail.
    let _infallible = write!(
        svg,
        "<line class=\"life\" x1=\"{x}\" y1=\"44\" x2=\"{x}\" y2=\"{}\"/>\
         <rect class=\"head\" x=\"{}\" y=\"8\" width=\"196\" height=\"30\" rx=\"6\"/>\
         <text class=\"who\" x=\"{x}\" y=\"28\" text-anchor=\"middle\">{}</text>",
        height - 6,
        x - 98,
        escape(party)
    );
}

/// What sort of message it is, for its colour; the label says it in words.
fn sort(label: &str) -> &'static str {
    match label.as_bytes().first() {
        Some(b'1') => "provisional",
        Some(b'2' | b'3') => "success",
        Some(b'4'..=b'6') => "failure",
        _ => "request",
    }
}

fn line(svg: &mut String, i: usize, arrow: &Arrow) {
    let y = HEAD + ROW * i32::try_from(i).unwrap_or(0) + 24;
    let (from, to) = (column(arrow.from), column(arrow.to));
    let back = if to >= from { -9 } else { 9 };
    let sdp = if arrow.has_sdp { " (SDP)" } else { "" };
    let _infallible = write!(
        svg,
        "<a href=\"#message-{i}\"><g class=\"{sort}\"><text class=\"when\" x=\"8\" y=\"{ty}\">{at}</text>\
         <path class=\"arrow\" d=\"M{from} {y}H{to}\"/><path class=\"tip\" d=\"M{to} {y}l{back} -5v10z\"/>\
         <text x=\"{middle}\" y=\"{ly}\" text-anchor=\"middle\">{label}{sdp}</text></g></a>",
        sort = sort(&arrow.label),
        ty = y + 4,
        at = offset(arrow.offset_ms),
        middle = (from + to) / 2,
        ly = y - 6,
        label = escape(&arrow.label),
    );
}

fn offset(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1000, ms % 1000)
}

fn message(html: &mut String, ladder: &Ladder, i: usize, arrow: &Arrow) {
    let party = |i: usize| ladder.parties.get(i).map(String::as_str).unwrap_or_default();
    let _infallible = write!(
        html,
        "<details class=\"message\" id=\"message-{i}\"><summary><strong>{}</strong><span class=\"soft\">{} → {}</span>\
         <span class=\"soft\">{}</span>{}</summary><pre tabindex=\"0\">{}</pre></details>",
        escape(&arrow.label),
        escape(party(arrow.from)),
        escape(party(arrow.to)),
        escape(&arrow.cseq),
        instant(arrow.at_ms),
        escape(&arrow.message)
    );
}
