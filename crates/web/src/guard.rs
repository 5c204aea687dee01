//! Stands before every handler: finds out who asks, and refuses unsafe requests that a foreign page may have
//! made a browser send (CSRF).
//!
//! A handler says what it needs by its arguments: [`Viewer`] (anyone logged in) or [`Administrator`]. A browser
//! without a session is sent to the login page, a program gets 401. While the password must be changed a
//! browser is sent to the password page; a bearer token works, so that a first deployment can be scripted.
//!
//! CSRF: the cookie is `SameSite=Strict`; besides, a POST, PUT, PATCH or DELETE with a cookie session must carry
//! the session's token, in the header `X-CSRF-Token` or the form field `_csrf`, and a foreign `Origin` is refused.

use crate::account::Role;
use crate::auth::{Auth, Principal};
use crate::error::ApiError;
use crate::secret;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http_body_util::{BodyExt as _, Limited};

/// The header that carries the CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";
/// The form field that carries it.
pub const CSRF_FIELD: &str = "_csrf";
/// Bytes of a form.
const FORM_BYTES_MAX: usize = 1024 * 1024;

/// Anyone logged in.
#[derive(Debug, Clone)]
pub struct Viewer(pub Principal);

/// Anyone logged in who may change things.
#[derive(Debug, Clone)]
pub struct Administrator(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let Some(principal) = parts.extensions.get::<Principal>() else {
            return Err(login_needed(parts));
        };
        if principal.must_change && principal.csrf.is_some() && parts.uri.path() != "/password" {
            return Err(change_needed(parts));
        }
        Ok(Viewer(principal.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Viewer(principal) = Viewer::from_request_parts(parts, state).await?;
        principal.administrator().map_err(ApiError::into_response)?;
        Ok(Administrator(principal))
    }
}

impl Principal {
    /// Refuses who may only look.
    ///
    /// # Errors
    /// 403 `read-only-account`.
    pub fn administrator(&self) -> Result<(), ApiError> {
        match self.role {
            Role::Administrator => Ok(()),
            Role::Viewer => {
                Err(ApiError::forbidden("read-only-account", "this account may look, not change")
                    .next("log in as an administrator"))
            }
        }
    }
}

/// True for requests of programs, which get JSON and no redirects.
pub(crate) fn is_api(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn login_needed(parts: &Parts) -> Response {
    if is_api(parts.uri.path()) {
        return ApiError::unauthorized().into_response();
    }
    let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let target = match parts.method {
        Method::GET if wanted != "/" && !parts.headers.contains_key("hx-request") => {
            format!("/login?next={}", crate::view::query_escape(wanted))
        }
        _ => "/login".to_owned(),
    };
    send_to(parts, &target)
}

fn change_needed(parts: &Parts) -> Response {
    if is_api(parts.uri.path()) {
        let refusal = ApiError::forbidden("password-change-needed", "the first password must be changed");
        return refusal.next("POST /api/v1/password").into_response();
    }
    send_to(parts, "/password")
}

/// A redirect; for a fragment that htmx fetches, one of the whole page.
fn send_to(parts: &Parts, target: &str) -> Response {
    if !parts.headers.contains_key("hx-request") {
        return Redirect::to(target).into_response();
    }
    let mut response = StatusCode::UNAUTHORIZED.into_response();
    if let Ok(target) = HeaderValue::from_str(target) {
        response.headers_mut().insert("hx-redirect", target);
    }
    response
}

/// The layer.
pub(crate) async fn guard(State(auth): State<Auth>, mut request: Request, next: Next) -> Response {
    let principal = auth.principal(request.headers());
    let unsafe_method = !request.method().is_safe();
    if unsafe_method && foreign_origin(request.headers()) {
        return ApiError::forbidden("foreign-origin", "the request comes from another site's page")
            .into_response();
    }
    if let Some(csrf) = principal.as_ref().and_then(|principal| principal.csrf.clone())
        && unsafe_method
    {
        match checked(request, &csrf).await {
            Ok(same) => request = same,
            Err(refusal) => return refusal.into_response(),
        }
    }
    if let Some(principal) = principal {
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

/// True when a browser says that the page which sent this is not ours.
fn foreign_origin(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.strip_prefix("https://") != Some(host),
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// The same request, if it carries the token.
async fn checked(request: Request, csrf: &str) -> Result<Request, ApiError> {
    let refusal = || {
        ApiError::forbidden("csrf", "the form is not from this session")
            .next("reload the page and send it again")
    };
    if let Some(sent) = request.headers().get(CSRF_HEADER) {
        let same = sent.to_str().is_ok_and(|sent| secret::equal(sent, csrf));
        return if same { Ok(request) } else { Err(refusal()) };
    }
    let is_form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    });
    if !is_form {
        return Err(refusal());
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, FORM_BYTES_MAX).collect().await;
    let body: Bytes = body.map_err(|_| ApiError::bad_request("form", "the form cannot be read"))?.to_bytes();
    let sent = form_field(&body, CSRF_FIELD).ok_or_else(refusal)?;
    if !secret::equal(&sent, csrf) {
        return Err(refusal());
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// One field of a form; tokens need no unescaping.
fn form_field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let pair = text.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    Some(pair.1.to_owned())
}
