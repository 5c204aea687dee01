//! The files a page needs, embedded in the binary and named by their content.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use rust_embed::RustEmbed;
use std::fmt::Write as _;

#[derive(RustEmbed)]
#[folder = "assets"]
struct Files;

/// The URL of a file; it changes when the file does, so browsers may keep the file for ever.
#[must_use]
pub fn url(name: &str) -> String {
    let mut url = format!("/assets/{name}");
    if let Some(file) = Files::get(name) {
        url.push_str("?v=");
        for byte in file.metadata.sha256_hash().iter().take(6) {
            // Writing to a String cannot fail.
            let _infallible = write!(url, "{byte:02x}");
        }
    }
    url
}

/// GET of a file.
pub(crate) async fn get(Path(name): Path<String>) -> axum::response::Response {
    let Some(file) = Files::get(&name) else {
        return crate::ApiError::not_found(format!("asset '{name}'")).into_response();
    };
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = Response::new(Body::from(file.data.into_owned()));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}
