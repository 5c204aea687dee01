//! Puts around the routes of a face what must be the same on both.
//!
//! From outside in: security headers, deadlines, refusals drawn as pages for people, the [`crate::guard`], then
//! the routes: the owner's, login, assets, `/events` and `/api/v1/events`.

use crate::auth::Auth;
use crate::error::ApiError;
use crate::events::Hub;
use crate::face::Face;
use crate::guard::{self, Viewer};
use crate::{assets, login};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tower_http::timeout::{RequestBodyTimeoutLayer, TimeoutLayer};

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Silence within a request's body.
const BODY_SILENCE_MAX: Duration = Duration::from_secs(15);
/// Time a handler has to begin its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// What a page may load: our own files, nothing inline, nothing from elsewhere.
const CSP: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// A web face before it is served.
#[derive(Debug)]
pub struct App {
    /// Its name and menu.
    pub face: Arc<Face>,
    /// Its accounts.
    pub auth: Auth,
    /// Its events.
    pub hub: Hub,
    /// Its own routes, pages and API.
    pub routes: Router,
}

/// State of the common routes.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) face: Arc<Face>,
    pub(crate) auth: Auth,
    hub: Hub,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    topics: Option<String>,
}

impl App {
    /// The router to serve.
    pub fn router(self) -> Router {
        let shared = Shared { face: self.face, auth: self.auth.clone(), hub: self.hub };
        let common = login::routes()
            .route("/assets/{name}", get(assets::get))
            .route("/events", get(events))
            .route("/api/v1/events", get(events_api))
            .with_state(shared.clone());
        Router::new()
            .merge(self.routes)
            .merge(common)
            .fallback(|| async { ApiError::not_found("such page") })
            .method_not_allowed_fallback(|| async {
                ApiError::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method",
                    "this cannot be done with this address",
                )
            })
            .layer(middleware::from_fn_with_state(self.auth, guard::guard))
            .layer(middleware::from_fn_with_state(shared, for_people))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_WITHIN))
            .layer(RequestBodyTimeoutLayer::new(BODY_SILENCE_MAX))
            .layer(middleware::from_fn(secure))
    }
}

async fn events(
    State(shared): State<Shared>,
    _viewer: Viewer,
    Query(wanted): Query<Wanted>,
) -> Result<Response, ApiError> {
    shared.hub.respond(wanted.topics.as_deref())
}

/// Events from now on, as server-sent events; with `topics` only those, separated by commas.
#[utoipa::path(get, path = "/api/v1/events", params(("topics" = Option<String>, Query)),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(crate) async fn events_api(
    shared: State<Shared>,
    viewer: Viewer,
    wanted: Query<Wanted>,
) -> Result<Response, ApiError> {
    events(shared, viewer, wanted).await
}

/// Draws a refusal as a page when a person asked.
async fn for_people(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let api = guard::is_api(request.uri().path());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<ApiError>() {
        Some(refusal) if !api => shared.face.refusal(&refusal),
        _ => response,
    }
}

/// Headers that browsers need to protect us.
async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
