//! A sentence for the next page: "Region North was created."
//!
//! It travels in a short-lived cookie, so that a form can be answered by a redirect and a reload does not send
//! it again.

use crate::auth::cookie_named;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const COOKIE: &str = "__Host-pleiad-flash";
/// Characters of a sentence.
const TEXT_CHARACTERS_MAX: usize = 600;

/// What kind of sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It worked.
    Done,
    /// It did not.
    Failed,
}

/// A sentence for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Good or bad.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
}

impl Flash {
    /// As a strip above the content.
    #[must_use]
    pub fn html(&self) -> String {
        let tone = match self.tone {
            Tone::Done => "good",
            Tone::Failed => "bad",
        };
        format!("<div class=\"flash {tone}\" role=\"status\">{}</div>", crate::view::escape(&self.text))
    }
}

/// Goes to `target` and says there that something was done.
#[must_use]
pub fn done(target: &str, text: impl Into<String>) -> Response {
    redirect(target, Flash { tone: Tone::Done, text: text.into() })
}

/// Goes to `target` and says there that something failed.
#[must_use]
pub fn failed(target: &str, text: impl Into<String>) -> Response {
    redirect(target, Flash { tone: Tone::Failed, text: text.into() })
}

fn redirect(target: &str, flash: Flash) -> Response {
    let mut response = Redirect::to(target).into_response();
    let mark = match flash.tone {
        Tone::Done => '+',
        Tone::Failed => '-',
    };
    let text: String = flash.text.chars().take(TEXT_CHARACTERS_MAX).collect();
    let value = URL_SAFE_NO_PAD.encode(format!("{mark}{text}"));
    set(&mut response, &format!("{COOKIE}={value}; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Strict"));
    response
}

/// The sentence that came with a request.
pub(crate) fn read(headers: &HeaderMap) -> Option<Flash> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cookie_named(headers, COOKIE)?).ok()?).ok()?;
    let (tone, text) = match text.strip_prefix('+') {
        Some(text) => (Tone::Done, text),
        None => (Tone::Failed, text.strip_prefix('-')?),
    };
    Some(Flash { tone, text: text.to_owned() })
}

/// Takes the sentence back, once shown.
pub(crate) fn clear(response: &mut Response) {
    set(response, &format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"));
}

/// Adds a Set-Cookie header.
pub(crate) fn set(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
