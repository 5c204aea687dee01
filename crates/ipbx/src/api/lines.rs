//! Lines and waiting messages.

use crate::machine::Machine;
use crate::service::lines::{self as service, LineView};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use call::Messages;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new().routes(routes!(lines)).routes(routes!(put_messages))
}

/// What the lines known here do; on a cluster server those of its nodes too.
#[utoipa::path(get, path = "/api/v1/lines", security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn lines(State(machine): State<Machine>, _viewer: Viewer) -> Result<Json<Vec<LineView>>, ApiError> {
    service::lines(&machine).await.map(Json)
}

/// The messages that wait.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Waiting {
    /// Not listened to: they light the lamp.
    new: u32,
    /// Listened to and kept.
    #[serde(default)]
    old: u32,
    /// Those of the new ones that are urgent.
    #[serde(default)]
    urgent: u32,
}

/// How many messages wait for a subscriber whose phones are registered here: their lamps show it.
#[utoipa::path(put, path = "/api/v1/lines/{extension}/messages", params(("extension" = String, Path)),
    security(("bearer" = [])), responses((status = 202, body = Value), (status = 404, body = ErrorBody)))]
async fn put_messages(
    State(machine): State<Machine>,
    Administrator(principal): Administrator,
    Path(extension): Path<String>,
    Json(Waiting { new, old, urgent }): Json<Waiting>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let messages = Messages { new, old, urgent };
    service::put_messages(&machine, &principal, &extension, messages).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "extension": extension }))))
}
