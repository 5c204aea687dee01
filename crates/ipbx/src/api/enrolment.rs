//! Identity, claim, certificate request, role.

use crate::claim::{ClaimAnswer, ClaimRequest};
use crate::machine::Machine;
use crate::role::RoleRequest;
use crate::service::enrolment::{self, IdentityView};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new()
        .routes(routes!(identity))
        .routes(routes!(authority))
        .routes(routes!(claim))
        .routes(routes!(csr))
        .routes(routes!(role))
        .routes(routes!(release))
}

/// Who the machine is; open to anybody.
#[utoipa::path(get, path = "/api/v1/identity", responses((status = 200, body = Value)))]
async fn identity(State(machine): State<Machine>) -> Result<Json<IdentityView>, ApiError> {
    enrolment::identity(&machine).map(Json)
}

/// The certificate that phones on TLS are to trust, for their configuration; open to anybody, as it holds no secret.
#[utoipa::path(get, path = "/api/v1/authority",
    responses((status = 200, body = Vec<u8>, content_type = "application/x-pem-file")))]
async fn authority(State(machine): State<Machine>) -> Result<Response, ApiError> {
    let headers = [
        (header::CONTENT_TYPE, "application/x-pem-file"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"pleiad-authority.pem\""),
    ];
    Ok((headers, enrolment::authority(&machine)?).into_response())
}

/// Claims the machine with a proof of its code; open while nobody owns it.
#[utoipa::path(post, path = "/api/v1/claim", request_body = ClaimRequest,
    responses((status = 200, body = ClaimAnswer), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn claim(
    State(machine): State<Machine>,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<ClaimAnswer>, ApiError> {
    enrolment::claim(&machine, &request).map(Json)
}

/// For which name a certificate is asked.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct CsrRequest {
    /// The member's name, `nN.CLUSTER`.
    common_name: String,
}

/// A certificate request of the machine's own key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct CsrAnswer {
    /// PKCS#10 in PEM form.
    csr_pem: String,
    /// The addresses phones may reach this machine by, for its SIP certificate.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<IpAddr>,
}

/// A certificate request of the machine's own key, which never leaves it.
#[utoipa::path(post, path = "/api/v1/csr", request_body = CsrRequest, security(("bearer" = [])),
    responses((status = 200, body = CsrAnswer), (status = 400, body = ErrorBody)))]
async fn csr(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Json(request): Json<CsrRequest>,
) -> Result<Json<CsrAnswer>, ApiError> {
    let csr_pem = enrolment::signing_request(&machine, &principal, &request.common_name)?;
    Ok(Json(CsrAnswer { csr_pem, addresses: enrolment::addresses(&machine) }))
}

/// Gives the machine a role; its engine is rebuilt and it announces itself.
#[utoipa::path(post, path = "/api/v1/role", request_body = Value, security(("bearer" = [])),
    responses((status = 202, body = Value), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn role(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Json(request): Json<RoleRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let word = request.role.word();
    enrolment::set_role(&machine, &principal, request).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "role": word }))))
}

/// Gives the machine up: its manager's token ends, and a new claim code is made.
#[utoipa::path(post, path = "/api/v1/release", security(("bearer" = [])),
    responses((status = 200), (status = 409, body = ErrorBody)))]
async fn release(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
) -> Result<Json<()>, ApiError> {
    enrolment::release(&machine, &principal).map(Json)
}
