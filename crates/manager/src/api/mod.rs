//! The manager's HTTPS API: each handler reads the request, calls one function of the service, and answers its
//! view. The OpenAPI document is made of the same declarations.

mod clusters;
mod deployment;
mod operators;
mod supervision;
mod topology;

use crate::service::Service;
use axum::Router;
use axum::http::HeaderMap;
use std::sync::Arc;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use web::app::App;
use web::error::ErrorBody;
use web::face::Face;
use web::openapi::Bearer;
use web::{Auth, Hub};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Pleiad manager", description = "Topology, deployment, supervision of Pleiad clusters."),
    components(schemas(ErrorBody)),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct Document;

/// Everything the manager serves.
pub(crate) fn router(service: Service, auth: Auth, hub: Hub) -> Router {
    let face = Arc::new(Face {
        title: "Manager",
        place: service.name().to_owned(),
        release: model::release::THIS.to_string(),
        menu: crate::pages::MENU,
    });
    let pages = crate::pages::routes(service.clone(), face.clone());
    let (api, document) = routes().split_for_parts();
    let routes = api.with_state(service).merge(web::openapi::route(document));
    App { face, auth, hub, routes: routes.merge(pages) }.router()
}

fn routes() -> OpenApiRouter<Service> {
    let mut document = Document::openapi();
    document.merge(web::login::Document::openapi());
    OpenApiRouter::with_openapi(document)
        .merge(topology::routes())
        .merge(deployment::routes())
        .merge(clusters::routes())
        .merge(operators::routes())
        .merge(supervision::routes())
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_names_every_path_of_the_contract() {
        let document = routes().split_for_parts().1;
        for path in [
            "/api/v1/manager",
            "/api/v1/regions",
            "/api/v1/multi-sites",
            "/api/v1/machines",
            "/api/v1/machines/{id}",
            "/api/v1/machines/{id}/claim",
            "/api/v1/machines/{id}/identify",
            "/api/v1/machines/{id}/configure",
            "/api/v1/clusters/{id}/objects/{kind}",
            "/api/v1/clusters/{id}/objects/{kind}/{key}",
            "/api/v1/operations",
            "/api/v1/map",
            "/api/v1/doctor",
            "/api/v1/announce",
            "/api/v1/login",
            "/api/v1/events",
            "/api/v1/operators/{user}",
        ] {
            assert!(document.paths.paths.contains_key(path), "{path}");
        }
    }
}
