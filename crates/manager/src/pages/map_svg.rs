//! The map as a drawing: one group a cluster, its server above, its nodes below, a line for each link.
//!
//! It is drawn from the same view as the table beside it. A machine is shape (a server is a hexagon, a node a
//! rounded box), glyph and word, and a link to its page; a line says its state by colour, dashes and a tag.
//! Few nodes are cards; many become small ones, so that 230 still fit a screen.

use super::tone;
use crate::view::{Map, MapLink, MapMachine};
use std::fmt::Write as _;
use web::view::{Tone, escape};

/// Width of the drawing.
const WIDTH: i32 = 960;
/// Space around the content of a group.
const MARGIN: i32 = 24;
/// Height of the line with a group's name.
const GROUP_HEAD: i32 = 30;
/// Nodes that are still drawn as cards.
const CARDS_MAX: usize = 12;
/// Characters of a name that fit a card.
const NAME_CHARACTERS: usize = 22;

/// How nodes are drawn.
struct Grid {
    columns: i32,
    width: i32,
    height: i32,
    gap_x: i32,
    gap_y: i32,
}

const CARDS: Grid = Grid { columns: 4, width: 222, height: 84, gap_x: 14, gap_y: 62 };
const SMALL: Grid = Grid { columns: 10, width: 80, height: 42, gap_x: 11, gap_y: 26 };
/// A cluster server.
const SERVER_WIDTH: i32 = 300;
const SERVER_HEIGHT: i32 = 88;
/// Between server and first row of nodes.
const TRUNK: i32 = 76;

/// Where a box is.
#[derive(Clone, Copy)]
struct Spot {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

impl Spot {
    fn middle(self) -> i32 {
        self.x + self.width / 2
    }
}

/// The whole map. Empty when there is no machine.
pub(super) fn draw(map: &Map) -> String {
    let mut body = String::new();
    let mut y = 4;
    let servers = map.machines.iter().filter(|machine| machine.cs.is_none());
    for server in servers {
        let nodes: Vec<&MapMachine> =
            map.machines.iter().filter(|machine| machine.cs.as_deref() == Some(&server.id)).collect();
        y += group(&mut body, y, server, &nodes, &map.links) + 16;
    }
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {y}\" role=\"group\" aria-label=\"Map of machines and links\">{body}</svg>"
    )
}

/// One cluster; returns its height.
fn group(body: &mut String, top: i32, server: &MapMachine, nodes: &[&MapMachine], links: &[MapLink]) -> i32 {
    let grid = if nodes.len() <= CARDS_MAX { CARDS } else { SMALL };
    let count = i32::try_from(nodes.len()).unwrap_or(i32::MAX);
    let rows = count.div_euclid(grid.columns) + i32::from(count.rem_euclid(grid.columns) > 0);
    let below = if rows == 0 { 0 } else { TRUNK + rows * grid.height + (rows - 1) * grid.gap_y };
    let height = GROUP_HEAD + SERVER_HEIGHT + below + MARGIN;
    // Writing to a String cannot fail.
    let _infallible = write!(
        body,
        "<rect class=\"group\" x=\"1\" y=\"{top}\" width=\"{}\" height=\"{height}\" rx=\"10\"/>\
         <text class=\"group-name\" x=\"16\" y=\"{}\">{}</text>",
        WIDTH - 2,
        top + 22,
        escape(&server.multi_site)
    );
    let centre = Spot {
        x: (WIDTH - SERVER_WIDTH) / 2,
        y: top + GROUP_HEAD,
        width: SERVER_WIDTH,
        height: SERVER_HEIGHT,
    };
    let spots: Vec<Spot> =
        (0..count).map(|i| spot(&grid, i, count, centre.y + SERVER_HEIGHT + TRUNK)).collect();
    let link_of = |node: &MapMachine| links.iter().find(|link| link.node == node.id);
    for (node, at) in nodes.iter().zip(&spots) {
        line(body, centre, *at, link_of(node));
    }
    machine(body, centre, server, true);
    for (node, at) in nodes.iter().zip(&spots) {
        if grid.columns == SMALL.columns { small(body, *at, node) } else { machine(body, *at, node, false) }
    }
    if grid.columns == CARDS.columns {
        for (node, at) in nodes.iter().zip(&spots) {
            tag(body, *at, link_of(node));
        }
    }
    height
}

/// Where node `i` of `count` stands; a row that is not full is centred.
fn spot(grid: &Grid, i: i32, count: i32, top: i32) -> Spot {
    let (row, column) = (i.div_euclid(grid.columns), i.rem_euclid(grid.columns));
    let in_row = (count - row * grid.columns).min(grid.columns);
    let row_width = in_row * grid.width + (in_row - 1) * grid.gap_x;
    Spot {
        x: (WIDTH - row_width) / 2 + column * (grid.width + grid.gap_x),
        y: top + row * (grid.height + grid.gap_y),
        width: grid.width,
        height: grid.height,
    }
}

