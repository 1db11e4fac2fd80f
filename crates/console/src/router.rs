//! Serves the catalogue of endpoints, once it is known who asks and that they may.

use std::{sync::Arc, time::Instant};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use bartizan_core::{Id, Tenant};
use bartizan_gateway::Gateway;
use bartizan_policy::Access;

use crate::{
    Admin, Failure,
    door::{self, Head},
    endpoints::{self, Needs},
    files, frame, gate, openapi, pages,
    people::{
        account::{self, Account},
        enter, tokens,
    },
    permit::{By, Permit, Who},
};

/// The header that says how long the server took (<https://www.w3.org/TR/server-timing/>).
const SERVER_TIMING: &str = "server-timing";
/// The header that names a request, in answers and in the log.
const REQUEST_ID: &str = "x-bartizan-request-id";

/// On every answer, page or not. `same-origin` lets browsers say from which of our pages
/// a form comes, and other sites learn nothing.
const GUARDS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// How the administrator is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the token in `Authorization: Bearer`.
    Token,
    /// By having reached this at all: the Unix socket, or the same process.
    Local,
}

/// Administration's paths: the API behind the proof, health and metrics before it; and
/// for browsers the pages, behind their door.
pub fn router(admin: &Admin, trust: Trust) -> Router {
    let lost = admin.clone();
    let mut api = Router::new();
    for endpoint in endpoints::ALL {
        api = api.route(endpoint.path, (endpoint.serve)());
    }
    api = api.route_layer(from_fn_with_state((admin.clone(), trust), prove));
    if trust == Trust::Token {
        api = api.merge(for_browsers(admin));
    }
    api.with_state(admin.clone())
        .route(openapi::PATH, get(|| async { Json(openapi::document()) }))
        .route("/metrics", get(metrics).with_state(admin.gateway.clone()))
        .merge(bartizan_gateway::health(admin.gateway.clone()))
        .fallback(move |uri: Uri, request: Request| nothing_here(lost.clone(), trust, uri, request))
        .method_not_allowed_fallback(|method: Method| async move {
            let message =
                format!("`{method}` is not served here; GET {} lists what is", openapi::PATH);
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(from_fn_with_state(admin.clone(), finish))
}

/// What is served nowhere; who is signed in is told so in a page with the way on.
async fn nothing_here(admin: Admin, trust: Trust, uri: Uri, request: Request) -> Response {
    let shown = bartizan_core::json::clip(uri.path(), 128);
    if trust == Trust::Token
        && !uri.path().starts_with("/api/")
        && let Some(visitor) = door::lost(&admin, request).await
    {
        let message = format!("`{shown}` is no page of this console");
        return frame::failure(&visitor, &uri, &Failure::not_found(message));
    }
    let message = format!("there is no `{shown}`; GET {} lists what there is", openapi::PATH);
    Failure::not_found(message).into_response()
}

/// Signing in, and what is behind it.
fn for_browsers(admin: &Admin) -> Router<Admin> {
    let signed_in = door::behind(admin, pages::router(), pages::needs);
    gate::routes()
        .merge(signed_in)
        .route_layer(from_fn_with_state(admin.clone(), door::meet))
        .merge(files::router())
}

/// Names the request, and gives failures their form.
async fn finish(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let (cx, secure) = (&admin.gateway.cx, admin.people().secure());
    let id = Id::new(cx).to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let page = door::wants_page(request.headers()) && !path.starts_with("/api/");
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        if failure.status.is_server_error() {
            tracing::error!(request = id, %method, path, error = %failure, "administration failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        let cookies: Vec<_> =
            response.headers().get_all(header::SET_COOKIE).iter().cloned().collect();
        response = if page { gate::failure(&failure, &id) } else { failure.answer(&id) };
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
        for cookie in cookies {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    let headers = response.headers_mut();
    // Answers hold secrets and people's words; what is for everyone says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in GUARDS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if secure {
        let value = HeaderValue::from_static("max-age=63072000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
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
        Trust::Token => who(admin, Head::of(admin, request)).await?,
    };
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let operation = endpoints::find(path.unwrap_or_default(), request.method());
    let tenant = take_tenant(request)?;
    if operation.is_some_and(|operation| operation.asks.is_none()) {
        asks_nothing(request)?;
    }
    let access = match operation.map(|operation| operation.needs) {
        // A method that is not served is refused below, by the router.
        None => Access::Read(bartizan_policy::Area::Routes),
        Some(Needs::Read(area)) => Access::Read(area),
        Some(Needs::Manage(area)) => Access::Manage(area),
    };
    let who = Arc::new(who);
    Permit::ask(admin, who.clone(), tenant, access).inspect_err(|_| {
        if let Who::Person { actor, .. } = &*who {
            admin.gateway.count_refusal(actor, "denied");
        }
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// By the token in the header, or by the cookie of a session.
async fn who(admin: &Admin, head: Head) -> Result<Who, Failure> {
    let Some(token) = bearer(&head.headers) else {
        return door::by_cookie(admin, &head).await?.ok_or_else(|| unknown(admin));
    };
    if token.starts_with(tokens::PREFIX) {
        return by_token(admin, token).await?.ok_or_else(|| {
            enter::refused(admin, &head.from, "token_refused");
            let message = "this API token was revoked, has expired, or was never made; the person can make another";
            Failure::new(StatusCode::UNAUTHORIZED, "token_refused", message)
        });
    }
    if admin.is_administrator(token).await? {
        return Ok(Who::Administrator("administrator:token"));
    }
    Err(unknown(admin))
}

fn unknown(admin: &Admin) -> Failure {
    admin.gateway.count_refusal("administration", "not_administrator");
    let message = "send the administrator's token as `Authorization: Bearer bza_...` or a person's API token (`bzp_...`), or sign in; the first was shown at the first start, and `bartizan admin-token` makes another";
    Failure::new(StatusCode::UNAUTHORIZED, "not_administrator", message)
}

/// A person by an API token; nobody where either is not in force.
async fn by_token(admin: &Admin, secret: &str) -> Result<Option<Who>, Failure> {
    let (store, cx) = (&admin.gateway.store, &admin.gateway.cx);
    let Some((_, token)) = tokens::find(store, cx, secret).await? else { return Ok(None) };
    let account = account::find(store, token.person).await?.filter(Account::is_active);
    Ok(account.map(|account| Who::person(account.person(), By::Token { scopes: token.scopes })))
}

/// Takes the tenant, which every operation may name, out of the query string.
pub(crate) fn take_tenant(request: &mut Request) -> Result<Tenant, Failure> {
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

/// A parameter that is passed over is a mistyped `tenant` that shows another one's records.
fn asks_nothing(request: &Request) -> Result<(), Failure> {
    let name = request.uri().query().and_then(|query| query.split(['=', '&']).next());
    match name.filter(|name| !name.is_empty()) {
        None => Ok(()),
        Some(name) => Err(Failure::invalid(format!(
            "the query: `{}` is no parameter of this; `tenant` is",
            bartizan_core::json::clip(name, 64)
        ))),
    }
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, OPENMETRICS)], gateway.metrics.render()).into_response()
}
