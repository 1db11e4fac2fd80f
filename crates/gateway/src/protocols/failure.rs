//! A refusal or an error, in each provider's own form, so that its SDKs raise their
//! usual exceptions.
//!
//! Sources: OpenAI API reference, error codes; Anthropic API reference, errors.

use serde_json::{Value, json};

use super::Provider;

/// Why a request gets no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    /// One word for machines.
    pub code: &'static str,
    /// What, where and what to do, for people.
    pub message: String,
    /// The field of the request that it is about.
    pub param: Option<String>,
    /// When to come back, in seconds.
    pub retry_after: Option<u64>,
    /// What the log says beyond the message.
    pub detail: Option<String>,
}

impl Failure {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, param: None, retry_after: None, detail: None }
    }

    #[must_use]
    pub fn param(mut self, param: &str) -> Self {
        self.param = (!param.is_empty()).then(|| param.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn detail(mut self, detail: &dyn std::fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

/// The body of an error answer.
pub fn error_body(provider: Provider, failure: &Failure, request: &str) -> Value {
    let Failure { status, code, message, param, .. } = failure;
    match provider {
        Provider::OpenAi => {
            let kind = match status {
                401 => "authentication_error",
                403 => "permission_error",
                429 => "rate_limit_error",
                500.. => "server_error",
                _ => "invalid_request_error",
            };
            json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
        }
        Provider::Anthropic => {
            let kind = match status {
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                408 | 504 => "timeout_error",
                409 => "conflict_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                503 | 529 => "overloaded_error",
                500.. => "api_error",
                _ => "invalid_request_error",
            };
            let details = json!({"error_code": code});
            let error = json!({"type": kind, "message": message, "code": code, "details": details});
            json!({"type": "error", "error": error, "request_id": request})
        }
    }
}
