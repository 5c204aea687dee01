//! What an operator or a program is told when something is refused: a code, a sentence, the next step.
//!
//! A handler returns [`ApiError`]. The API sends it as `{"error":{"code","message","next"}}`; for a browser
//! [`crate::app`] draws the same three as a page. The message never holds a secret or a stack.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// A word programs can compare, for example `not-owner`.
    pub code: Cow<'static, str>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do next, when we know.
    pub next: Option<String>,
}

/// The JSON form.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The refusal.
    pub error: ErrorDetail,
}

/// The inside of [`ErrorBody`].
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// A word programs can compare.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl ApiError {
    /// A refusal of any kind.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> ApiError {
        ApiError { status, code: code.into(), message: message.into(), next: None }
    }

    /// The same, with the next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> ApiError {
        self.next = Some(next.into());
        self
    }

    /// 400: what was sent cannot be understood or cannot be.
    #[must_use]
    pub fn bad_request(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: nobody we know asks.
    #[must_use]
    pub fn unauthorized() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "not-logged-in", "log in, or send a bearer token")
    }

    /// 403: somebody asks who may not.
    #[must_use]
    pub fn forbidden(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(what: impl fmt::Display) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what}"))
    }

    /// 409: it cannot be done in the present state.
    #[must_use]
    pub fn conflict(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, code, message)
    }

    /// 429: too often.
    #[must_use]
    pub fn too_many(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", message)
    }

    /// 503: something it needs is not there now.
    #[must_use]
    pub fn unavailable(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 500: our fault.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The JSON form.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code.to_string(),
                message: self.message.clone(),
                next: self.next.clone(),
            },
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(next) => write!(f, " ({next})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<model::object::ObjectError> for ApiError {
    fn from(fault: model::object::ObjectError) -> ApiError {
        use model::object::ObjectError;
        let code = match fault {
            ObjectError::Malformed { .. } => "malformed-object",
            ObjectError::Invalid { .. } => "invalid-object",
            ObjectError::TooLarge { .. } => "object-too-large",
        };
        ApiError::bad_request(code, fault.to_string())
    }
}

impl From<model::ids::IdError> for ApiError {
    fn from(fault: model::ids::IdError) -> ApiError {
        ApiError::bad_request("invalid-name", fault.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(self.body())).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
