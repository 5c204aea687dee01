//! The registered phones.

use super::Desk;
use crate::service::calls::{BindingView, bindings};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, live, query_escape};
use web::{ApiError, Visit};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/registrations", get(registrations))
}

async fn registrations(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let phones = bindings(&desk.machine).await?;
    let here = format!("/registrations?{}", visit.query);
    let list = live("phones", "bindings", &here, &table(&phones).render(&Query::parse(&visit.query)));
    desk.show(&visit, Page::new("Registrations", list)).await
}

pub(super) fn table(phones: &[BindingView]) -> Table {
    let column = |key, label| Column { key, label };
    Table {
        noun: "phones",
        columns: vec![
            column("extension", "Extension"),
            column("member", "At"),
            column("source", "From"),
            column("transport", "Transport"),
            column("agent", "Phone"),
            column("since", "Since"),
            column("until", "Until"),
        ],
        rows: phones.iter().map(row).collect(),
        empty: Empty {
            text: "No phone is registered. A phone needs its extension, its secret and the address of this machine."
                .to_owned(),
            next: Some(("To the subscribers".to_owned(), "/data/subscriber".to_owned())),
        },
    }
}

fn row(phone: &BindingView) -> Vec<Cell> {
    let extension = phone.extension.as_str();
    let member = match u16::from(phone.member) {
        0 => "cluster server".to_owned(),
        node => format!("node {node}"),
    };
    vec![
        Cell::link(extension, format!("/data/subscriber/edit/{}", query_escape(extension))),
        Cell::text(member),
        Cell::code(&phone.source),
        Cell::text(&phone.transport),
        if phone.user_agent.is_empty() { Cell::None } else { Cell::text(&phone.user_agent) },
        Cell::Time(phone.since_ms),
        Cell::Time(phone.until_ms),
    ]
}
