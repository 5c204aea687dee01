//! Who is not heard, and the button that lets somebody off.

use super::Desk;
use crate::service::bans::{self as service, BanView, Why};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use call::Suspect;
use std::net::IpAddr;
use web::face::Page;
use web::flash;
use web::form::Sent;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, Tone, escape, live};
use web::{ApiError, Visit};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/bans", get(bans)).route("/bans/lift", post(lift))
}

async fn bans(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let held = service::bans(&desk.machine).await?;
    let here = format!("/bans?{}", visit.query);
    let csrf = visit.may_change().then(|| visit.csrf());
    let list = live("bans", "bans", &here, &table(&held, csrf).render(&Query::parse(&visit.query)));
    desk.show(&visit, Page::new("Bans", list)).await
}

/// Who is not heard; `csrf` is given to who may let somebody off.
pub(super) fn table(bans: &[BanView], csrf: Option<&str>) -> Table {
    let column = |key, label| Column { key, label };
    let mut columns = vec![
        column("source", "From"),
        column("user", "As"),
        column("why", "Why"),
        column("count", "How often"),
        column("until", "Until"),
    ];
    if csrf.is_some() {
        columns.push(column("actions", ""));
    }
    Table {
        noun: "bans",
        columns,
        rows: bans.iter().map(|ban| row(ban, csrf)).collect(),
        empty: Empty {
            text: "Everybody is heard. Who sends wrong passwords again and again, or floods this machine, is listed here while it is refused."
                .to_owned(),
            next: None,
        },
    }
}

fn row(ban: &BanView, csrf: Option<&str>) -> Vec<Cell> {
    let everybody = "all who are not registered from there";
    let why = match ban.why {
        Why::WrongPasswords => Cell::badge(Tone::Warn, "wrong passwords"),
        Why::Flood => Cell::badge(Tone::Bad, "flood of datagrams"),
    };
    let mut row = vec![
        Cell::code(ban.source_ip),
        ban.user.as_ref().map_or_else(|| Cell::text(everybody), Cell::code),
        why,
        Cell::Number(ban.count),
        Cell::Time(ban.until_ms),
    ];
    row.extend(csrf.map(|csrf| match ban.why {
        Why::WrongPasswords => Cell::Html(lift_form(ban, csrf)),
        Why::Flood => Cell::None,
    }));
    row
}

fn lift_form(ban: &BanView, csrf: &str) -> String {
    let hidden = |name: &str, value: &str| {
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value))
    };
    let (source, user) = (ban.source_ip.to_string(), ban.user.as_deref().unwrap_or_default());
    format!(
        "<form method=\"post\" action=\"/bans/lift\">{}{}{}<button class=\"quiet\" type=\"submit\">Lift\
         <span class=\"unseen\"> ban of {} {}</span></button></form>",
        hidden("_csrf", csrf),
        hidden("source_ip", &source),
        hidden("user", user),
        escape(&source),
        escape(user),
    )
}

async fn lift(State(desk): State<Desk>, visit: Visit, sent: Sent) -> Response {
    match lifted(&desk, &visit, &sent).await {
        Ok(()) => flash::done("/bans", "The ban is lifted."),
        Err(refusal) => flash::failed("/bans", refusal.to_string()),
    }
}

async fn lifted(desk: &Desk, visit: &Visit, sent: &Sent) -> Result<(), ApiError> {
    let source_ip: IpAddr = sent
        .get("source_ip")
        .parse()
        .map_err(|_| ApiError::bad_request("no-address", "source_ip: an IP address is needed"))?;
    let user = Some(sent.get("user")).filter(|user| !user.is_empty()).map(str::to_owned);
    service::lift(&desk.machine, &visit.principal, Suspect { source_ip, user }).await
}
