//! One machine: who it is, how it is, what to do with it next, what was done with it.

use super::overview::clock;
use super::{Desk, operations, tone};
use crate::view::{Deployment, MachineKind, MachineView, Operation, Progress, StepReport};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use std::fmt::Write as _;
use store::OperationQuery;
use web::face::Page;
use web::flash;
use web::form::{Field, Form, Sent};
use web::view::{Cell, Tone, badge, escape, live, properties, span};
use web::{ApiError, Visit};

/// Operations shown on the page.
const LAST_OPERATIONS: u32 = 20;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/machines/{id}", get(machine))
        .route("/machines/{id}/claim", post(claim))
        .route("/machines/{id}/identify", post(identify))
        .route("/machines/{id}/configure", post(configure))
        .route("/machines/{id}/delete", post(delete))
}

async fn machine(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    show(&desk, &visit, &id, StatusCode::OK, None).await
}

/// A step that was refused, to be shown where it was asked for.
struct Refused {
    step: &'static str,
    refusal: ApiError,
}

async fn show(
    desk: &Desk,
    visit: &Visit,
    id: &str,
    status: StatusCode,
    refused: Option<Refused>,
) -> Result<Response, ApiError> {
    let view = desk.service.machine_of(id)?;
    let query =
        OperationQuery { target: Some(id.to_owned()), limit: LAST_OPERATIONS, ..OperationQuery::default() };
    let log = desk.service.operations(query).await?;
    let content = render(&view, &log, visit, refused.as_ref());
    let page = Page::new(&view.name, content).below("Topology", "/topology");
    Ok(desk.face.page_with(status, visit, &page))
}

/// The page's content.
fn render(view: &MachineView, log: &[Operation], visit: &Visit, refused: Option<&Refused>) -> String {
    let here = format!("/machines/{}", view.id);
    let facts = live("facts", "map", &here, &facts(view));
    let steps = deployment(view, visit, refused);
    let mut html = format!(
        "<div class=\"grid wide\"><div class=\"stack\">{facts}</div><div class=\"stack\">{steps}</div></div>"
    );
    let table = operations::table(log).render_short();
    let _infallible =
        write!(html, "<h2>Operations on this machine</h2>{}", live("log", "operation", &here, &table));
    if visit.may_change() {
        let _infallible = write!(html, "<h2>Remove</h2>{}", removal(view, visit).html());
    }
    html
}

fn kind_words(view: &MachineView) -> String {
    match (view.kind, view.node_number) {
        (MachineKind::ClusterServer, _) => "cluster server".to_owned(),
        (MachineKind::Node, Some(number)) => format!("node {number}"),
        (MachineKind::Node, None) => "node, no number yet".to_owned(),
    }
}

fn facts(view: &MachineView) -> String {
    let (tone, word) = tone::machine_view(view);
    let text = |value: &Option<String>| value.as_ref().map_or(Cell::None, Cell::text);
    let code = |value: &Option<String>| value.as_ref().map_or(Cell::None, Cell::code);
    let free = |value: &str| if value.is_empty() { Cell::None } else { Cell::text(value) };
    let address = format!("https://{}/", view.address);
    let mut rows = vec![
        ("State", Cell::badge(tone, word)),
        ("Role", Cell::text(kind_words(view))),
        ("Web administration", Cell::link(&address, address.clone())),
    ];
    if let Some(cs) = &view.cs {
        rows.push(("Cluster server", Cell::link(cs, format!("/machines/{cs}"))));
    }
    rows.extend([
        ("Cluster", code(&view.cluster)),
        ("Release", text(&view.release)),
        ("Hardware type", text(&view.hardware_type)),
        ("Dongle id", code(&view.dongle_id)),
        ("Clock offset", view.clock_offset_ms.map_or(Cell::None, clock)),
        ("Certificate SHA-256", code(&view.fingerprint)),
        ("SIP domain", text(&view.domain)),
        ("Site number", Cell::Number(view.site_number.into())),
        ("Link address", text(&view.link_address)),
        ("Postal address", free(&view.postal_address)),
        ("Information", free(&view.information)),
        ("Comment", free(&view.comment)),
    ]);
    rows.retain(|(_, cell)| *cell != Cell::None);
    format!("<section class=\"card\"><h2>Identity</h2>{}</section>{}", properties(&rows), sight(view))
}

