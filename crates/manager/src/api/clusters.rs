//! The objects of a cluster, passed through to its cluster server; and questions to a machine.

use crate::service::Service;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(objects))
        .routes(routes!(object, put_object, delete_object))
        .routes(routes!(read_machine))
        .routes(routes!(end_call))
        .routes(routes!(put_messages))
        .routes(routes!(lift_ban))
}

/// The objects of a kind.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/objects/{kind}",
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)))]
async fn objects(
    State(service): State<Service>,
    _who: Viewer,
    Path((id, kind)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.objects(&id, &kind).await?))
}

/// One object.
#[utoipa::path(get, path = "/api/v1/clusters/{id}/objects/{kind}/{key}",
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)))]
async fn object(
    State(service): State<Service>,
    _who: Viewer,
    Path((id, kind, key)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.object(&id, &kind, &key).await?))
}

/// Writes an object at the cluster server.
#[utoipa::path(put, path = "/api/v1/clusters/{id}/objects/{kind}/{key}", request_body = Value,
    responses((status = 200, body = Value), (status = 400, body = ErrorBody)))]
async fn put_object(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path((id, kind, key)): Path<(String, String, String)>,
    Json(value): Json<Value>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.put_object(&who, &id, &kind, &key, &value).await?))
}

/// Deletes an object at the cluster server.
#[utoipa::path(delete, path = "/api/v1/clusters/{id}/objects/{kind}/{key}",
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)))]
async fn delete_object(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path((id, kind, key)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.delete_object(&who, &id, &kind, &key).await?))
}

/// What a machine's own API answers to a GET: `authority`, `state`, `bans`, `bindings`, `calls`, `calls/{session}/ladder`,
/// `calls/{session}/pcap`, `records`, `explain`, `objects/{kind}`.
#[utoipa::path(get, path = "/api/v1/machines/{id}/machine-api/{*path}",
    responses((status = 200, body = Value), (status = 400, body = ErrorBody)))]
async fn read_machine(
    State(service): State<Service>,
    _who: Viewer,
    Path((id, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let body = service.read_machine(&id, &path, query.as_deref()).await?;
    let kind = match body.first() {
        Some(b'{' | b'[') => "application/json",
        _ if path == "authority" => "application/x-pem-file",
        _ if path.ends_with("/pcap") => "application/vnd.tcpdump.pcap",
        _ => "text/plain; charset=utf-8",
    };
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

/// Ends a call at a machine.
#[utoipa::path(post, path = "/api/v1/machines/{id}/calls/{call}/end",
    responses((status = 200), (status = 404, body = ErrorBody)))]
async fn end_call(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path((id, call)): Path<(String, String)>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.end_call(&who, &id, &call).await?))
}

/// How many messages wait for a subscriber whose phones are registered at the machine: their lamps show it.
#[utoipa::path(put, path = "/api/v1/machines/{id}/lines/{extension}/messages", request_body = Value,
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)))]
async fn put_messages(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path((id, extension)): Path<(String, String)>,
    Json(messages): Json<Value>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.put_messages(&who, &id, &extension, &messages).await?))
}

#[derive(Debug, Deserialize)]
struct As {
    user: Option<String>,
}

/// Lets somebody off whom a machine braked for wrong passwords.
#[utoipa::path(delete, path = "/api/v1/machines/{id}/bans/{source_ip}",
    params(("id" = String, Path), ("source_ip" = String, Path), ("user" = Option<String>, Query)),
    responses((status = 200), (status = 404, body = ErrorBody)))]
async fn lift_ban(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path((id, source_ip)): Path<(String, IpAddr)>,
    Query(As { user }): Query<As>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.lift_ban(&who, &id, source_ip, user.as_deref()).await?))
}
