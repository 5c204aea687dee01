//! The overview: how the whole network is, at a glance.

use super::operations::table as operations_table;
use super::{Desk, map_svg, tone};
use crate::view::{LinkState, Map, MapLink, MapMachine, Operation, Reach};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use store::OperationQuery;
use web::face::Page;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, Tone, escape, live};
use web::{ApiError, Visit};

/// Operations shown below the map.
const LAST_OPERATIONS: u32 = 8;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/", get(overview))
}

async fn overview(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let map = desk.service.map();
    let query = OperationQuery { limit: LAST_OPERATIONS, ..OperationQuery::default() };
    let last = desk.service.operations(query).await?;
    Ok(desk.face.page(&visit, &Page::new("Overview", render(&map, &last, visit.may_change(), &visit.query))))
}

/// The page's content.
pub(super) fn render(map: &Map, last: &[Operation], may_change: bool, query: &str) -> String {
    if map.machines.is_empty() {
        return nothing_yet(may_change);
    }
    let here = format!("/?{query}");
    let network = format!(
        "<p class=\"unseen\" data-say=\"{}\"></p>{}<section class=\"card map\" aria-label=\"Map\">{}{LEGEND}</section>\
         <h2>Machines</h2>{}",
        escape(&summary(map)),
        figures(map),
        map_svg::draw(map),
        twin(map).render(&Query::parse(query)),
    );
    format!(
        "{}<h2>Last operations</h2>{}<p><a href=\"/operations\">The whole log</a></p>",
        live("network", "map", &here, &network),
        live("last", "operation", &here, &operations_table(last).render_short()),
    )
}

const LEGEND: &str = "<ul class=\"legend\" aria-label=\"Legend\">\
    <li><span class=\"good\">●</span> as it should be</li><li><span class=\"busy\">◐</span> at work</li>\
    <li><span class=\"warn\">▲</span> works by itself, or needs a look</li><li><span class=\"bad\">■</span> no answer, or cut</li>\
    <li><span class=\"idle\">○</span> not known</li></ul>";

fn nothing_yet(may_change: bool) -> String {
    let next = if may_change {
        "<p><a class=\"button\" href=\"/topology/regions/new\">Create the first region</a></p>"
    } else {
        ""
    };
    format!(
        "<div class=\"empty\"><p>There is no network yet.</p>\
         <p>A network is a region, a multi-site in it, a cluster server, and its nodes.</p>{next}</div>"
    )
}

/// One sentence for those who do not see the map.
fn summary(map: &Map) -> String {
    let cut: Vec<String> = map
        .links
        .iter()
        .filter(|link| matches!(link.state, LinkState::Isolated | LinkState::Lost))
        .map(|link| format!("{} {}", name_of(map, &link.node), link.state.name()))
        .collect();
    let up = map.links.iter().filter(|link| link.state == LinkState::Up).count();
    let mut text = format!("{up} of {} links up", map.links.len());
    if !cut.is_empty() {
        text.push_str(": ");
        text.push_str(&cut.join(", "));
    }
    text
}

fn name_of<'a>(map: &'a Map, id: &'a str) -> &'a str {
    map.machines.iter().find(|machine| machine.id == id).map_or(id, |machine| machine.name.as_str())
}

fn figures(map: &Map) -> String {
    let sum = |what: fn(&crate::view::MachineSight) -> u64| -> u64 {
        map.machines.iter().filter_map(|machine| machine.live.sight.as_ref()).map(what).sum()
    };
    let answer = map.machines.iter().filter(|machine| machine.live.reach == Reach::Up).count();
    let up = map.links.iter().filter(|link| link.state == LinkState::Up).count();
    let isolated = map.links.iter().filter(|link| link.state == LinkState::Isolated).count();
    let figure = |value: String, words: &str| format!("<div><b>{value}</b><span>{words}</span></div>");
    format!(
        "<div class=\"figures\">{}{}{}{}{}</div>",
        figure(format!("{answer} / {}", map.machines.len()), "machines answer"),
        figure(format!("{up} / {}", map.links.len()), "links up"),
        figure(isolated.to_string(), "nodes isolated"),
        figure(sum(|sight| sight.bindings).to_string(), "phones registered"),
        figure(sum(|sight| sight.calls).to_string(), "calls in progress"),
    )
}

/// The map as a table.
fn twin(map: &Map) -> Table {
    let column = |key, label| Column { key, label };
    Table {
        noun: "machines",
        columns: vec![
            column("name", "Machine"),
            column("number", "Member"),
            column("state", "State"),
            column("link", "Link"),
            column("since", "Since"),
            column("revision", "Revision"),
            column("phones", "Phones"),
            column("calls", "Calls"),
            column("clock", "Clock"),
        ],
        rows: map.machines.iter().map(|machine| row(machine, link_of(map, machine))).collect(),
        empty: Empty { text: "No machine yet.".to_owned(), next: None },
    }
}

fn link_of<'a>(map: &'a Map, machine: &MapMachine) -> Option<&'a MapLink> {
    map.links.iter().find(|link| link.node == machine.id)
}

fn row(machine: &MapMachine, link: Option<&MapLink>) -> Vec<Cell> {
    let (tone, word) = tone::machine(machine.progress, &machine.live);
    let sight = machine.live.sight.as_ref();
    let count = |value: Option<u64>| value.map_or(Cell::None, Cell::Number);
    let since = link.map(|link| link.since_ms).filter(|since| *since > 0);
    vec![
        Cell::link(&machine.name, format!("/machines/{}", machine.id)),
        match (machine.cs.is_some(), machine.node_number) {
            (false, _) => Cell::text("cluster server"),
            (true, Some(number)) => Cell::text(format!("node {number}")),
            (true, None) => Cell::text("node"),
        },
        Cell::badge(tone, word),
        link.map_or(Cell::None, link_cell),
        since.map_or(Cell::None, Cell::Time),
        count(sight.map(|sight| sight.revision)),
        count(sight.map(|sight| sight.bindings)),
        count(sight.map(|sight| sight.calls)),
        sight.map_or(Cell::None, |sight| clock(sight.clock_offset_ms)),
    ]
}

fn link_cell(link: &MapLink) -> Cell {
    let mut words = link.state.name().to_owned();
    if let Some(lag) = link.lag.filter(|lag| *lag > 0) {
        words = format!("{words}, {lag} behind");
    }
    Cell::badge(tone::link(link.state), words)
}

/// A clock's offset; one that matters stands out (PRE-14).
pub(super) fn clock(offset_ms: i64) -> Cell {
    let words = format!("{offset_ms:+} ms");
    if offset_ms.unsigned_abs() > model::deploy::CLOCK_WARN_MS {
        Cell::badge(Tone::Warn, words)
    } else {
        Cell::Code(words)
    }
}
