//! The HTTPS API of a machine: each handler reads the request, calls one function of [`crate::service`], and
//! answers its view. The OpenAPI document is made of the same declarations.

mod bans;
mod calls;
mod enrolment;
mod lines;
mod objects;
mod state;

use crate::machine::Machine;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use std::sync::Arc;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use web::app::App;
use web::error::ErrorBody;
use web::openapi::Bearer;

/// Where the certificate is that phones on TLS are to trust.
pub(crate) const AUTHORITY: &str = "/api/v1/authority";
/// Bytes of a request's body: an object has as many at most.
const BODY_BYTES_MAX: usize = 256 * 1024;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Pleiad call server",
        description = "One machine: identity, enrolment, role, common data, registrations, calls, records."
    ),
    components(schemas(ErrorBody)),
    modifiers(&Bearer)
)]
struct Document;

/// Everything the machine serves: API, metrics, pages.
pub(crate) fn router(machine: &Machine) -> Router {
    let (api, document) = routes().split_for_parts();
    let routes = api
        .with_state(machine.clone())
        .merge(web::openapi::route(document))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .merge(crate::pages::routes(machine));
    let face = Arc::new(crate::pages::face(machine));
    App { face, auth: machine.auth().clone(), hub: machine.hub().clone(), routes }.router()
}

fn routes() -> OpenApiRouter<Machine> {
    let mut document = Document::openapi();
    document.merge(web::login::Document::openapi());
    OpenApiRouter::with_openapi(document)
        .merge(enrolment::routes())
        .merge(state::routes())
        .merge(objects::routes())
        .merge(calls::routes())
        .merge(lines::routes())
        .merge(bans::routes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_names_every_path_of_the_contract() {
        let document = routes().split_for_parts().1;
        for path in [
            "/api/v1/identity",
            "/api/v1/claim",
            "/api/v1/state",
            "/api/v1/csr",
            "/api/v1/role",
            "/api/v1/objects/{kind}",
            "/api/v1/objects/{kind}/{key}",
            "/api/v1/bindings",
            "/api/v1/calls",
            "/api/v1/records",
            "/api/v1/calls/{session}/ladder",
            "/api/v1/calls/{session}/pcap",
            "/api/v1/calls/{session}/end",
            "/api/v1/explain",
            "/api/v1/bans",
            "/api/v1/bans/{source_ip}",
            "/metrics",
        ] {
            assert!(document.paths.paths.contains_key(path), "{path}");
        }
    }
}
