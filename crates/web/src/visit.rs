//! A person's request for a page: who, where, and the sentence left over from the form before.

use crate::auth::Principal;
use crate::error::ApiError;
use crate::flash::{self, Flash};
use crate::guard::Viewer;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;

/// Argument of every page handler.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Who.
    pub principal: Principal,
    /// The path asked for.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// What the form before has to say.
    pub flash: Option<Flash>,
}

impl Visit {
    /// Refuses who may only look.
    ///
    /// # Errors
    /// 403 `read-only-account`.
    pub fn administrator(&self) -> Result<(), ApiError> {
        self.principal.administrator()
    }

    /// True when this account may change things: pages offer their buttons by it.
    #[must_use]
    pub fn may_change(&self) -> bool {
        self.administrator().is_ok()
    }

    /// The CSRF token for the page's forms.
    #[must_use]
    pub fn csrf(&self) -> &str {
        self.principal.csrf.as_deref().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Viewer(principal) = Viewer::from_request_parts(parts, state).await?;
        Ok(Visit {
            principal,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            flash: flash::read(&parts.headers),
        })
    }
}
