//! What the API answers when it does not do what was asked.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A refusal or an error, in words for the administrator.
#[derive(Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }
}

impl From<bartizan_gateway::Error> for Failure {
    fn from(error: bartizan_gateway::Error) -> Self {
        use bartizan_gateway::Error;
        let (status, code) = match &error {
            Error::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Error::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<bartizan_store::Error> for Failure {
    fn from(error: bartizan_store::Error) -> Self {
        bartizan_gateway::Error::Store(error).into()
    }
}

impl From<bartizan_ledger::Error> for Failure {
    fn from(error: bartizan_ledger::Error) -> Self {
        if let bartizan_ledger::Error::NoEntry { .. } = error {
            return Self::new(StatusCode::NOT_FOUND, "not_found", error.to_string());
        }
        bartizan_gateway::Error::Ledger(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": {"code": self.code, "message": self.message}})))
            .into_response()
    }
}
