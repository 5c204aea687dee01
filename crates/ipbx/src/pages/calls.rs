//! Calls: in progress, ended, and one of them in full.

use super::overview::between;
use super::{Desk, ladder};
use crate::service::calls::{self as service, EndedCall, LiveCall};
use ::media::relay::Traffic;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use call::{CallMedia, EndedBy, MediaPath, MediaTraffic, Party, Progress, Role};
use model::Cause;
use model::routing::{Decision, Outcome, Verdict};
use web::common_data::explanation;
use web::face::Page;
use web::flash;
use web::table::{Column, Empty, Query, Table};
use web::view::{Cell, Tone, escape, live, properties, query_escape};
use web::{ApiError, Visit};

/// Ended calls the list loads at a time.
const ENDED_LOADED: u32 = 500;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/calls", get(calls))
        .route("/calls/{session}", get(one))
        .route("/calls/{session}/end", post(end))
}

async fn calls(State(desk): State<Desk>, visit: Visit) -> Result<Response, ApiError> {
    let now = service::live(&desk.machine).await?;
    let ended = service::records(&desk.machine, None, Some(ENDED_LOADED)).await?;
    let here = format!("/calls?{}", visit.query);
    let csrf = visit.may_change().then(|| visit.csrf());
    let content = format!(
        "<h2>In progress</h2>{}<h2>Ended</h2>{}",
        live("live-calls", "calls", &here, &in_progress(&now, csrf).render_short()),
        live("ended-calls", "records", &here, &over(&ended).render(&Query::parse(&visit.query))),
    );
    desk.show(&visit, Page::new("Calls", content)).await
}

const fn column(key: &'static str, label: &'static str) -> Column {
    Column { key, label }
}

/// Calls in progress; `csrf` is given to who may end them.
pub(super) fn in_progress(calls: &[LiveCall], csrf: Option<&str>) -> Table {
    let mut columns = vec![
        column("caller", "Caller"),
        column("called", "Called"),
        column("progress", "Progress"),
        column("since", "Since"),
        column("answered", "Answered"),
        column("part", "Part of this member"),
    ];
    if csrf.is_some() {
        columns.push(column("actions", ""));
    }
    let row = |live: &LiveCall| {
        let mut row = vec![
            Cell::link(party(&live.call.caller), address(&live.call.session)),
            Cell::text(party(&live.call.called)),
            progress(live.call.progress),
            Cell::Time(live.created_ms),
            live.answered_ms.map_or(Cell::None, Cell::Time),
            Cell::text(part(live.call.role)),
        ];
        row.extend(csrf.map(|csrf| Cell::Html(end_form(live, csrf))));
        row
    };
    Table {
        noun: "calls in progress",
        columns,
        rows: calls.iter().map(row).collect(),
        empty: Empty { text: "No call is in progress at this member.".to_owned(), next: None },
    }
}

fn end_form(live: &LiveCall, csrf: &str) -> String {
    format!(
        "<form method=\"post\" action=\"/calls/{id}/end\"><input type=\"hidden\" name=\"_csrf\" value=\"{}\">\
         <button class=\"quiet\" type=\"submit\">End<span class=\"unseen\"> call from {} to {}</span></button></form>",
        escape(csrf),
        escape(&live.call.caller.number),
        escape(&live.call.called.number),
        id = live.id,
    )
}

/// Calls that ended.
pub(super) fn over(calls: &[EndedCall]) -> Table {
    let row = |ended: &EndedCall| {
        let record = &ended.record;
        vec![
            Cell::link(party(&record.caller), address(&record.session)),
            Cell::code(&record.dialled),
            Cell::text(party(&record.called)),
            Cell::Time(ended.created_ms),
            ended.answered_ms.map_or(Cell::None, |answered| Cell::text(between(answered, ended.ended_ms))),
            cause(record.cause),
            Cell::text(member(record.member.into())),
            Cell::text(part(record.role)),
        ]
    };
    Table {
        noun: "ended calls",
        columns: vec![
            column("caller", "Caller"),
            column("dialled", "Dialled"),
            column("called", "Called"),
            column("when", "When"),
            column("talked", "Talked"),
            column("cause", "Ended by"),
            column("member", "Member"),
            column("part", "Part"),
        ],
        rows: calls.iter().map(row).collect(),
        empty: Empty { text: "No call has ended yet.".to_owned(), next: None },
    }
}

fn address(session: &str) -> String {
    format!("/calls/{}", query_escape(session))
}

fn party(party: &Party) -> String {
    match party.name.as_str() {
        "" => party.number.clone(),
        name => format!("{} · {name}", party.number),
    }
}

fn member(number: u16) -> String {
    if number == 0 { "cluster server".to_owned() } else { format!("node {number}") }
}

fn part(role: Role) -> &'static str {
    match role {
        Role::Originating => "caller's edge",
        Role::Terminating => "called party's edge",
    }
}

fn progress(progress: Progress) -> Cell {
    match progress {
        Progress::Routing => Cell::badge(Tone::Busy, "routing"),
        Progress::Ringing => Cell::badge(Tone::Busy, "ringing"),
        Progress::Talking => Cell::badge(Tone::Good, "talking"),
        Progress::Ended => Cell::badge(Tone::Idle, "ended"),
    }
}

/// What people do is no fault; what the system could not do is.
fn cause(cause: Cause) -> Cell {
    let tone = match cause {
        Cause::NormalClearing => Tone::Good,
        Cause::Cancelled | Cause::Busy | Cause::NoAnswer | Cause::Declined | Cause::SubscriberAbsent => {
            Tone::Idle
        }
        Cause::Barred | Cause::UnallocatedNumber | Cause::InvalidNumber | Cause::EndedByOperator => {
            Tone::Warn
        }
        _ => Tone::Bad,
    };
    Cell::badge(tone, cause.text())
}

