//! The topology as a tree, and the forms that make it grow: region > multi-site > cluster server > nodes
//! (DCS-03..06, DEP-23).

use super::{Desk, tone};
use crate::view::{
    MachineCreate, MachineKind, MachineView, MultiSiteRequest, MultiSiteView, RegionRequest, RegionView,
};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use web::face::Page;
use web::flash;
use web::form::{Field, Form, Input, Sent};
use web::table::Query;
use web::view::{badge, escape, live, query_escape};
use web::{ApiError, Visit};

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/topology", get(tree))
        .route("/topology/regions/new", get(new_region).post(create_region))
        .route("/topology/multi-sites/new", get(new_multi_site).post(create_multi_site))
        .route("/topology/machines/new", get(new_machine).post(create_machine))
}

/// All there is.
pub(super) struct Tree {
    pub(super) regions: Vec<RegionView>,
    pub(super) multi_sites: Vec<MultiSiteView>,
    pub(super) machines: Vec<MachineView>,
}

async fn tree(State(desk): State<Desk>, visit: Visit) -> Response {
    let service = &desk.service;
    let tree =
        Tree { regions: service.regions(), multi_sites: service.multi_sites(), machines: service.machines() };
    let mut page =
        Page::new("Topology", live("tree", "topology", "/topology", &render(&tree, visit.may_change())));
    if visit.may_change() {
        page = page.actions("<a class=\"button\" href=\"/topology/regions/new\">New region</a>");
    }
    desk.face.page(&visit, &page)
}

/// The tree.
pub(super) fn render(tree: &Tree, may_change: bool) -> String {
    if tree.regions.is_empty() {
        return "<div class=\"empty\"><p>There is no region yet.</p><p>A region holds multi-sites; a multi-site holds cluster servers with their nodes.</p></div>".to_owned();
    }
    let mut html = String::from("<div class=\"card\"><ul class=\"tree\">");
    for region in &tree.regions {
        let add = adding(may_change, "multi-sites", "region", &region.id, "New multi-site");
        html.push_str(&leaf("globe", &escape(&region.name), &escape(&region.comment), &add));
        let sites = tree.multi_sites.iter().filter(|site| site.region == region.id);
        branch(&mut html, sites, |html, site| multi_site(html, tree, site, may_change));
        html.push_str("</li>");
    }
    html + "</ul></div>"
}

fn multi_site(html: &mut String, tree: &Tree, site: &MultiSiteView, may_change: bool) {
    let add = adding(may_change, "machines", "multi_site", &site.id, "New cluster server");
    html.push_str(&leaf("site", &escape(&site.name), &escape(&site.comment), &add));
    let servers =
        tree.machines.iter().filter(|machine| machine.cs.is_none() && machine.multi_site == site.id);
    branch(html, servers, |html, server| {
        let add = adding(may_change, "machines", "cs", &server.id, "New node");
        machine(html, server, "server", &add);
        let nodes = tree.machines.iter().filter(|machine| machine.cs.as_deref() == Some(&server.id));
        branch(html, nodes, |html, node| {
            machine(html, node, "handset", "");
            html.push_str("</li>");
        });
        html.push_str("</li>");
    });
    html.push_str("</li>");
}

fn machine(html: &mut String, machine: &MachineView, icon: &str, add: &str) {
    let (tone, word) = tone::machine_view(machine);
    let number = match machine.node_number {
        Some(number) if machine.cs.is_some() => format!("node {number} · "),
        _ => String::new(),
    };
    let name = format!(
        "<a href=\"/machines/{}\">{}</a> {}",
        escape(&machine.id),
        escape(&machine.name),
        badge(tone, &word)
    );
    html.push_str(&leaf(icon, &name, &format!("{number}{}", escape(&machine.address)), add));
}

/// A list inside, if it holds anything.
fn branch<'a, T: 'a>(
    html: &mut String,
    items: impl Iterator<Item = &'a T>,
    mut draw: impl FnMut(&mut String, &'a T),
) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        html.push_str("<ul>");
        items.for_each(|item| draw(html, item));
        html.push_str("</ul>");
    }
}

/// One entry; the caller closes it.
fn leaf(icon: &str, name: &str, about: &str, add: &str) -> String {
    let icons = web::assets::url("icons.svg");
    format!(
        "<li><div class=\"leaf\"><svg class=\"icon\" aria-hidden=\"true\"><use href=\"{icons}#{icon}\"/></svg>\
         <span>{name}</span><span class=\"soft\">{about}</span>{add}</div>"
    )
}

