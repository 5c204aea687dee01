//! The objects of a cluster, passed through to its cluster server; and questions to a machine.

use crate::service::Service;
use axum::extract::{Path, RawQuery, State};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(objects))
        .routes(routes!(object, put_object, delete_object))
        .routes(routes!(ask))
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

/// What a machine itself says: `state`, `bindings`, `calls`, `records`, `explain`.
#[utoipa::path(get, path = "/api/v1/machines/{id}/ask/{what}",
    responses((status = 200, body = Value), (status = 400, body = ErrorBody)))]
async fn ask(
    State(service): State<Service>,
    _who: Viewer,
    Path((id, what)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(service.ask(&id, &what, query.as_deref()).await?))
}
