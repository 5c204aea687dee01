//! The objects of the configuration.

use crate::machine::Machine;
use crate::service::objects::{self as service, ObjectView, Written};
use axum::extract::{Path, State};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, put, delete))
}

/// All objects of a kind.
#[utoipa::path(get, path = "/api/v1/objects/{kind}", params(("kind" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = Vec<ObjectView>), (status = 404, body = ErrorBody)))]
async fn list(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Path(kind): Path<String>,
) -> Result<Json<Vec<ObjectView>>, ApiError> {
    service::list(&machine, &kind).await.map(Json)
}

/// One object.
#[utoipa::path(get, path = "/api/v1/objects/{kind}/{key}", params(("kind" = String, Path), ("key" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = ObjectView), (status = 404, body = ErrorBody)))]
async fn get(
    State(machine): State<Machine>,
    _viewer: Viewer,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Json<ObjectView>, ApiError> {
    service::get(&machine, &kind, &key).await.map(Json)
}

/// Writes an object; in force here and handed to every node before the answer.
#[utoipa::path(put, path = "/api/v1/objects/{kind}/{key}", params(("kind" = String, Path), ("key" = String, Path)),
    request_body = Value, security(("bearer" = [])),
    responses((status = 200, body = Written), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn put(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Path((kind, key)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Json<Written>, ApiError> {
    service::put(&machine, &principal, &kind, &key, body).await.map(Json)
}

/// Removes an object.
#[utoipa::path(delete, path = "/api/v1/objects/{kind}/{key}", params(("kind" = String, Path), ("key" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Written), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn delete(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Path((kind, key)): Path<(String, String)>,
) -> Result<Json<Written>, ApiError> {
    service::delete(&machine, &principal, &kind, &key).await.map(Json)
}