/// What supervision last heard.
fn sight(view: &MachineView) -> String {
    let Some(live) = &view.live else { return String::new() };
    let mut rows = Vec::new();
    if let Some(sight) = &live.sight {
        rows.extend([
            ("Says it is", Cell::text(format!("{}, {}", sight.role, sight.state))),
            ("Revision", Cell::Number(sight.revision)),
            ("Digest", Cell::code(sight.digest.get(..16).unwrap_or(&sight.digest))),
            ("Subscribers", Cell::Number(sight.subscribers)),
            ("Phones registered", Cell::Number(sight.bindings)),
            ("Calls in progress", Cell::Number(sight.calls)),
            ("Clock now", clock(sight.clock_offset_ms)),
            ("Heard", Cell::text(format!("{} ago", span(live.age_ms)))),
        ]);
    }
    if live.since_ms > 0 {
        rows.push(("Since", Cell::Time(live.since_ms)));
    }
    if !live.fault.is_empty() {
        rows.push(("Last fault", Cell::text(&live.fault)));
    }
    if rows.is_empty() {
        return String::new();
    }
    format!("<section class=\"card\"><h2>Live state</h2>{}</section>", properties(&rows))
}

/// The three steps, each with its form or with why it cannot be done now.
fn deployment(view: &MachineView, visit: &Visit, refused: Option<&Refused>) -> String {
    let next = match view.next.as_str() {
        "" => String::new(),
        next => format!("<p class=\"next\">{}</p>", escape(next)),
    };
    let mut html = format!("<section class=\"card\"><h2>Deployment</h2>{next}<ol class=\"steps\">");
    for step in [claim_step(view, visit), identify_step(view, visit), configure_step(view, visit)] {
        let done = if step.done { badge(Tone::Good, "done") } else { String::new() };
        let mut form = step.form;
        form.disabled = form.disabled.or(visit.administrator().err().map(|refusal| refusal.message));
        if let Some(refused) = refused.filter(|refused| refused.step == form.id) {
            form = form.refused(refused.refusal.clone());
        }
        let form = form.html().replacen("class=\"card form\"", "class=\"form\"", 1);
        let _infallible = write!(
            html,
            "<li><strong>{}</strong> {done}<p class=\"hint\">{}</p>{form}</li>",
            step.title, step.about
        );
    }
    html + "</ol></section>"
}

struct Step {
    title: &'static str,
    about: &'static str,
    done: bool,
    form: Form,
}

fn step_form(
    view: &MachineView,
    visit: &Visit,
    id: &'static str,
    word: &'static str,
    fields: Vec<Field>,
) -> Form {
    Form::new(id, format!("/machines/{}/{id}", view.id), visit.csrf(), word, fields)
}

fn claim_step(view: &MachineView, visit: &Visit) -> Step {
    let done = view.progress > Progress::Created;
    let field =
        Field::text("code", "Claim code", "").hint("Shown on the machine's console until it is claimed.");
    let mut form = step_form(view, visit, "claim", "Claim", if done { Vec::new() } else { vec![field] });
    if done {
        form.disabled = Some("It obeys this manager already.".to_owned());
    }
    Step { title: "Claim", about: "From then on the machine obeys this manager only.", done, form }
}

fn identify_step(view: &MachineView, visit: &Visit) -> Step {
    let done = view.progress > Progress::Claimed;
    let mut form =
        step_form(view, visit, "identify", if done { "Identify again" } else { "Identify" }, Vec::new());
    if view.progress == Progress::Created {
        form.disabled = Some("Claim it first.".to_owned());
    }
    Step {
        title: "Identify",
        about: "Reads release, hardware type, dongle id and clock, and checks that they fit.",
        done,
        form,
    }
}

fn configure_step(view: &MachineView, visit: &Visit) -> Step {
    let done = view.progress == Progress::Configured;
    let force = Field::check("force", "Even while calls are up", false)
        .hint("A change of role ends all calls of the machine.");
    let word = if done { "Configure again" } else { "Configure" };
    let mut form = step_form(view, visit, "configure", word, vec![force]);
    if view.progress < Progress::Identified {
        form.disabled = Some("Identify it first.".to_owned());
    }
    Step {
        title: "Configure",
        about: "Gives it its role, its number and its certificate, and waits until it is in service.",
        done,
        form,
    }
}

