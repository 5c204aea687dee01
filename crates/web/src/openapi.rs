//! The OpenAPI document of a face: how its paths are authorised, and where it is read.

use axum::Router;
use axum::routing::get;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

/// Every path but the open ones takes a bearer token, or a web session.
#[derive(Debug, Clone, Copy)]
pub struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_with(Default::default).add_security_scheme("bearer", scheme);
    }
}

/// Serves the document at `/api/openapi.json`.
pub fn route(document: OpenApi) -> Router {
    let document = Arc::new(document);
    let answer = move || {
        let document = Arc::clone(&document);
        async move { axum::Json(document.as_ref().clone()) }
    };
    Router::new().route("/api/openapi.json", get(answer))
}
