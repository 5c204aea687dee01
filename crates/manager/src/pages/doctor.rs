//! The doctor: what is wrong with the installation, and what to do about it.

use super::{Desk, tone};
use crate::view::{Check, Doctor, Verdict};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, badge, escape};
use web::{ApiError, Visit};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/doctor", get(doctor))
}

async fn doctor(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let found = desk.service.doctor().await?;
    let page = Page::new("Doctor", render(&found, &visit.query))
        .actions("<a class=\"button quiet\" href=\"/doctor\">Examine again</a>");
    Ok(desk.face.page(&visit, &page))
}

/// The page's content: what is wrong comes first.
pub(super) fn render(found: &Doctor, query: &str) -> String {
    let words = match found.verdict {
        Verdict::Ok => "Everything that was looked at is as it should be.",
        Verdict::Warning => "It works, but something should be seen to.",
        Verdict::Fault => "Something is wrong.",
    };
    let mut checks: Vec<&Check> = found.checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let column = |key, label| Column { key, label };
    let table = Table {
        noun: "checks",
        columns: vec![
            column("verdict", "Verdict"),
            column("subject", "Where"),
            column("check", "Check"),
            column("detail", "Found"),
            column("next", "Next step"),
        ],
        rows: checks.into_iter().map(row).collect(),
        empty: Empty { text: "There is nothing to look at yet.".to_owned(), next: None },
    };
    let verdict = badge(tone::verdict(found.verdict), found.verdict.name());
    format!("<p>{verdict} {}</p>{}", escape(words), table.render(&Query::parse(query)))
}

fn row(check: &Check) -> Vec<Cell> {
    let subject = match check.subject.as_str() {
        "manager" => Cell::text("manager"),
        machine => Cell::link(machine, format!("/machines/{machine}")),
    };
    let next = if check.next.is_empty() { Cell::None } else { Cell::text(&check.next) };
    vec![
        Cell::badge(tone::verdict(check.verdict), check.verdict.name()),
        subject,
        Cell::text(&check.check),
        Cell::text(&check.detail),
        next,
    ]
}
