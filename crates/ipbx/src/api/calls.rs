//! Registrations, calls, records, traces, explanation.

use crate::machine::Machine;
use crate::service::calls::{self as service, BindingView, EndedCall, LiveCall};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::routing::Decision;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new()
        .routes(routes!(bindings))
        .routes(routes!(live))
        .routes(routes!(records))
        .routes(routes!(ladder))
        .routes(routes!(pcap))
        .routes(routes!(end))
        .routes(routes!(explain))
}

/// The registered phones; on a cluster server those of its nodes too.
#[utoipa::path(get, path = "/api/v1/bindings", security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn bindings(
    State(machine): State<Machine>,
    _viewer: Viewer,
) -> Result<Json<Vec<BindingView>>, ApiError> {
    service::bindings(&machine).await.map(Json)
}

/// The calls in progress at this edge.
#[utoipa::path(get, path = "/api/v1/calls", security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn live(State(machine): State<Machine>, _viewer: Viewer) -> Result<Json<Vec<LiveCall>>, ApiError> {
    service::live(&machine).await.map(Json)
}

#[derive(Debug, Deserialize)]
struct Page {
    before: Option<u64>,
    limit: Option<u32>,
}

/// The calls that ended, newest first.
#[utoipa::path(get, path = "/api/v1/records",
    params(("limit" = Option<u32>, Query), ("before" = Option<u64>, Query)),
    security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn records(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Query(page): Query<Page>,
) -> Result<Json<Vec<EndedCall>>, ApiError> {
    service::records(&machine, page.before, page.limit).await.map(Json)
}

#[derive(Debug, Deserialize)]
struct Form {
    format: Option<String>,
}

/// The call-flow diagram of a call: JSON, or text with `?format=text`.
#[utoipa::path(get, path = "/api/v1/calls/{session}/ladder",
    params(("session" = String, Path), ("format" = Option<String>, Query)), security(("bearer" = [])),
    responses((status = 200, body = crate::trace::ladder::Ladder), (status = 404, body = ErrorBody)))]
async fn ladder(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Path(session): Path<String>,
    Query(form): Query<Form>,
) -> Result<Response, ApiError> {
    let ladder = service::ladder(&machine, &session).await?;
    Ok(match form.format.as_deref() {
        Some("text") => ladder.text().into_response(),
        _ => Json(ladder).into_response(),
    })
}

/// The messages of a call for Wireshark.
#[utoipa::path(get, path = "/api/v1/calls/{session}/pcap", params(("session" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap"), (status = 404, body = ErrorBody)))]
async fn pcap(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Path(session): Path<String>,
) -> Result<Response, ApiError> {
    let file = service::capture(&machine, &session).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"call.pcap\""),
    ];
    Ok((headers, file).into_response())
}

/// Ends a call in progress, by its number at this edge.
#[utoipa::path(post, path = "/api/v1/calls/{session}/end", params(("session" = u64, Path, description = "the call's id")),
    security(("bearer" = [])), responses((status = 202, body = Value), (status = 404, body = ErrorBody)))]
async fn end(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Path(id): Path<u64>,
) -> Result<Response, ApiError> {
    service::end(&machine, &principal, id).await?;
    Ok((axum::http::StatusCode::ACCEPTED, Json(json!({ "ending": id }))).into_response())
}

#[derive(Debug, Deserialize)]
struct Question {
    from: String,
    to: String,
}

/// What a call would do now, each rule with its verdict.
#[utoipa::path(get, path = "/api/v1/explain", params(("from" = String, Query), ("to" = String, Query)),
    security(("bearer" = [])), responses((status = 200, body = Value), (status = 400, body = ErrorBody)))]
async fn explain(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Query(question): Query<Question>,
) -> Result<Json<Decision>, ApiError> {
    service::explain(&machine, &question.from, &question.to).await.map(Json)
}
