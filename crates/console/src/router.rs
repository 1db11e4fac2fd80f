//! Serves the catalogue of endpoints, once it is known who asks and that they may.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{Extension, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan_core::{Cx, Id, Tenant};
use bartizan_gateway::Gateway;
use bartizan_policy::Access;

use crate::{
    Admin, Failure,
    endpoints::{self, Needs},
    openapi,
    permit::{Permit, Who},
};

/// The header that says how long the server took (<https://www.w3.org/TR/server-timing/>).
const SERVER_TIMING: &str = "server-timing";
/// The header that names a request, in answers and in the log.
const REQUEST_ID: &str = "x-bartizan-request-id";

/// How the administrator is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the token in `Authorization: Bearer`.
    Token,
    /// By having reached this at all: the Unix socket, or the same process.
    Local,
}

/// Administration's paths: the API behind the proof, health and metrics before it.
pub fn router(admin: &Admin, trust: Trust) -> Router {
    let mut api = Router::new();
    for endpoint in endpoints::ALL {
        api = api.route(endpoint.path, (endpoint.serve)());
    }
    api.with_state(admin.clone())
        .route_layer(from_fn_with_state((admin.clone(), trust), prove))
        .route(openapi::PATH, get(|| async { Json(openapi::document()) }))
        .route("/metrics", get(metrics).with_state(admin.gateway.clone()))
        .merge(bartizan_gateway::health(admin.gateway.clone()))
        .fallback(|uri: Uri| async move {
            let shown = bartizan_core::json::clip(uri.path(), 128);
            Failure::not_found(format!(
                "there is no `{shown}`; GET {} lists what there is",
                openapi::PATH
            ))
        })
        .method_not_allowed_fallback(|method: Method| async move {
            let message =
                format!("`{method}` is not served here; GET {} lists what is", openapi::PATH);
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(from_fn(finish))
        .layer(Extension(admin.gateway.cx.clone()))
}

/// Names the request, and gives failures their form.
async fn finish(Extension(cx): Extension<Cx>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = Id::new(&cx).to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        if failure.status.is_server_error() {
            tracing::error!(request = id, %method, path, error = %failure, "administration failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = failure.answer(&id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let headers = response.headers_mut();
    // Answers hold secrets and people's words.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    let took = format!("app;dur={:.2}", start.elapsed().as_secs_f64() * 1000.0);
    if let Ok(took) = HeaderValue::from_str(&took) {
        headers.insert(SERVER_TIMING, took);
    }
    response
}

async fn prove(
    State((admin, trust)): State<(Admin, Trust)>,
    mut request: Request,
    next: Next,
) -> Response {
    match permit(&admin, trust, &mut request).await {
        Ok(permit) => {
            request.extensions_mut().insert(permit);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

async fn permit(admin: &Admin, trust: Trust, request: &mut Request) -> Result<Permit, Failure> {
    let who = match trust {
        Trust::Local => Who::Administrator("administrator:local"),
        Trust::Token => {
            let token = bearer(request).unwrap_or_default().to_owned();
            by_token(admin, &token).await?
        }
    };
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let needs = endpoints::needs(path.unwrap_or_default(), request.method());
    let tenant = take_tenant(request)?;
    let access = match needs {
        // A method that is not served is refused below, by the router.
        None => Access::Read(bartizan_policy::Area::Routes),
        Some(Needs::Read(area)) => Access::Read(area),
        Some(Needs::Manage(area)) => Access::Manage(area),
    };
    Permit::ask(admin, Arc::new(who), tenant, access)
}

fn bearer(request: &Request) -> Option<&str> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn by_token(admin: &Admin, token: &str) -> Result<Who, Failure> {
    if admin.is_administrator(token).await? {
        return Ok(Who::Administrator("administrator:token"));
    }
    admin.gateway.count_refusal("administration", "not_administrator");
    let message = "send the administrator's token as `Authorization: Bearer bza_...`; it was shown at the first start, and `bartizan admin-token` makes another";
    Err(Failure::new(StatusCode::UNAUTHORIZED, "not_administrator", message))
}

/// Takes the tenant, which every operation may name, out of the query string.
fn take_tenant(request: &mut Request) -> Result<Tenant, Failure> {
    let Some(query) = request.uri().query() else { return Ok(Tenant::default()) };
    let (named, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| pair.starts_with("tenant="));
    let tenant = match named.as_slice() {
        [] => Tenant::default(),
        [one] => one
            .trim_start_matches("tenant=")
            .parse()
            .map_err(|error: bartizan_core::InvalidTenant| Failure::invalid(error.to_string()))?,
        _ => return Err(Failure::invalid("the query names the tenant more than once")),
    };
    let path = request.uri().path();
    let target = match rest.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", rest.join("&")),
    };
    *request.uri_mut() =
        target.parse().map_err(|_| Failure::invalid("the query cannot be read"))?;
    Ok(tenant)
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics.render()).into_response()
}