fn adding(may_change: bool, what: &str, parameter: &str, id: &str, words: &str) -> String {
    if !may_change {
        return String::new();
    }
    format!("<a class=\"add\" href=\"/topology/{what}/new?{parameter}={}\">{words}</a>", query_escape(id))
}

/// A form of this section.
fn form(visit: &Visit, id: &'static str, action: String, word: &'static str, fields: Vec<Field>) -> Form {
    let mut form = Form::new(id, action, visit.csrf(), word, fields);
    form.cancel = Some("/topology".to_owned());
    form.disabled = visit.administrator().err().map(|refusal| refusal.message);
    form
}

/// A form that was sent.
struct Asked<'a> {
    title: &'a str,
    form: Form,
    sent: &'a Sent,
}

/// The form on its page again, or the way on when what was asked is done.
fn answer<T>(
    desk: &Desk,
    visit: &Visit,
    asked: Asked<'_>,
    result: Result<T, ApiError>,
    done: impl FnOnce(T) -> Response,
) -> Response {
    match result {
        Ok(value) => done(value),
        Err(refusal) => {
            let status = refusal.status;
            let form = asked.form.filled(asked.sent).refused(refusal);
            desk.face.page_with(status, visit, &below(asked.title, form.html()))
        }
    }
}

fn below(title: &str, content: String) -> Page {
    Page::new(title, content).below("Topology", "/topology")
}

fn region_form(visit: &Visit) -> Form {
    let fields = vec![Field::text("name", "Name", ""), Field::text("comment", "Comment", "").optional()];
    form(visit, "region", "/topology/regions/new".to_owned(), "Create region", fields)
}

async fn new_region(State(desk): State<Desk>, visit: Visit) -> Response {
    desk.face.page(&visit, &below("New region", region_form(&visit).html()))
}

async fn create_region(State(desk): State<Desk>, visit: Visit, sent: Sent) -> Response {
    let request =
        RegionRequest { name: sent.get("name").to_owned(), comment: sent.get("comment").to_owned() };
    let result = desk.service.create_region(&visit.principal, &request).await.map_err(ApiError::from);
    let asked = Asked { title: "New region", form: region_form(&visit), sent: &sent };
    answer(&desk, &visit, asked, result, |region| {
        let next = format!("/topology/multi-sites/new?region={}", query_escape(&region.id));
        flash::done(&next, format!("Region {} is there. Now its first multi-site.", region.name))
    })
}

/// Name of the question of DCS-05 in the form.
const WITH_CS: &str = "with_cs";

fn multi_site_form(desk: &Desk, visit: &Visit) -> Form {
    let regions = desk.service.regions().into_iter().map(|region| (region.id, region.name)).collect();
    let region = Query::parse(&visit.query).get("region").unwrap_or_default().to_owned();
    let fields = vec![
        Field::text("name", "Name", ""),
        Field::choice("region", "Region", region, regions),
        with_cluster_server(),
        Field::text("comment", "Comment", "").optional(),
    ];
    form(visit, "multi-site", "/topology/multi-sites/new".to_owned(), "Create multi-site", fields)
}

/// Asked whenever a multi-site is created (DCS-05); yes is the answer for a cluster.
fn with_cluster_server() -> Field {
    let answers = [("yes", "Yes, for a cluster"), ("no", "No")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    Field::choice(WITH_CS, "Create a cluster server in it?", "yes", answers.into())
}

/// Where the answer to that question leads.
pub(super) fn after_multi_site(answer: &str, id: &str, name: &str) -> (String, String) {
    match answer {
        "no" => ("/topology".to_owned(), format!("Multi-site {name} is there, without a cluster server.")),
        _ => (
            format!("/topology/machines/new?multi_site={}", query_escape(id)),
            format!("Multi-site {name} is there. Now its cluster server."),
        ),
    }
}

async fn new_multi_site(State(desk): State<Desk>, visit: Visit) -> Response {
    desk.face.page(&visit, &below("New multi-site", multi_site_form(&desk, &visit).html()))
}

async fn create_multi_site(State(desk): State<Desk>, visit: Visit, sent: Sent) -> Response {
    let request = MultiSiteRequest {
        name: sent.get("name").to_owned(),
        region: sent.get("region").to_owned(),
        comment: sent.get("comment").to_owned(),
    };
    let result = desk.service.create_multi_site(&visit.principal, &request).await.map_err(ApiError::from);
    let asked = Asked { title: "New multi-site", form: multi_site_form(&desk, &visit), sent: &sent };
    answer(&desk, &visit, asked, result, |site| {
        let (next, text) = after_multi_site(sent.get(WITH_CS), &site.id, &site.name);
        flash::done(&next, text)
    })
}

/// What the address says is to be made: a node of this cluster server, else a cluster server.
fn wanted_cs(visit: &Visit) -> Option<String> {
    Query::parse(&visit.query).get("cs").filter(|cs| !cs.is_empty()).map(str::to_owned)
}

fn machine_title(visit: &Visit) -> &'static str {
    if wanted_cs(visit).is_some() { "New node" } else { "New cluster server" }
}

