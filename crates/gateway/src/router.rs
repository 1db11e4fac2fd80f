//! The data plane's paths, and the health that both listeners tell.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{gateway::Gateway, inspect, pipeline};

/// The data plane.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/inspect", post(inspect::handle))
        .fallback(pipeline::handle)
        .with_state(gateway.clone())
        .merge(health(gateway))
}

/// Whether the process lives, and whether it can do its work.
pub fn health(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(gateway)
}

async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(problem) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {problem}\n")).into_response()
        }
    }
}
