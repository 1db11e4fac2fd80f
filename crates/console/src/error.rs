//! What the API answers when it does not do what was asked.

use std::fmt;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

/// A refusal or an error, in words for the administrator.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: StatusCode,
    /// For programs: it stays the same when the words change.
    pub code: &'static str,
    pub message: String,
    /// When to try again, in seconds, where that helps.
    pub retry_after: Option<u64>,
}

/// Its form on the wire.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Wire {
    error: Said,
}

/// What was not done, and why.
#[derive(Debug, Serialize, JsonSchema)]
struct Said {
    /// For programs: `invalid`, `not_administrator`, `denied`, `not_found`,
    /// `method_not_allowed`, `conflict`, `too_large`, `signed_out`, `csrf`,
    /// `too_many_tries`, `busy`, `failed`, and what a sign-in may come to.
    code: String,
    /// For people.
    message: String,
    /// The same as in the header `x-bartizan-request-id`, and in the log.
    request_id: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The same, with when to try again.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// A record of ours that cannot be read or written.
    pub(crate) fn spoilt(problem: &str) -> Self {
        let message = format!("a record of this version's form was expected: {problem}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }

    /// The answer, once the request's id is known.
    pub(crate) fn answer(self, request_id: &str) -> Response {
        let said = Said {
            code: self.code.to_owned(),
            message: self.message,
            request_id: request_id.to_owned(),
        };
        let mut response = (self.status, Json(Wire { error: said })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"bartizan administration\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<bartizan_gateway::Error> for Failure {
    fn from(error: bartizan_gateway::Error) -> Self {
        use bartizan_gateway::Error;
        match error {
            Error::Invalid(message) => Self::invalid(message),
            Error::NotFound(message) => Self::not_found(message),
            Error::Conflict(message) => Self::new(StatusCode::CONFLICT, "conflict", message),
            Error::Store(error) => error.into(),
            Error::Ledger(error) => error.into(),
            other => Self::failed(&other),
        }
    }
}

impl From<bartizan_store::Error> for Failure {
    fn from(error: bartizan_store::Error) -> Self {
        use bartizan_store::Error;
        let message = error.to_string();
        match error {
            Error::Conflict { .. } | Error::Exists { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            Error::NotFound { .. } => Self::not_found(message),
            Error::Cursor(_)
            | Error::PageLimit { .. }
            | Error::UnknownFacet { .. }
            | Error::Values { .. }
            | Error::Steps { .. }
            | Error::BackupExists { .. }
            | Error::TooLarge { .. } => Self::invalid(message),
            other => Self::failed(&other),
        }
    }
}

impl From<bartizan_ledger::Error> for Failure {
    fn from(error: bartizan_ledger::Error) -> Self {
        match error {
            bartizan_ledger::Error::NoEntry { .. } => Self::not_found(error.to_string()),
            other => Self::failed(&other),
        }
    }
}

impl Failure {
    fn failed(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string())
    }
}

/// The router turns it into an answer when it knows the request's id.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
