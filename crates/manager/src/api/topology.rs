//! Regions, multi-sites, machines.

use crate::service::Service;
use crate::view::{
    MachineCreate, MachineEdit, MachineView, MultiSiteRequest, MultiSiteView, RegionRequest, RegionView,
};
use axum::extract::{Path, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::error::ErrorBody;
use web::{Administrator, ApiError, Json, Viewer};

pub(super) fn routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(regions, create_region))
        .routes(routes!(edit_region, delete_region))
        .routes(routes!(multi_sites, create_multi_site))
        .routes(routes!(edit_multi_site, delete_multi_site))
        .routes(routes!(machines, create_machine))
        .routes(routes!(machine, edit_machine, delete_machine))
}

/// The regions.
#[utoipa::path(get, path = "/api/v1/regions", responses((status = 200, body = Vec<RegionView>)))]
async fn regions(State(service): State<Service>, _who: Viewer) -> Json<Vec<RegionView>> {
    Json(service.regions())
}

/// Makes a region.
#[utoipa::path(post, path = "/api/v1/regions", request_body = RegionRequest,
    responses((status = 200, body = RegionView), (status = 400, body = ErrorBody)))]
async fn create_region(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Json(request): Json<RegionRequest>,
) -> Result<Json<RegionView>, ApiError> {
    Ok(Json(service.create_region(&who, &request).await?))
}

/// Changes a region.
#[utoipa::path(put, path = "/api/v1/regions/{id}", request_body = RegionRequest,
    responses((status = 200, body = RegionView), (status = 404, body = ErrorBody)))]
async fn edit_region(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    Json(request): Json<RegionRequest>,
) -> Result<Json<RegionView>, ApiError> {
    Ok(Json(service.edit_region(&who, &id, &request).await?))
}

/// Deletes a region that holds nothing.
#[utoipa::path(delete, path = "/api/v1/regions/{id}",
    responses((status = 200), (status = 409, body = ErrorBody)))]
async fn delete_region(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.delete_region(&who, &id).await?))
}

/// The multi-sites.
#[utoipa::path(get, path = "/api/v1/multi-sites", responses((status = 200, body = Vec<MultiSiteView>)))]
async fn multi_sites(State(service): State<Service>, _who: Viewer) -> Json<Vec<MultiSiteView>> {
    Json(service.multi_sites())
}

/// Makes a multi-site in a region.
#[utoipa::path(post, path = "/api/v1/multi-sites", request_body = MultiSiteRequest,
    responses((status = 200, body = MultiSiteView), (status = 400, body = ErrorBody)))]
async fn create_multi_site(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Json(request): Json<MultiSiteRequest>,
) -> Result<Json<MultiSiteView>, ApiError> {
    Ok(Json(service.create_multi_site(&who, &request).await?))
}

/// Changes a multi-site.
#[utoipa::path(put, path = "/api/v1/multi-sites/{id}", request_body = MultiSiteRequest,
    responses((status = 200, body = MultiSiteView), (status = 404, body = ErrorBody)))]
async fn edit_multi_site(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    Json(request): Json<MultiSiteRequest>,
) -> Result<Json<MultiSiteView>, ApiError> {
    Ok(Json(service.edit_multi_site(&who, &id, &request).await?))
}

/// Deletes a multi-site that holds nothing.
#[utoipa::path(delete, path = "/api/v1/multi-sites/{id}",
    responses((status = 200), (status = 409, body = ErrorBody)))]
async fn delete_multi_site(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.delete_multi_site(&who, &id).await?))
}

/// The machines.
#[utoipa::path(get, path = "/api/v1/machines", responses((status = 200, body = Vec<MachineView>)))]
async fn machines(State(service): State<Service>, _who: Viewer) -> Json<Vec<MachineView>> {
    Json(service.machines())
}

/// Puts a machine into the topology (name and address are compulsory).
#[utoipa::path(post, path = "/api/v1/machines", request_body = MachineCreate,
    responses((status = 200, body = MachineView), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn create_machine(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Json(request): Json<MachineCreate>,
) -> Result<Json<MachineView>, ApiError> {
    Ok(Json(service.create_machine(&who, &request).await?))
}

/// One machine.
#[utoipa::path(get, path = "/api/v1/machines/{id}",
    responses((status = 200, body = MachineView), (status = 404, body = ErrorBody)))]
async fn machine(
    State(service): State<Service>,
    _who: Viewer,
    Path(id): Path<String>,
) -> Result<Json<MachineView>, ApiError> {
    Ok(Json(service.machine_of(&id)?))
}

/// Changes what the operator said of a machine.
#[utoipa::path(put, path = "/api/v1/machines/{id}", request_body = MachineEdit,
    responses((status = 200, body = MachineView), (status = 404, body = ErrorBody)))]
async fn edit_machine(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    Json(edit): Json<MachineEdit>,
) -> Result<Json<MachineView>, ApiError> {
    Ok(Json(service.edit_machine(&who, &id, &edit).await?))
}

/// Takes a machine out of the topology and resets it; a node's identity is refused from then on.
#[utoipa::path(delete, path = "/api/v1/machines/{id}",
    responses((status = 200), (status = 409, body = ErrorBody)))]
async fn delete_machine(
    State(service): State<Service>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
) -> Result<Json<()>, ApiError> {
    Ok(Json(service.delete_machine(&who, &id).await?))
}
