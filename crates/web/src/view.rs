//! The smallest parts of a page: escaped text, cells, badges, instants, lists of properties.
//!
//! Each knows how to write itself as HTML. Text is escaped here, once; only [`Cell::Html`] and [`Cell::Words`] are
//! taken as they are.

use std::fmt::{self, Write as _};

/// The state of something, as a person should take it. Shape and word go with it; colour never stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// As it should be.
    Good,
    /// At work, will change by itself.
    Busy,
    /// Works, but needs a look.
    Warn,
    /// Does not work.
    Bad,
    /// Neither: unknown, unused, ended.
    Idle,
}

impl Tone {
    /// The word for it in class names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Busy => "busy",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Idle => "idle",
        }
    }

    /// The shape that goes with it.
    #[must_use]
    pub fn glyph(self) -> char {
        match self {
            Tone::Good => '●',
            Tone::Busy => '◐',
            Tone::Warn => '▲',
            Tone::Bad => '■',
            Tone::Idle => '○',
        }
    }
}

/// One value on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing known.
    None,
    /// Plain text.
    Text(String),
    /// An identity, an address, digits: one width a character.
    Code(String),
    /// A count.
    Number(u64),
    /// Leads to a page of ours.
    Link {
        /// What is read.
        text: String,
        /// Where it leads.
        href: String,
    },
    /// A state.
    Badge(Tone, String),
    /// An instant, milliseconds since the Unix epoch; the page also shows how long ago that is.
    Time(u64),
    /// A length of time in milliseconds.
    Span(u64),
    /// HTML that is already safe.
    Html(String),
    /// HTML that is already safe, and the words in it that a filter searches.
    Words {
        /// What is shown.
        html: String,
        /// What is searched and sorted by.
        plain: String,
    },
}

impl Cell {
    /// Plain text.
    pub fn text(text: impl fmt::Display) -> Cell {
        Cell::Text(text.to_string())
    }

    /// An identity.
    pub fn code(text: impl fmt::Display) -> Cell {
        Cell::Code(text.to_string())
    }

    /// A link.
    pub fn link(text: impl fmt::Display, href: impl Into<String>) -> Cell {
        Cell::Link { text: text.to_string(), href: href.into() }
    }

    /// A badge.
    pub fn badge(tone: Tone, word: impl fmt::Display) -> Cell {
        Cell::Badge(tone, word.to_string())
    }

    /// What a filter searches and a sort compares.
    #[must_use]
    pub fn plain(&self) -> String {
        match self {
            Cell::None | Cell::Html(_) => String::new(),
            Cell::Text(text) | Cell::Code(text) | Cell::Link { text, .. } | Cell::Badge(_, text) => {
                text.clone()
            }
            Cell::Words { plain, .. } => plain.clone(),
            Cell::Number(number) | Cell::Time(number) | Cell::Span(number) => format!("{number:020}"),
        }
    }

    /// True for what stands at the right of its column.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self, Cell::Number(_) | Cell::Span(_))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::None => f.write_str("<span class=\"none\" aria-label=\"none\">–</span>"),
            Cell::Text(text) => f.write_str(&escape(text)),
            Cell::Code(text) => write!(f, "<code>{}</code>", escape(text)),
            Cell::Number(number) => f.write_str(&grouped(*number)),
            Cell::Link { text, href } => write!(f, "<a href=\"{}\">{}</a>", escape(href), escape(text)),
            Cell::Badge(tone, word) => f.write_str(&badge(*tone, word)),
            Cell::Time(unix_ms) => f.write_str(&instant(*unix_ms)),
            Cell::Span(ms) => f.write_str(&span(*ms)),
            Cell::Html(html) | Cell::Words { html, .. } => f.write_str(html),
        }
    }
}

// Its Display escapes what needs it, so templates write it as it is.
impl askama::filters::HtmlSafe for Cell {}

/// A state as shape, colour and word.
#[must_use]
pub fn badge(tone: Tone, word: &str) -> String {
    format!(
        "<span class=\"badge {}\"><span aria-hidden=\"true\">{}</span> {}</span>",
        tone.name(),
        tone.glyph(),
        escape(word)
    )
}

/// An instant with its zone; the page's script adds the age.
#[must_use]
pub fn instant(unix_ms: u64) -> String {
    match i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()) {
        Some(at) => {
            let at = at.to_zoned(jiff::tz::TimeZone::UTC);
            let machine = at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
            format!("<time datetime=\"{machine}\">{} UTC</time>", at.strftime("%Y-%m-%d %H:%M:%S"))
        }
        None => Cell::None.to_string(),
    }
}

/// A length of time in the two units that matter.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1000),
        3_600_000..86_400_000 => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {:02} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// A count with thin spaces between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 8);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A list of names and values: `<dl>`.
#[must_use]
pub fn properties(rows: &[(&str, Cell)]) -> String {
    let mut html = String::from("<dl class=\"properties\">");
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _infallible = write!(html, "<div><dt>{}</dt><dd>{value}</dd></div>", escape(name));
    }
    html + "</dl>"
}

/// A part of a page that follows a topic: when it changes, the page is fetched again and this part of it
/// replaced in place; focus and scroll stay. `id` must be unique on the page, `source` is the page's own URL.
#[must_use]
pub fn live(id: &str, topic: &str, source: &str, inner: &str) -> String {
    let (id, topic, source) = (escape(id), escape(topic), escape(source));
    format!(
        "<div id=\"{id}\" data-topic=\"{topic}\" hx-get=\"{source}\" hx-trigger=\"live-{topic} from:body throttle:400ms\" \
         hx-select=\"#{id}\" hx-target=\"this\" hx-swap=\"outerMorph\">{inner}</div>"
    )
}

/// Text made safe for HTML, in content and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// Text made safe as a value in a query or a segment of a path.
#[must_use]
pub fn query_escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            let _infallible = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_never_becomes_markup() {
        let attack = "<script>\"'&";
        for cell in [
            Cell::text(attack),
            Cell::code(attack),
            Cell::link(attack, attack),
            Cell::badge(Tone::Bad, attack),
        ] {
            let html = cell.to_string();
            assert!(!html.contains("<script>") && !html.contains("\"'"), "{html}");
        }
    }

    #[test]
    fn counts_spans_and_instants_read_well() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(span(2_345), "2.3 s");
        assert_eq!(span(61_000), "1 min 01 s");
        assert_eq!(span(90_061_000), "1 d 01 h");
        let html = instant(1_795_348_800_123);
        assert_eq!(html, "<time datetime=\"2026-11-22T12:00:00.123Z\">2026-11-22 12:00:00 UTC</time>");
    }
}
