//! The map, the operations log, the doctor, and who the manager is.

use crate::machine::unix_ms;
use crate::service::Service;
use crate::view::{Doctor, ManagerView, Map, Operation};
use axum::extract::{Query, State};
use serde::Deserialize;
use store::OperationQuery;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{ApiError, Json, Viewer};

/// Entries of the log on a page unless said otherwise.
const OPERATIONS_LIMIT: u32 = 100;

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(manager))
        .routes(routes!(map))
        .routes(routes!(operations))
        .routes(routes!(doctor))
}

/// Who the manager is; open to all.
#[utoipa::path(get, path = "/api/v1/manager", security(()), responses((status = 200, body = ManagerView)))]
async fn manager(State(service): State<Service>) -> Json<ManagerView> {
    let release = model::release::THIS.to_string();
    Json(ManagerView { name: service.name().to_owned(), release, unix_ms: unix_ms() })
}

/// The supervision map.
#[utoipa::path(get, path = "/api/v1/map", responses((status = 200, body = Map)))]
async fn map(State(service): State<Service>, _who: Viewer) -> Json<Map> {
    Json(service.map())
}

/// Which entries of the operations log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Page {
    /// At most so many, 1,000 at most.
    limit: Option<u32>,
    /// Only entries older than this id: the last one of the page before.
    before: Option<u64>,
    /// Only entries about this machine, region, multi-site or cluster.
    #[serde(rename = "where")]
    place: Option<String>,
}

/// The operations log, newest first.
#[utoipa::path(get, path = "/api/v1/operations", params(Page), responses((status = 200, body = Vec<Operation>)))]
async fn operations(
    State(service): State<Service>,
    _who: Viewer,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Operation>>, ApiError> {
    let limit = page.limit.unwrap_or(OPERATIONS_LIMIT);
    let query = OperationQuery { before: page.before, target: page.place, limit };
    Ok(Json(service.operations(query).await?))
}

/// What is wrong with the installation, and what to do about it.
#[utoipa::path(get, path = "/api/v1/doctor", responses((status = 200, body = Doctor)))]
async fn doctor(State(service): State<Service>, _who: Viewer) -> Result<Json<Doctor>, ApiError> {
    Ok(Json(service.doctor().await?))
}
