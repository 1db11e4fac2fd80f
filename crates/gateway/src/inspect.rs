//! `POST /v1/inspect`: the same verdict for applications that cannot route through
//! the gateway.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    response::Response,
};
use bartizan_core::Id;
use bartizan_guard::{Channel, Context, Report};
use bartizan_ledger::Entry;
use bartizan_policy::{Access, Request as Ask};
use http::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    decisions::Judgement,
    exchange::{digest, durable},
    gateway::Gateway,
    identity, intake,
    keys::Key,
    pipeline::{Arrival, authenticate, principal},
    protocols::{Failure, Provider},
    refusals, reply,
    routes::Route,
    tally::Known,
};

/// Texts of one request.
const TEXTS_MAX: usize = 256;

/// What is to be inspected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    text: Option<String>,
    #[serde(default = "user")]
    channel: Channel,
    /// Several texts at once, instead of `text`.
    #[serde(default)]
    texts: Vec<Text>,
    /// Under which route's rules; the first one's by name when absent.
    route: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
    #[serde(default = "user")]
    channel: Channel,
}

fn user() -> Channel {
    Channel::User
}

pub(crate) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let live = gateway.live();
    let arrival = Arrival {
        id: Id::new(&gateway.cx),
        at: Instant::now(),
        time: gateway.cx.now(),
        caller: identity::client_address(peer.ip(), &head.headers, &live.trusted).to_string(),
        live,
        provider: Provider::OpenAi,
    };
    let mut known = Known::new(&arrival.caller);
    let answered = async {
        let key = authenticate(&gateway, &head.headers).await?;
        known.whom.key = Some((key.tenant.clone(), key.id));
        let bounds = &arrival.live.config.data;
        let bytes = intake::read(
            &head.headers,
            body,
            bounds.body_bytes_max,
            Duration::from_millis(bounds.body_ms_max),
        )
        .await?;
        answer(&gateway, &arrival, &key, intake::parse(&bytes, bounds.body_bytes_max)?).await
    };
    match answered.await {
        Ok((body, verdict)) => reply::json(200, &body, arrival.id, Some(verdict)),
        Err(failure) => {
            gateway.refuse(&known, &failure);
            reply::failure(arrival.provider, &failure, arrival.id)
        }
    }
}

async fn answer(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    key: &Key,
    body: Value,
) -> Result<(Value, bartizan_core::Verdict), Failure> {
    let asked: Asked = serde_json::from_value(body).map_err(|error| {
        Failure::new(
            400,
            "invalid_request",
            format!("this is no request for an inspection: {error}"),
        )
    })?;
    let route = route(arrival, asked.route.as_deref())?;
    let id = key.id.to_string();
    let ask = Ask::new(principal(key, &id), &key.tenant, Access::Inspect { route: &route.name });
    let _grant = gateway.authorizer.authorize(&gateway.cx, &ask).map_err(|denied| {
        refusals::not_allowed(&key.name, "route", &route.name, &denied.to_string())
    })?;
    let mut texts = asked.texts;
    texts.extend(asked.text.map(|text| Text { text, channel: asked.channel }));
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        return Err(Failure::new(
            400,
            "invalid_request",
            format!("send `text`, or 1 to {TEXTS_MAX} `texts`"),
        )
        .param("text"));
    }
    let all = texts.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n");
    let prompt = digest(gateway, key, "prompt", all.as_bytes()).await?;
    let context = Context::new(&[], route.config.canaries.clone(), route.config.link_hosts.clone());
    let (worker, under) = (gateway.clone(), route.clone());
    let work = move || {
        let mut report = Report::default();
        for one in &texts {
            report.merge(worker.guard.inspect(
                &worker.cx,
                &under.profile,
                &context,
                one.channel,
                &one.text,
            ));
        }
        report
    };
    let report = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| refusals::internal("the inspection failed", &error))?;
    let tag = gateway
        .store
        .tenant_tag(&key.tenant)
        .await
        .map_err(|error| refusals::internal("the tenant's key cannot be read", &error))?;
    let entry = Entry::new("gateway.inspection")
        .tenant(&tag)
        .actor(&format!("key:{}", key.id))
        .subject(&format!("request:{}", arrival.id))
        .with("route", route.name.as_str())
        .with("prompt", prompt)
        .with("judgement", Judgement::of(&report).json());
    durable(gateway.append(entry)?).await?;
    let body = json!({
        "id": arrival.id, "verdict": report.verdict, "redactions": report.redactions,
        "findings": report.findings, "coverage": report.coverage,
    });
    Ok((body, report.verdict))
}

fn route(arrival: &Arrival, name: Option<&str>) -> Result<Arc<Route>, Failure> {
    let routes = &arrival.live.routes;
    let found = match name {
        Some(name) => routes.get(name),
        None => routes.values().next(),
    };
    found.cloned().ok_or_else(|| {
        Failure::new(
            404,
            "unknown_route",
            format!("there is no route `{}`", bartizan_core::json::clip(name.unwrap_or(""), 64)),
        )
        .param("route")
    })
}
