//! Serves the catalogue of endpoints, after the administrator is known.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan_gateway::Gateway;

use crate::{Admin, Failure, endpoints, openapi};

/// How the administrator is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the token in `Authorization: Bearer`.
    Token,
    /// By having reached this at all: the Unix socket, or the same process.
    Local,
}

/// Who acts, as the ledger names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor(pub(crate) &'static str);

/// Administration's paths: the API behind the proof, health and metrics before it.
pub fn router(admin: &Admin, trust: Trust) -> Router {
    let mut api = Router::new();
    for endpoint in endpoints::ALL {
        api = api.route(endpoint.path, (endpoint.serve)());
    }
    let api = api
        .with_state(admin.clone())
        .fallback(|| async {
            Failure::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path; GET /api/v1/openapi.json lists them",
            )
        })
        .layer(from_fn_with_state((admin.clone(), trust), prove));
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(admin.gateway.clone())
        .merge(bartizan_gateway::health(admin.gateway.clone()))
        .route("/api/v1/openapi.json", get(|| async { axum::Json(openapi::document()) }))
        .fallback_service(api)
}

async fn prove(
    State((admin, trust)): State<(Admin, Trust)>,
    mut request: Request,
    next: Next,
) -> Response {
    let actor = match trust {
        Trust::Local => Actor("administrator:local"),
        Trust::Token => {
            let token =
                request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = token.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
            match admin.is_administrator(token).await {
                Ok(true) => Actor("administrator:token"),
                Ok(false) => return refuse(&admin.gateway),
                Err(failure) => return failure.into_response(),
            }
        }
    };
    request.extensions_mut().insert(actor);
    next.run(request).await
}

fn refuse(gateway: &Gateway) -> Response {
    gateway.count_refusal("administration", "not_administrator");
    let message = "send the administrator's token as `Authorization: Bearer bza_...`; it was shown at the first start, and `bartizan admin-token` makes another";
    Failure::new(StatusCode::UNAUTHORIZED, "not_administrator", message).into_response()
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        gateway.metrics.render(),
    )
        .into_response()
}
