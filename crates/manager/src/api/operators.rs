//! The people who may log in.

use crate::service::Service;
use crate::view::{OperatorCreated, OperatorRequest, OperatorView};
use axum::extract::{Path, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json};

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new().routes(routes!(operators)).routes(routes!(set_operator, delete_operator))
}

/// Every account.
#[utoipa::path(get, path = "/api/v1/operators", responses((status = 200, body = Vec<OperatorView>)))]
async fn operators(
    State(service): State<Service>,
    Administrator(who): Administrator,
) -> Result<Json<Vec<OperatorView>>, ApiError> {
    Ok(Json(service.operators(&who).await?))
}

/// Makes an account, or gives one another role and a new password; its sessions end.
#[utoipa::path(put, path = "/api/v1/operators/{user}", request_body = OperatorRequest,
    responses((status = 200, body = OperatorCreated), (status = 409, body = ErrorBody)))]
async fn set_operator(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(user): Path<String>,
    Json(request): Json<OperatorRequest>,
) -> Result<Json<OperatorCreated>, ApiError> {
    Ok(Json(service.set_operator(&who, &user, &request).await?))
}

/// Removes an account; its sessions end.
#[utoipa::path(delete, path = "/api/v1/operators/{user}",
    responses((status = 200), (status = 409, body = ErrorBody)))]
async fn delete_operator(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(user): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.delete_operator(&who, &user).await?))
}