async fn one(
    State(desk): State<Desk>,
    visit: Visit,
    Path(session): Path<String>,
) -> Result<Response, ApiError> {
    let records = service::records_of(&desk.machine, &session).await?;
    let now = service::live(&desk.machine).await?.into_iter().find(|live| live.call.session == session);
    let drawn = service::ladder(&desk.machine, &session).await;
    if records.is_empty() && now.is_none() && drawn.is_err() {
        return Err(ApiError::not_found("call of this session at this member"));
    }
    let here = address(&session);
    let facts: String = now.iter().map(in_words).chain(records.iter().map(record_card)).collect();
    let steps = records.iter().find(|ended| !ended.record.steps.is_empty()).map(decided).unwrap_or_default();
    let flow = match &drawn {
        Ok(ladder) => ladder::draw(ladder),
        Err(refusal) => format!("<p class=\"notice\">{}</p>", escape(&refusal.to_string())),
    };
    let content = format!(
        "{}<h2>Call flow</h2>{flow}{steps}",
        live("facts", "records", &here, &format!("<div class=\"grid\">{facts}</div>"))
    );
    let mut page = Page::new(title(now.as_ref(), &records), content).below("Calls", "/calls");
    if drawn.is_ok() {
        let pcap = format!("/api/v1/calls/{}/pcap", query_escape(&session));
        page = page.actions(format!("<a class=\"button quiet\" href=\"{pcap}\" download>Download pcap</a>"));
    }
    desk.show(&visit, page).await
}

fn title(now: Option<&LiveCall>, records: &[EndedCall]) -> String {
    let ends = now.map(|live| (&live.call.caller, &live.call.called));
    let ends = ends.or_else(|| records.first().map(|ended| (&ended.record.caller, &ended.record.called)));
    ends.map_or_else(|| "Call".to_owned(), |(from, to)| format!("Call {} → {}", from.number, to.number))
}

fn card(title: &str, rows: &[(&str, Cell)]) -> String {
    format!("<section class=\"card\"><h2>{title}</h2>{}</section>", properties(rows))
}

fn in_words(live: &LiveCall) -> String {
    card(
        "In progress",
        &[
            ("Progress", progress(live.call.progress)),
            ("Caller", Cell::text(party(&live.call.caller))),
            ("Called", Cell::text(party(&live.call.called))),
            ("Since", Cell::Time(live.created_ms)),
            ("Answered", live.answered_ms.map_or(Cell::None, Cell::Time)),
            ("Media", Cell::text(media(&live.call.media))),
            ("Session", Cell::code(&live.call.session)),
        ],
    )
}

fn record_card(ended: &EndedCall) -> String {
    let record = &ended.record;
    let by = match record.ended_by {
        EndedBy::Caller => "the caller",
        EndedBy::Called => "the called party",
        EndedBy::System => "the system",
    };
    card(
        if record.role == Role::Originating { "Call record" } else { "Leg record" },
        &[
            ("Ended by", cause(record.cause)),
            ("Who ended it", Cell::text(by)),
            ("SIP · Q.850", Cell::code(format!("{} · {}", record.cause.status(), record.cause.q850()))),
            ("Caller", Cell::text(party(&record.caller))),
            ("Dialled", Cell::code(&record.dialled)),
            ("Called", Cell::text(party(&record.called))),
            ("Began", Cell::Time(ended.created_ms)),
            ("Answered", ended.answered_ms.map_or(Cell::None, Cell::Time)),
            ("Ended", Cell::Time(ended.ended_ms)),
            ("Media", Cell::text(media(&record.media))),
            ("Written by", Cell::text(member(record.member.into()))),
            ("Session", Cell::code(&record.session)),
        ],
    )
}

/// Which way the sound took, who could overhear it, and what was lost of it.
fn media(media: &CallMedia) -> String {
    let way = match media.path {
        MediaPath::None => return "none agreed".to_owned(),
        MediaPath::Direct => "direct",
        MediaPath::Anchored => "through this member",
    };
    let keys = match (media.caller_encrypted, media.called_encrypted) {
        (true, true) => "encrypted",
        (true, false) => "encrypted on the caller's side",
        (false, true) => "encrypted on the called side",
        (false, false) => "not encrypted",
    };
    let mut text = format!("{way}, {keys}");
    if let Some(MediaTraffic { caller, called }) = &media.traffic {
        let sent = |of: &Traffic| format!("{} packets, {} lost", of.packets, of.lost);
        text += &format!("; from the caller {}; from the called party {}", sent(caller), sent(called));
    }
    if media.failed {
        text += "; no port could be taken";
    } else if media.silent {
        text += "; both sides are silent";
    }
    text
}

/// Why the call went where it went.
fn decided(ended: &EndedCall) -> String {
    let record = &ended.record;
    let refused = ended.answered_ms.is_none() && record.ended_by == EndedBy::System;
    let bound_here = record.steps.iter().any(|step| step.verdict == Verdict::BoundHere);
    let outcome = match record.called.number.parse() {
        Ok(target) if bound_here => Outcome::Local(target),
        Ok(target) if !refused => Outcome::Elsewhere(target),
        _ => Outcome::Refused(record.cause),
    };
    let decision = Decision { outcome, emergency: record.emergency, steps: record.steps.clone() };
    format!("<h2>Why it went there</h2>{}", explanation(&record.dialled, &decision))
}

async fn end(State(desk): State<Desk>, visit: Visit, Path(id): Path<u64>) -> Result<Response, ApiError> {
    match service::end(&desk.machine, &visit.principal, id).await {
        Ok(()) => Ok(flash::done("/calls", "The call is being ended.")),
        Err(refusal) => Ok(flash::failed("/calls", refusal.to_string())),
    }
}
