//! Who is not heard, and letting somebody off.

use crate::machine::Machine;
use crate::service::bans::{self as service, BanView};
use axum::extract::{Path, Query, State};
use call::Suspect;
use serde::Deserialize;
use std::net::IpAddr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new().routes(routes!(bans)).routes(routes!(lift))
}

/// Who is not heard here: for wrong passwords, or for a flood.
#[utoipa::path(get, path = "/api/v1/bans", security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn bans(State(machine): State<Machine>, _viewer: Viewer) -> Result<Json<Vec<BanView>>, ApiError> {
    service::bans(&machine).await.map(Json)
}

#[derive(Debug, Deserialize)]
struct As {
    user: Option<String>,
}

/// Lets off who was braked for wrong passwords: a source as one user, or, without `user`, a whole source.
#[utoipa::path(delete, path = "/api/v1/bans/{source_ip}",
    params(("source_ip" = String, Path), ("user" = Option<String>, Query)), security(("bearer" = [])),
    responses((status = 200, body = Value), (status = 404, body = ErrorBody)))]
async fn lift(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Path(source_ip): Path<IpAddr>,
    Query(As { user }): Query<As>,
) -> Result<Json<Suspect>, ApiError> {
    let suspect = Suspect { source_ip, user };
    service::lift(&machine, &principal, suspect.clone()).await?;
    Ok(Json(suspect))
}