fn machine_form(desk: &Desk, visit: &Visit) -> Form {
    let cs = wanted_cs(visit);
    let mut fields = vec![
        Field::text("name", "Name", ""),
        Field::text("address", "Address", "")
            .hint("Host and port of the machine's web administration, for example 192.0.2.7:7501."),
    ];
    match &cs {
        Some(cs) => {
            let machines = desk.service.machines().into_iter();
            let servers = machines.filter(|machine| machine.cs.is_none()).map(|m| (m.id, m.name)).collect();
            fields.push(Field::choice("cs", "Cluster server", cs.clone(), servers));
            fields.push(
                Field::text("link_address", "Address of the cluster server as the node sees it", "")
                    .optional()
                    .hint("Only where it differs: address translation, a relay."),
            );
        }
        None => {
            let sites = desk.service.multi_sites().into_iter().map(|site| (site.id, site.name)).collect();
            let site = Query::parse(&visit.query).get("multi_site").unwrap_or_default().to_owned();
            fields.push(Field::choice("multi_site", "Multi-site", site, sites));
            fields.push(
                Field::text("domain", "SIP domain", "pleiad.test")
                    .hint("The host part of the phones' addresses."),
            );
            fields.push(
                Field::text("site_number", "Site number", "1")
                    .input(Input::Number)
                    .hint("Shared by all members of the cluster."),
            );
            fields.push(
                Field::text("link_address", "Link address", "")
                    .optional()
                    .hint("Where its nodes dial it; its host and port 7601 if left empty."),
            );
        }
    }
    fields.push(Field::text("postal_address", "Postal address", "").optional());
    fields.push(Field::text("information", "Information", "").optional());
    fields.push(Field::text("comment", "Comment", "").optional());
    let query = cs.map(|cs| format!("?cs={}", query_escape(&cs))).unwrap_or_default();
    let word = if query.is_empty() { "Create cluster server" } else { "Create node" };
    form(visit, "machine", format!("/topology/machines/new{query}"), word, fields)
}

async fn new_machine(State(desk): State<Desk>, visit: Visit) -> Response {
    let page = below(machine_title(&visit), machine_form(&desk, &visit).html());
    desk.face.page(&visit, &page)
}

async fn create_machine(State(desk): State<Desk>, visit: Visit, sent: Sent) -> Response {
    let result = match machine_request(&sent) {
        Ok(request) => desk.service.create_machine(&visit.principal, &request).await.map_err(ApiError::from),
        Err(refusal) => Err(refusal),
    };
    let asked = Asked { title: machine_title(&visit), form: machine_form(&desk, &visit), sent: &sent };
    answer(&desk, &visit, asked, result, |machine| {
        let text = format!("{} is in the topology. Now claim it.", machine.name);
        flash::done(&format!("/machines/{}", machine.id), text)
    })
}

fn machine_request(sent: &Sent) -> Result<MachineCreate, ApiError> {
    let given = |name: &str| Some(sent.get(name).to_owned()).filter(|text| !text.is_empty());
    let site_number = given("site_number").map(|_| sent.number::<u16>("site_number")).transpose()?;
    Ok(MachineCreate {
        name: sent.get("name").to_owned(),
        address: sent.get("address").to_owned(),
        kind: if given("cs").is_some() { MachineKind::Node } else { MachineKind::ClusterServer },
        multi_site: given("multi_site"),
        cs: given("cs"),
        link_address: given("link_address"),
        domain: given("domain"),
        site_number,
        postal_address: sent.get("postal_address").to_owned(),
        information: sent.get("information").to_owned(),
        comment: sent.get("comment").to_owned(),
    })
}
