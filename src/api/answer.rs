//! How answers look, above all the bad ones.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::{Failure, Kind};
use crate::pipeline::status::CommandError;
use crate::sink::search::SearchError;

/// Sent with everything: the dashboard may load its own files and call its own server, and nothing else may happen.
const SAFE_HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    // Everything here is of this moment, and the dashboard belongs to the version that serves it.
    ("cache-control", "no-store"),
];

/// An answer that is not what was asked for: a status and one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of no.
    pub status: StatusCode,
    /// One sentence that says what to do.
    pub message: String,
}

impl Refusal {
    /// A no of this kind.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The question is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What was asked for is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            Kind::Unavailable | Kind::Misconfigured => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Corrupt | Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, failure.message)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound(_) => Self::not_found(error.to_string()),
            CommandError::Refused(message) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, message),
            CommandError::Conflict(message) => Self::new(StatusCode::CONFLICT, message),
            CommandError::Failed(failure) => failure.into(),
        }
    }
}

impl From<SearchError> for Refusal {
    fn from(error: SearchError) -> Self {
        let status = match error {
            SearchError::Invalid(_) => StatusCode::BAD_REQUEST,
            SearchError::NotFound(_) => StatusCode::NOT_FOUND,
            SearchError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(format!("the path cannot be read: {}", rejection.body_text()))
    }
}

/// A part of the path, as a handler gets it.
pub type Part = Result<Path<String>, PathRejection>;

/// For every path that is none.
pub async fn no_such_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!("there is nothing at {}: the paths are listed in the documentation under HTTP", uri.path()))
}

/// For every path that is asked in a way it does not answer; which ways it does stands in the header `Allow`.
pub async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not answer {method}: see the header Allow for what it does", uri.path()))
}

/// Adds what every answer carries.
pub async fn with_safe_headers(mut response: Response) -> Response {
    for (name, value) in SAFE_HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
