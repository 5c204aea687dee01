//! The registered phones.

use super::Desk;
use crate::service::calls::{BindingView, bindings};
use crate::service::lines::{LineView, lines};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use call::Look;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, Tone, live, query_escape};
use web::{ApiError, Visit};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/registrations", get(registrations))
}

async fn registrations(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let phones = bindings(&desk.machine).await?;
    let lines = lines(&desk.machine).await?;
    let here = format!("/registrations?{}", visit.query);
    let list = live("phones", "bindings", &here, &table(&phones, &lines).render(&Query::parse(&visit.query)));
    desk.show(&visit, Page::new("Registrations", list)).await
}

pub(super) fn table(phones: &[BindingView], lines: &[LineView]) -> Table {
    let column = |key, label| Column { key, label };
    Table {
        noun: "phones",
        columns: vec![
            column("extension", "Extension"),
            column("line", "Line"),
            column("member", "At"),
            column("source", "From"),
            column("transport", "Transport"),
            column("agent", "Phone"),
            column("since", "Since"),
            column("until", "Until"),
        ],
        rows: phones.iter().map(|phone| row(phone, lines)).collect(),
        empty: Empty {
            text: "No phone is registered. A phone needs its extension, its secret and the address of this machine."
                .to_owned(),
            next: Some(("To the subscribers".to_owned(), "/data/subscriber".to_owned())),
        },
    }
}

fn row(phone: &BindingView, lines: &[LineView]) -> Vec<Cell> {
    let extension = phone.extension.as_str();
    let member = match u16::from(phone.member) {
        0 => "cluster server".to_owned(),
        node => format!("node {node}"),
    };
    vec![
        Cell::link(extension, format!("/data/subscriber/edit/{}", query_escape(extension))),
        line(phone, lines),
        Cell::text(member),
        Cell::code(&phone.source),
        Cell::text(&phone.transport),
        if phone.user_agent.is_empty() { Cell::None } else { Cell::text(&phone.user_agent) },
        Cell::Time(phone.since_ms),
        Cell::Time(phone.until_ms),
    ]
}

/// The line of a phone's subscriber at the phone's member, in a word.
fn line(phone: &BindingView, lines: &[LineView]) -> Cell {
    let at = lines
        .binary_search_by(|line| (&line.extension, line.member).cmp(&(&phone.extension, Some(phone.member))));
    let Some(line) = at.ok().and_then(|at| lines.get(at)) else { return Cell::None };
    let tone = match line.line {
        Look::Talking | Look::Held => Tone::Busy,
        Look::Ringing | Look::Calling => Tone::Warn,
        Look::Idle => Tone::Good,
        Look::Unknown | Look::Absent => Tone::Idle,
    };
    Cell::badge(tone, line.line.word())
}
