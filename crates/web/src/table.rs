//! Lists: one look and one behaviour for all of them.
//!
//! What is filtered and sorted stands in the URL (`?q=…&sort=…&dir=…&page=…`), so a view is a link. The count is
//! shown, numbers are set in columns, the first cell of a row is its link, and an empty list says the next
//! step. Filtering works on what a reader sees; a list that is too long to hold in memory needs a source that
//! filters for itself and gives its own count.

use crate::view::{Cell, query_escape};
use askama::Template;
use std::cmp::Ordering;

/// Rows on one page.
pub const PAGE_ROWS: usize = 100;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the URL.
    pub key: &'static str,
    /// Its heading.
    pub label: &'static str,
}

/// What a list says when there is nothing in it.
#[derive(Debug, Clone)]
pub struct Empty {
    /// The state, in a sentence.
    pub text: String,
    /// The next step: its words and where it leads.
    pub next: Option<(String, String)>,
}

/// A list.
#[derive(Debug, Clone)]
pub struct Table {
    /// What the list holds, for its caption and its count: `machines`.
    pub noun: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: a cell a column.
    pub rows: Vec<Vec<Cell>>,
    /// What it says when empty.
    pub empty: Empty,
}

/// What the URL asks of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Words that a row must contain.
    pub words: String,
    /// The column to sort by.
    pub sort: String,
    /// Backwards.
    pub descending: bool,
    /// The page, from 1.
    pub page: usize,
    /// Everything else in the query, kept in links.
    rest: Vec<(String, String)>,
}

impl Query {
    /// Reads the query part of a URL.
    #[must_use]
    pub fn parse(query: &str) -> Query {
        let mut parsed = Query { page: 1, ..Query::default() };
        let pairs: Vec<(String, String)> = pairs(query);
        for (key, value) in pairs {
            match key.as_str() {
                "q" => parsed.words = value,
                "sort" => parsed.sort = value,
                "dir" => parsed.descending = value == "desc",
                "page" => parsed.page = value.parse().unwrap_or(1).max(1),
                _ => parsed.rest.push((key, value)),
            }
        }
        parsed
    }

    /// A parameter that is not the list's own.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.rest.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The same view with other sorting or page.
    fn link(&self, sort: &str, descending: bool, page: usize) -> String {
        let mut parts: Vec<String> =
            self.rest.iter().map(|(k, v)| format!("{}={}", query_escape(k), query_escape(v))).collect();
        if !self.words.is_empty() {
            parts.push(format!("q={}", query_escape(&self.words)));
        }
        if !sort.is_empty() {
            parts.push(format!("sort={}", query_escape(sort)));
        }
        if descending {
            parts.push("dir=desc".to_owned());
        }
        if page > 1 {
            parts.push(format!("page={page}"));
        }
        format!("?{}", parts.join("&"))
    }
}

/// The pairs of a form or query, unescaped.
#[must_use]
pub fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (unescape(key), unescape(value)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair = [rest.next(), rest.next()];
                let value = match pair {
                    [Some(high), Some(low)] => hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low),
                    _ => None,
                };
                bytes.push(value.unwrap_or(b'?'));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A heading as the template needs it.
struct Heading {
    label: &'static str,
    href: String,
    aria_sort: &'static str,
    number: bool,
}

#[derive(Template)]
#[template(path = "table.html")]
struct Page<'a> {
    filter: bool,
    noun: &'a str,
    query: &'a Query,
    headings: Vec<Heading>,
    rows: Vec<&'a Vec<Cell>>,
    shown: usize,
    matched: usize,
    total: usize,
    empty: &'a Empty,
    previous: Option<String>,
    next: Option<String>,
}

impl Table {
    /// The list as HTML, as the query asks for it.
    #[must_use]
    pub fn render(&self, query: &Query) -> String {
        self.draw(query, true)
    }

    /// The list without filter: for a short one beside others.
    #[must_use]
    pub fn render_short(&self) -> String {
        self.draw(&Query::default(), false)
    }

