//! The pages and API of logging in and out, the same on both faces.

use crate::app::Shared;
use crate::auth::{self, Login};
use crate::error::{ApiError, ErrorBody};
use crate::flash;
use crate::form::{Field, Form, Sent};
use crate::guard::Viewer;
use crate::json::Json;
use crate::serve::Source;
use crate::session::Carrier;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/password", get(password_page).post(password))
        .route("/api/v1/login", post(api_login))
        .route("/api/v1/logout", post(api_logout))
        .route("/api/v1/password", post(api_password))
}

/// Who logs in by the API.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Credentials {
    user: String,
    password: String,
}

/// Who changes a password by the API.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Change {
    old: String,
    new: String,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

/// Where the request came from; a request that no server of ours delivered has no address.
fn address(source: Option<Extension<Source>>) -> IpAddr {
    source.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Source(source))| source.ip())
}

fn login_form(next: &str) -> Form {
    let action = match next {
        "" => "/login".to_owned(),
        next => format!("/login?next={}", crate::view::query_escape(next)),
    };
    let mut user = Field::text("user", "User", "");
    user.autocomplete = "username";
    Form::new(
        "login",
        action,
        "",
        "Log in",
        vec![user, Field::password("password", "Password", "current-password")],
    )
}

/// Only a path of ours, never another site.
fn own_path(next: &str) -> &str {
    let own = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if own { next } else { "/" }
}

async fn login_page(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let form = login_form(&wanted.next).html();
    let Some(said) = flash::read(&headers) else {
        return shared.face.plain(StatusCode::OK, "Log in", &form);
    };
    let mut response = shared.face.plain(StatusCode::OK, "Log in", &format!("{}{form}", said.html()));
    flash::clear(&mut response);
    response
}

async fn login(
    State(shared): State<Shared>,
    Query(wanted): Query<Wanted>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let (user, password) = (sent.get("user"), sent.exact("password"));
    match shared.auth.login(address(source), user, password, Carrier::Cookie).await {
        Ok(login) => {
            let target = if login.must_change { "/password" } else { own_path(&wanted.next) };
            let mut response = Redirect::to(target).into_response();
            let cookie = format!(
                "{}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
                auth::cookie_name(&headers),
                login.token
            );
            flash::set(&mut response, &cookie);
            response
        }
        Err(refusal) => {
            let status = refusal.status;
            let form = login_form(&wanted.next).filled(&sent).refused(refusal);
            shared.face.plain(status, "Log in", &form.html())
        }
    }
}

async fn logout(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    shared.auth.logout(&headers);
    let mut response = Redirect::to("/login").into_response();
    let gone =
        format!("{}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict", auth::cookie_name(&headers));
    flash::set(&mut response, &gone);
    response
}

fn password_form(csrf: &str) -> Form {
    let fields = vec![
        Field::password("old", "Present password", "current-password"),
        Field::password("new", "New password", "new-password").hint("At least 10 characters."),
        Field::password("again", "New password again", "new-password"),
    ];
    Form::new("password", "/password", csrf, "Change password", fields)
}

async fn password_page(State(shared): State<Shared>, Viewer(principal): Viewer) -> Response {
    let form = password_form(principal.csrf.as_deref().unwrap_or_default()).html();
    let why = "<p>The first password was made by the machine. Choose your own before you go on.</p>";
    let content = if principal.must_change { format!("{why}{form}") } else { form };
    shared.face.plain(StatusCode::OK, "Change password", &content)
}

async fn password(
    State(shared): State<Shared>,
    Viewer(principal): Viewer,
    source: Option<Extension<Source>>,
    sent: Sent,
) -> Response {
    let (old, new) = (sent.exact("old"), sent.exact("new"));
    let changed = if new == sent.exact("again") {
        shared.auth.change_password(address(source), &principal.user, old, new).await
    } else {
        Err(ApiError::bad_request("not-the-same", "again: the two new passwords differ"))
    };
    match changed {
        Ok(()) => flash::done("/login", "The password is changed. Log in with it."),
        Err(refusal) => {
            let status = refusal.status;
            let form = password_form(principal.csrf.as_deref().unwrap_or_default()).refused(refusal);
            shared.face.plain(status, "Change password", &form.html())
        }
    }
}

/// The part of the API that is the same on both faces, for their OpenAPI documents.
#[derive(utoipa::OpenApi)]
#[openapi(paths(api_login, api_logout, api_password, crate::app::events_api))]
pub struct Document;

/// Logs in; the answer's token is sent with every further request.
#[utoipa::path(post, path = "/api/v1/login", request_body = Credentials, security(()),
    responses((status = 200, body = Login), (status = 401, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn api_login(
    State(shared): State<Shared>,
    source: Option<Extension<Source>>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Login>, ApiError> {
    let Credentials { user, password } = credentials;
    Ok(Json(shared.auth.login(address(source), &user, &password, Carrier::Bearer).await?))
}

/// Ends the session.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 200)))]
async fn api_logout(State(shared): State<Shared>, headers: HeaderMap) -> Json<()> {
    shared.auth.logout(&headers);
    Json(())
}

/// Changes the own password; all sessions of the account end.
#[utoipa::path(post, path = "/api/v1/password", request_body = Change,
    responses((status = 200), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
async fn api_password(
    State(shared): State<Shared>,
    principal: Option<Extension<crate::Principal>>,
    source: Option<Extension<Source>>,
    Json(change): Json<Change>,
) -> Result<Json<()>, ApiError> {
    let Extension(principal) = principal.ok_or_else(ApiError::unauthorized)?;
    shared.auth.change_password(address(source), &principal.user, &change.old, &change.new).await?;
    Ok(Json(()))
}