fn removal(view: &MachineView, visit: &Visit) -> Form {
    let confirm = Field::text("confirm", "Type its name to remove it from the topology", "")
        .hint("Its identity is refused from then on; its data stay on the machine.");
    let mut form = step_form(view, visit, "delete", "Remove", vec![confirm]);
    form.danger = true;
    form
}

/// A refused step brings its page back.
async fn settle(
    desk: &Desk,
    visit: &Visit,
    id: &str,
    step: &'static str,
    result: Result<Deployment, ApiError>,
) -> Result<Response, ApiError> {
    match result {
        Ok(done) => Ok(finished(desk, visit, id, step, &done)),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Err(refusal),
        Err(refusal) => show(desk, visit, id, refusal.status, Some(Refused { step, refusal })).await,
    }
}

/// A configured machine is told on a final screen (DCS-20); a smaller step on the machine's own page.
fn finished(desk: &Desk, visit: &Visit, id: &str, step: &str, done: &Deployment) -> Response {
    if step == "configure" {
        let title = format!("{} is configured", done.machine.name);
        return desk.face.page(visit, &Page::new(title, final_screen(done)).below("Topology", "/topology"));
    }
    let text = format!("{}: {step} is done.{}", done.machine.name, notes(&done.warnings));
    flash::done(&format!("/machines/{id}"), text)
}

fn notes(warnings: &[String]) -> String {
    warnings.iter().map(|warning| format!(" Note: {warning}.")).collect()
}

/// What was done, the password that is shown once, and the way back to the topology.
pub(super) fn final_screen(done: &Deployment) -> String {
    let mut html = format!(
        "<p class=\"notice\" role=\"status\">Every step was done.{}</p>",
        escape(&notes(&done.warnings))
    );
    if let Some(password) = &done.admin_password {
        let rows = [
            ("Web administration", Cell::text(format!("https://{}/", done.machine.address))),
            ("User", Cell::code("admin")),
            ("Password", Cell::code(password)),
        ];
        let _infallible = write!(
            html,
            "<p class=\"notice warn\">The password of the machine's own web administration is shown here and nowhere \
             again.</p><div class=\"card\">{}</div>",
            properties(&rows)
        );
    }
    let _infallible = write!(
        html,
        "<h2>Steps</h2><div class=\"card\">{}</div><p><a class=\"button\" href=\"/topology\">Finish</a> \
         <a href=\"/machines/{}\">The machine's page</a></p>",
        steps(&done.steps),
        escape(&done.machine.id)
    );
    html
}

fn steps(steps: &[StepReport]) -> String {
    let mut html = String::from("<ol class=\"steps\">");
    for step in steps {
        let _infallible = write!(
            html,
            "<li><strong>{}</strong> {} <span class=\"soft\">{}</span><p>{}</p></li>",
            escape(&step.step),
            badge(tone::outcome(step.outcome), step.outcome.name()),
            span(step.duration_ms),
            escape(&step.detail)
        );
    }
    html + "</ol>"
}

async fn claim(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, ApiError> {
    let result = desk.service.claim(&visit.principal, &id, sent.get("code")).await;
    settle(&desk, &visit, &id, "claim", result.map_err(ApiError::from)).await
}

async fn identify(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let result = desk.service.identify(&visit.principal, &id).await;
    settle(&desk, &visit, &id, "identify", result.map_err(ApiError::from)).await
}

async fn configure(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, ApiError> {
    let result = desk.service.configure(&visit.principal, &id, sent.is_on("force")).await;
    settle(&desk, &visit, &id, "configure", result.map_err(ApiError::from)).await
}

async fn delete(
    State(desk): State<Desk>,
    visit: Visit,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response, ApiError> {
    let here = format!("/machines/{id}");
    let view = desk.service.machine_of(&id)?;
    if sent.get("confirm") != view.name {
        return Ok(flash::failed(&here, format!("Nothing was removed: type '{}' to remove it.", view.name)));
    }
    match desk.service.delete_machine(&visit.principal, &id).await.map_err(ApiError::from) {
        Ok(()) => Ok(flash::done("/topology", format!("{} is removed.", view.name))),
        Err(refusal) => Ok(flash::failed(&here, refusal.to_string())),
    }
}