/// The line of a link: down from the server, across, down to the node.
fn line(body: &mut String, from: Spot, to: Spot, link: Option<&MapLink>) {
    let tone = link.map_or(Tone::Idle, |link| tone::link(link.state));
    let (x0, y0, x1, y1) = (from.middle(), from.y + from.height, to.middle(), to.y);
    let half = TRUNK / 2 - 14;
    let _infallible = write!(
        body,
        "<path class=\"link {tone}\" d=\"M{x0} {y0}C{x0} {} {x1} {} {x1} {y1}\"/>",
        y0 + half + 24,
        y1 - half - 24,
        tone = tone.name(),
    );
}

/// What a link says of itself, on its line just above the node.
fn tag(body: &mut String, node: Spot, link: Option<&MapLink>) {
    let (tone, mut words) = match link {
        Some(link) => (tone::link(link.state), link.state.name().to_owned()),
        None => return,
    };
    if let Some(lag) = link.and_then(|link| link.lag).filter(|lag| *lag > 0) {
        let _infallible = write!(words, ", {lag} behind");
    }
    let width = 30 + 7 * i32::try_from(words.chars().count()).unwrap_or(0);
    let (x, y) = (node.middle() - width / 2, node.y - 32);
    let _infallible = write!(
        body,
        "<g class=\"tag {}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"20\" rx=\"10\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{} {words}</text></g>",
        tone.name(),
        node.middle(),
        y + 14,
        tone.glyph(),
    );
}

/// A machine as a card.
fn machine(body: &mut String, at: Spot, machine: &MapMachine, is_server: bool) {
    let (tone, word) = tone::machine(machine.progress, &machine.live);
    let title = match (is_server, machine.node_number) {
        (true, _) => "cluster server".to_owned(),
        (false, Some(number)) => format!("node {number}"),
        (false, None) => "node, no number yet".to_owned(),
    };
    let detail = match machine.live.sight.as_ref() {
        Some(sight) => format!(
            "{title} · {} · {}",
            counted(sight.bindings, "phone", "phones"),
            counted(sight.calls, "call", "calls")
        ),
        None => title,
    };
    let _infallible = write!(
        body,
        "<a id=\"map-{id}\" href=\"/machines/{id}\" class=\"{tone}\">{shape}\
         <text class=\"glyph\" x=\"{gx}\" y=\"{ty}\" aria-hidden=\"true\">{glyph}</text>\
         <text class=\"name\" x=\"{tx}\" y=\"{ty}\">{short}</text>\
         <text class=\"word\" x=\"{tx}\" y=\"{wy}\">{word}</text>\
         <text class=\"detail\" x=\"{tx}\" y=\"{dy}\">{detail}</text></a>",
        id = escape(&machine.id),
        tone = tone.name(),
        short = escape(&shortened(&machine.name)),
        word = escape(&word),
        glyph = tone.glyph(),
        shape = shape(at, is_server),
        gx = at.x + if is_server { 26 } else { 14 },
        tx = at.x + if is_server { 48 } else { 36 },
        ty = at.y + 29,
        wy = at.y + 48,
        dy = at.y + 67,
    );
}

/// A node among many: glyph and name.
fn small(body: &mut String, at: Spot, machine: &MapMachine) {
    let (tone, word) = tone::machine(machine.progress, &machine.live);
    let number = machine.node_number.map_or_else(|| "–".to_owned(), |number| number.to_string());
    let _infallible = write!(
        body,
        "<a id=\"map-{id}\" href=\"/machines/{id}\" class=\"{tone}\" aria-label=\"Node {number} {name}: {word}\">\
         <title>{name}: {word}</title>{shape}\
         <text class=\"glyph\" x=\"{}\" y=\"{ty}\" aria-hidden=\"true\">{glyph}</text>\
         <text class=\"name\" x=\"{}\" y=\"{ty}\">{number}</text></a>",
        at.x + 14,
        at.x + 36,
        id = escape(&machine.id),
        tone = tone.name(),
        name = escape(&machine.name),
        word = escape(&word),
        glyph = tone.glyph(),
        shape = shape(at, false),
        ty = at.y + 27,
    );
}

/// The outline, and the ring that shows the focus.
fn shape(at: Spot, is_server: bool) -> String {
    let Spot { x, y, width, height } = at;
    let ring = format!(
        "<rect class=\"ring\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"12\"/>",
        x - 5,
        y - 5,
        width + 10,
        height + 10
    );
    if !is_server {
        return format!(
            "{ring}<rect class=\"machine\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"9\"/>"
        );
    }
    let (right, bottom, middle, corner) = (x + width, y + height, y + height / 2, 18);
    format!(
        "{ring}<path class=\"machine\" d=\"M{} {y}H{}L{right} {middle}L{} {bottom}H{}L{x} {middle}Z\"/>",
        x + corner,
        right - corner,
        right - corner,
        x + corner,
    )
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARACTERS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARACTERS - 1).chain(['…']).collect()
}
