//! The operations log: who did what, where, with which outcome, and what to do next.

use super::{Desk, tone};
use crate::view::Operation;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use store::OperationQuery;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, escape, live, query_escape};
use web::{ApiError, Visit};

/// Entries the page loads at a time.
const PAGE_ENTRIES: u32 = 200;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/operations", get(operations))
}

async fn operations(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let query = Query::parse(&visit.query);
    let before = query.get("before").and_then(|id| id.parse().ok());
    let target = query.get("where").filter(|place| !place.is_empty()).map(str::to_owned);
    let asked = OperationQuery { before, target: target.clone(), limit: PAGE_ENTRIES };
    let entries = desk.service.operations(asked).await?;
    let here = format!("/operations?{}", visit.query);
    let mut content =
        String::from("<p class=\"soft\">Every act on the network and each step of it, newest first.</p>");
    if let Some(place) = &target {
        content.push_str(&format!(
            "<p class=\"notice\">Only {}. <a href=\"/operations\">Show all</a></p>",
            escape(place)
        ));
    }
    content.push_str(&live("log", "operation", &here, &table(&entries).render(&query)));
    content.push_str(&older(&entries, target.as_deref()));
    Ok(desk.face.page(&visit, &Page::new("Operations log", content)))
}

/// The way to what came before.
fn older(entries: &[Operation], target: Option<&str>) -> String {
    let full = u32::try_from(entries.len()).is_ok_and(|count| count >= PAGE_ENTRIES);
    let Some(last) = entries.last().filter(|_| full) else { return String::new() };
    let place = target.map(|place| format!("&where={}", query_escape(place))).unwrap_or_default();
    format!("<p><a href=\"/operations?before={}{}\">Older entries</a></p>", last.id, escape(&place))
}

/// Entries as a list.
pub(super) fn table(entries: &[Operation]) -> Table {
    let column = |key, label| Column { key, label };
    Table {
        noun: "operations",
        columns: vec![
            column("when", "When"),
            column("who", "Who"),
            column("what", "What"),
            column("where", "Where"),
            column("outcome", "Outcome"),
            column("took", "Took"),
            column("detail", "Detail"),
        ],
        rows: entries.iter().map(row).collect(),
        empty: Empty { text: "Nothing was done yet.".to_owned(), next: None },
    }
}

fn row(entry: &Operation) -> Vec<Cell> {
    let next = match entry.next.as_str() {
        "" => String::new(),
        next => format!("<p class=\"next\">{}</p>", escape(next)),
    };
    vec![
        Cell::Time(entry.when_ms),
        Cell::text(&entry.who),
        Cell::text(&entry.what),
        Cell::link(&entry.place, format!("/operations?where={}", query_escape(&entry.place))),
        Cell::badge(tone::outcome(entry.outcome), entry.outcome.name()),
        Cell::Span(entry.duration_ms),
        Cell::Words { html: format!("{}{next}", escape(&entry.detail)), plain: entry.detail.clone() },
    ]
}
