//! State and metrics.

use crate::machine::Machine;
use crate::service::metrics;
use crate::service::state::{self as service, StateView};
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Machine> {
    OpenApiRouter::new().routes(routes!(state)).routes(routes!(metrics_text))
}

/// Role, state, data, link or nodes.
#[utoipa::path(get, path = "/api/v1/state", security(("bearer" = [])), responses((status = 200, body = Value)))]
async fn state(State(machine): State<Machine>, _viewer: Viewer) -> Result<Json<StateView>, ApiError> {
    service::state(&machine).await.map(Json)
}

/// The machine's numbers in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", security(("bearer" = [])), responses((status = 200, body = String)))]
async fn metrics_text(State(machine): State<Machine>, _viewer: Viewer) -> Result<String, ApiError> {
    metrics::text(&machine).await
}
