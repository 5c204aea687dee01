//! The overview of a machine: identity, link or nodes, data.

use super::{Desk, banner};
use crate::service::state::{NodeView, StateView, UplinkView, state};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, Tone, escape, live, properties, span};
use web::{ApiError, Visit};

/// Digits of a digest that are shown.
const DIGEST_SHOWN: usize = 16;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/", get(overview))
}

async fn overview(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let state = state(&desk.machine).await?;
    desk.show(&visit, Page::new("Overview", render(&state, &visit.query))).await
}

pub(super) fn render(state: &StateView, query: &str) -> String {
    let mut html = live("figures", "bindings", "/", &live("calls-figure", "calls", "/", &figures(state)));
    if !state.unreadable.is_empty() {
        html.push_str(&format!(
            "<p class=\"notice bad\">Records this release cannot read: {}</p>",
            escape(&state.unreadable.join("; "))
        ));
    }
    let link = state.uplink.as_ref().map(uplink).unwrap_or_default();
    let cards = format!("<div class=\"grid\">{}{link}{}</div>", identity(state), data(state));
    html.push_str(&live("facts", "state", "/", &cards));
    if state.link_port.is_some() {
        let here = format!("/?{query}");
        let table = live("nodes", "nodes", &here, &nodes(&state.nodes).render(&Query::parse(query)));
        html.push_str(&format!("<h2>Nodes</h2>{table}"));
    }
    html
}

fn figures(state: &StateView) -> String {
    let figure = |href: &str, value: usize, words: &str| {
        let value = Cell::Number(u64::try_from(value).unwrap_or(u64::MAX));
        format!("<a href=\"{href}\"><b>{value}</b><span>{words}</span></a>")
    };
    format!(
        "<div class=\"figures\">{}{}{}{}</div>",
        figure("/registrations", state.bindings, "phones registered here"),
        figure("/calls", state.calls, "calls in progress"),
        figure("/data/subscriber", state.subscribers, "subscribers held"),
        figure("/calls", state.owed, "hang-ups owed beyond a cut"),
    )
}

fn card(title: &str, rows: &[(&str, Cell)]) -> String {
    format!("<section class=\"card\"><h2>{title}</h2>{}</section>", properties(rows))
}

fn identity(state: &StateView) -> String {
    card(
        "Identity",
        &[
            ("Name", Cell::text(&state.name)),
            ("Role", Cell::text(banner::role(state))),
            ("Dongle id", Cell::code(&state.dongle_id)),
            ("Hardware type", Cell::text(state.hardware_type)),
            ("Release", Cell::text(state.release)),
            ("Running for", Cell::Span(state.uptime_ms)),
            ("SIP port", Cell::code(state.sip_port)),
            ("SIP port, TLS", Cell::code(state.sip_tls_port)),
            (
                "Phones trust",
                Cell::Link { href: crate::api::AUTHORITY.to_owned(), text: "this certificate".to_owned() },
            ),
            ("Link port", state.link_port.map_or(Cell::None, Cell::code)),
        ],
    )
}

fn data(state: &StateView) -> String {
    let digest = state.digest.get(..DIGEST_SHOWN).unwrap_or(&state.digest);
    card(
        "Data",
        &[
            ("Cluster", Cell::text(&state.cluster.name)),
            ("Cluster id", Cell::code(&state.cluster.id)),
            ("SIP domain", Cell::code(&state.cluster.domain)),
            ("Site number", Cell::Number(state.cluster.site_number.into())),
            ("Revision", Cell::Number(state.position.revision)),
            ("Epoch", Cell::Number(state.position.epoch)),
            ("Digest", if digest.is_empty() { Cell::None } else { Cell::code(digest) }),
        ],
    )
}

fn uplink(uplink: &UplinkView) -> String {
    let carries =
        if uplink.carries_sip { (Tone::Good, "carries calls") } else { (Tone::Warn, "carries no calls") };
    let mut rows = vec![
        ("State", Cell::badge(banner::tone(&uplink.state), &uplink.state)),
        ("Since", Cell::Time(uplink.since_ms)),
        ("Cluster server", Cell::code(&uplink.address)),
        ("Calls across", Cell::badge(carries.0, carries.1)),
        ("Cluster's revision", Cell::Number(uplink.cluster_revision)),
    ];
    if let Some(fault) = &uplink.fault {
        rows.push(("Fault", Cell::text(fault)));
    }
    card("Link", &rows)
}

/// The nodes of a cluster server (ARC-05).
fn nodes(nodes: &[NodeView]) -> Table {
    let column = |key, label| Column { key, label };
    Table {
        noun: "nodes",
        columns: vec![
            column("number", "Node"),
            column("name", "Name"),
            column("state", "State"),
            column("since", "Since"),
            column("release", "Release"),
            column("revision", "Revision"),
            column("lag", "Behind"),
            column("digest", "Data"),
            column("phones", "Phones"),
        ],
        rows: nodes.iter().map(row).collect(),
        empty: Empty {
            text: "No node yet. Nodes are created and configured at the manager.".to_owned(),
            next: None,
        },
    }
}

fn row(node: &NodeView) -> Vec<Cell> {
    let digest = match node.digest_equal {
        Some(true) => Cell::badge(Tone::Good, "equal"),
        Some(false) => Cell::badge(Tone::Bad, "differ"),
        None => Cell::None,
    };
    vec![
        Cell::Number(u64::from(u16::from(node.number))),
        Cell::text(&node.name),
        Cell::badge(banner::tone(&node.state), &node.state),
        Cell::Time(node.since_ms),
        node.release.map_or(Cell::None, Cell::text),
        Cell::Number(node.position.revision),
        Cell::Number(node.lag),
        digest,
        Cell::Number(u64::try_from(node.bindings).unwrap_or(u64::MAX)),
    ]
}

/// How long something took, for other pages.
pub(super) fn between(from_ms: u64, to_ms: u64) -> String {
    span(to_ms.saturating_sub(from_ms))
}