    fn draw(&self, query: &Query, filter: bool) -> String {
        let mut rows: Vec<&Vec<Cell>> = self.rows.iter().filter(|row| matches(row, &query.words)).collect();
        let by = self.columns.iter().position(|column| column.key == query.sort);
        if let Some(column) = by {
            rows.sort_by(|left, right| compare(left.get(column), right.get(column)));
            if query.descending {
                rows.reverse();
            }
        }
        let matched = rows.len();
        let pages = matched.div_ceil(PAGE_ROWS).max(1);
        let page = query.page.clamp(1, pages);
        let rows: Vec<&Vec<Cell>> = rows.into_iter().skip((page - 1) * PAGE_ROWS).take(PAGE_ROWS).collect();
        let turn = |to: usize| query.link(&query.sort, query.descending, to);
        Page {
            filter,
            noun: self.noun,
            query,
            headings: self.headings(query),
            shown: rows.len(),
            rows,
            matched,
            total: self.rows.len(),
            empty: &self.empty,
            previous: (page > 1).then(|| turn(page - 1)),
            next: (page < pages).then(|| turn(page + 1)),
        }
        .render()
        .unwrap_or_default()
    }

    fn headings(&self, query: &Query) -> Vec<Heading> {
        let heading = |(i, column): (usize, &Column)| {
            let sorted = column.key == query.sort;
            let aria_sort = match (sorted, query.descending) {
                (false, _) => "none",
                (true, false) => "ascending",
                (true, true) => "descending",
            };
            let number = self.rows.first().and_then(|row| row.get(i)).is_some_and(Cell::is_number);
            Heading {
                label: column.label,
                href: query.link(column.key, sorted && !query.descending, 1),
                aria_sort,
                number,
            }
        };
        self.columns.iter().enumerate().map(heading).collect()
    }
}

fn matches(row: &[Cell], words: &str) -> bool {
    let text = row.iter().map(Cell::plain).collect::<Vec<_>>().join(" ").to_lowercase();
    words.to_lowercase().split_whitespace().all(|word| text.contains(word))
}

/// Numbers as numbers, the rest by its letters; nothing comes last.
fn compare(left: Option<&Cell>, right: Option<&Cell>) -> Ordering {
    let key = |cell: Option<&Cell>| cell.map(Cell::plain).unwrap_or_default();
    let (left, right) = (key(left), key(right));
    match (left.is_empty(), right.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            _ => left.to_lowercase().cmp(&right.to_lowercase()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phones() -> Table {
        let row = |number: &str, calls: u64| vec![Cell::code(number), Cell::Number(calls)];
        Table {
            noun: "phones",
            columns: vec![Column { key: "number", label: "Number" }, Column { key: "calls", label: "Calls" }],
            rows: vec![row("2201", 3), row("2101", 20), row("2102", 100)],
            empty: Empty { text: "No phone yet.".into(), next: Some(("Add one".into(), "/new".into())) },
        }
    }

    #[test]
    fn a_list_is_filtered_and_sorted_by_its_url() {
        let html = phones().render(&Query::parse("q=21&sort=calls&dir=desc"));
        let at = |text: &str| html.find(text);
        assert!(at("2102") < at("2101") && at("2102").is_some() && at("2201").is_none());
        assert!(html.contains("2 of 3 phones"), "{html}");
        assert!(html.contains("aria-sort=\"descending\""));
    }

    #[test]
    fn an_empty_list_says_the_next_step_and_an_empty_filter_another() {
        let mut none = phones();
        none.rows.clear();
        assert!(none.render(&Query::default()).contains("<a class=\"button\" href=\"/new\">Add one</a>"));
        assert!(phones().render(&Query::parse("q=zz")).contains("No phones match"));
    }

    #[test]
    fn a_query_is_unescaped_and_broken_escapes_do_no_harm() {
        assert_eq!(pairs("a=%2B1+2&b=%zz"), [("a".into(), "+1 2".into()), ("b".into(), "?".into())]);
    }
}
