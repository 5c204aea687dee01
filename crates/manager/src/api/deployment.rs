//! Claim, identify, configure; and the announcements of machines.

use super::bearer;
use crate::machine::wire::Announcement;
use crate::service::{Heard, Service};
use crate::view::{ClaimRequest, ConfigureRequest, Deployment};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json};

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(claim))
        .routes(routes!(identify))
        .routes(routes!(configure))
        .routes(routes!(announce))
}

/// Claims a machine with the code it shows.
#[utoipa::path(post, path = "/api/v1/machines/{id}/claim", request_body = ClaimRequest,
    responses((status = 200, body = Deployment), (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
async fn claim(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<Deployment>, ApiError> {
    Ok(Json(service.claim(&who, &id, &request.code).await?))
}

/// Reads and checks a machine's identity.
#[utoipa::path(post, path = "/api/v1/machines/{id}/identify",
    responses((status = 200, body = Deployment), (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
async fn identify(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
) -> Result<Json<Deployment>, ApiError> {
    Ok(Json(service.identify(&who, &id).await?))
}

/// Gives a machine its role and waits until it is in service.
#[utoipa::path(post, path = "/api/v1/machines/{id}/configure", request_body = ConfigureRequest,
    responses((status = 200, body = Deployment), (status = 409, body = ErrorBody), (status = 504, body = ErrorBody)))]
async fn configure(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    Json(request): Json<ConfigureRequest>,
) -> Result<Json<Deployment>, ApiError> {
    Ok(Json(service.configure(&who, &id, request.force).await?))
}

/// PBX_INFOS: a machine says that it has started or taken a role (DEP-35). The token is the one it gave at its claim.
#[utoipa::path(post, path = "/api/v1/announce", request_body = Announcement, security(()),
    responses((status = 200), (status = 401, body = ErrorBody)))]
async fn announce(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(said): Json<Announcement>,
) -> Result<Json<()>, ApiError> {
    let machine = bearer(&headers).and_then(|token| service.announcements().owner(token));
    let machine = machine.ok_or_else(ApiError::unauthorized)?;
    service.announced(Heard { machine, said }).await?;
    Ok(Json(()))
}
