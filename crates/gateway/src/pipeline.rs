//! One request from head to last byte: parse, authenticate, limit, inspect,
//! decide, record, forward, inspect the answer, deliver.
//!
//! Invariant: nothing goes upstream but a [`Passage`], and nothing that an
//! upstream said goes to the client but through `Screened`. Every way out of
//! here that is not a whole answer is a [`Failure`], counted and recorded.

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
use bartizan_core::{Id, Timestamp};
use bartizan_guard::{Context, Report, Screening};
use bartizan_policy::{Access, Authorized, Grant, Principal, Request as Ask};
use http::{HeaderMap, Request, request::Parts as Head};

use crate::{
    budgets::{self, Estimate, Owner},
    decisions::{self, Judgement, Subject},
    exchange::{End, Exchange, Start, digest},
    gateway::Gateway,
    holds::Outcome,
    identity, intake,
    keys::Key,
    passing,
    protocols::{self, Call, Failure, Protocol, Provider, StreamReader},
    refusals, relay, reply,
    routes::{Live, Route},
    tally::Known,
    traces::Trace,
    upstream::Passage,
};

/// Tokens that an answer is taken to have at the most when the request sets no bound.
const OUTPUT_TOKENS_GUESS: u64 = 1024;
/// Bodies longer than this, in bytes, are inspected off the event loop.
const INLINE_BYTES_MAX: usize = 32 * 1024;

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) id: Id,
    pub(crate) at: Instant,
    pub(crate) time: Timestamp,
    pub(crate) live: Arc<Live>,
    /// The client's address.
    pub(crate) caller: String,
    pub(crate) provider: Provider,
}

/// Answers a request to the data plane.
pub(crate) async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let _running = gateway.metrics.running();
    let (head, body) = request.into_parts();
    let live = gateway.live();
    let arrival = Arrival {
        id: Id::new(&gateway.cx),
        at: Instant::now(),
        time: gateway.cx.now(),
        caller: identity::client_address(peer.ip(), &head.headers, &live.trusted).to_string(),
        live,
        provider: protocols::provider_of(head.uri.path(), &head.headers),
    };
    let mut known = Known::new(&arrival.caller);
    match answer(&gateway, &arrival, &head, body, &mut known).await {
        Ok(response) => response,
        Err(failure) => {
            refusals::log(&failure, arrival.id, "", None);
            gateway.refuse(&known, &failure);
            reply::failure(arrival.provider, &failure, arrival.id)
        }
    }
}

async fn answer(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    head: &Head,
    body: Body,
    known: &mut Known,
) -> Result<Response, Failure> {
    let key = authenticate(gateway, &head.headers).await?;
    known.whom.key = Some((key.tenant.clone(), key.id));
    if let Some(list) = models(gateway, arrival, head, &key) {
        return Ok(list);
    }
    let protocol = match protocols::find(&head.method, head.uri.path()) {
        Some(protocol) => protocol,
        None => return passing::answer(gateway, arrival, head, body, &key).await,
    };
    let bounds = &arrival.live.config.data;
    let time_max = Duration::from_millis(bounds.body_ms_max);
    let bytes = intake::read(&head.headers, body, bounds.body_bytes_max, time_max).await?;
    let body = intake::parse(&bytes, bounds.body_bytes_max)?;
    let mut call = protocol.read(body).map_err(|refusal| refusals::unreadable(&refusal))?;
    let route = route(arrival, &call)?;
    known.whom.route = Some(route.name.clone());
    let _grant = authorize(gateway, &key, &route, &call)?;
    let opaque = opaque(&route, &call)?;
    let end_user = identity::end_user(
        &head.headers,
        route.config.end_user_header.as_deref(),
        call.end_user.as_deref(),
    );
    if let Some(user) = &end_user {
        known.end_user = Some(digest(gateway, &key, "end-user", user.as_bytes()).await?);
    }
    let budget =
        reserve(gateway, arrival, &key, &route, &call, end_user.as_deref(), bytes.len()).await?;
    let end_user = known.end_user.clone();
    let subject =
        subject(gateway, arrival, &key, &route, &call, protocol, end_user, &bytes).await?;
    let context = Context::new(
        call.system_texts(),
        route.config.canaries.clone(),
        route.config.link_hosts.clone(),
    );
    let reader = if call.stream { protocol.stream(&call) } else { None };
    call.ask_for_usage();
    let kept = route.config.keep_text.then(|| call.body().clone());
    let taken_in = arrival.at.elapsed();
    let (screening, context) = screen(gateway, &route, context, call, bytes.len()).await?;
    let start = Start {
        gateway: gateway.clone(),
        at: arrival.at,
        key,
        route,
        protocol,
        subject,
        budget,
        opaque,
        kept,
        sent: None,
        trace: Trace::of(&gateway.cx, &head.headers),
        approval: None,
        layers: [taken_in, arrival.at.elapsed()],
    };
    decide(start, screening, context, reader).await
}

pub(crate) async fn authenticate(
    gateway: &Gateway,
    headers: &HeaderMap,
) -> Result<Arc<Key>, Failure> {
    let key = gateway.keys.authenticate(identity::token(headers)).await;
    key.map_err(|error| refusals::internal("the keys cannot be read", &error))?
        .map_err(refusals::unaccepted)
}

/// The answer to a request for the list of models: those that the key may ask for.
fn models(gateway: &Gateway, arrival: &Arrival, head: &Head, key: &Key) -> Option<Response> {
    let wanted = protocols::models::wanted(&head.method, head.uri.path())?;
    let routes = arrival.live.routes.values();
    let listed =
        routes.flat_map(|route| route.config.models.iter().map(move |model| (route, model)));
    let may = |route: &Route, model: &str| allowed(gateway, key, &route.name, model).is_ok();
    let names = listed.filter(|(route, model)| !model.contains('*') && may(route, model));
    let names: Vec<String> = names.map(|(_, model)| model.clone()).collect();
    Some(match protocols::models::render(arrival.provider, &names, wanted, arrival.time) {
        Some(body) => reply::json(200, &body, arrival.id, None),
        None => reply::failure(arrival.provider, &refusals::no_such_model(wanted), arrival.id),
    })
}

fn route(arrival: &Arrival, call: &Call) -> Result<Arc<Route>, Failure> {
    arrival.live.route_of(&call.model).cloned().ok_or_else(|| refusals::no_such_model(&call.model))
}

/// The key, as policies know it.
pub(crate) fn principal<'a>(key: &'a Key, id: &'a str) -> Principal<'a> {
    Principal::Key(bartizan_policy::Key {
        id,
        name: &key.name,
        tenant: &key.tenant,
        routes: &key.routes,
        models: &key.models,
        expires_at: key.expires_at,
        revoked: key.revoked_at.is_some(),
    })
}

fn allowed(
    gateway: &Gateway,
    key: &Key,
    route: &str,
    model: &str,
) -> Result<Authorized<Grant>, bartizan_policy::Denied> {
    let id = key.id.to_string();
    let ask = Ask::new(principal(key, &id), &key.tenant, Access::Call { route, model });
    gateway.authorizer.authorize(&gateway.cx, &ask)
}

fn authorize(
    gateway: &Gateway,
    key: &Key,
    route: &Route,
    call: &Call,
) -> Result<Authorized<Grant>, Failure> {
    let model = &call.model;
    allowed(gateway, key, &route.name, model)
        .map_err(|denied| refusals::not_allowed(&key.name, "model", model, &denied.to_string()))
}

/// What the gateway cannot see: refused unless the route allows it, and then named.
fn opaque(route: &Route, call: &Call) -> Result<Vec<String>, Failure> {
    let allowed = |kind: &str| route.config.allow_opaque.iter().any(|listed| listed == kind);
    match call.opaque.iter().find(|opaque| !allowed(opaque.kind)) {
        Some(opaque) => Err(refusals::opaque(opaque, &route.name)),
        None => Ok(call
            .opaque
            .iter()
            .map(|opaque| format!("{} {}", opaque.kind, opaque.location))
            .collect()),
    }
}

async fn reserve(
    gateway: &Gateway,
    arrival: &Arrival,
    key: &Key,
    route: &Route,
    call: &Call,
    end_user: Option<&str>,
    body_bytes: usize,
) -> Result<budgets::Hold, Failure> {
    let mut owners = vec![Owner {
        name: format!("{}/{}/key/{}", key.tenant, route.name, key.id),
        limits: key.limits.unwrap_or(route.config.per_key),
    }];
    if let Some(user) = end_user {
        let name = format!("{}/{}/user/{user}", key.tenant, route.name);
        owners.push(Owner { name, limits: route.config.per_end_user });
    }
    let output =
        call.tokens_out_max.unwrap_or(OUTPUT_TOKENS_GUESS).saturating_mul(call.choices.max(1));
    let estimate = Estimate::new(body_bytes, output);
    let price = arrival.live.price_of(&call.model);
    let limits = gateway.store.limits();
    budgets::reserve(&*limits, arrival.time, &owners, estimate, price)
        .await
        .map_err(|over| refusals::over_limit(&over))
}

#[expect(clippy::too_many_arguments, reason = "it gathers what the earlier steps found, once")]
async fn subject(
    gateway: &Gateway,
    arrival: &Arrival,
    key: &Key,
    route: &Route,
    call: &Call,
    protocol: &dyn Protocol,
    end_user: Option<String>,
    body: &[u8],
) -> Result<Subject, Failure> {
    let broken = |error: bartizan_store::Error| {
        refusals::internal("the tenant's key cannot be read", &error)
    };
    let store = &gateway.store;
    Ok(Subject {
        id: arrival.id,
        time: arrival.time,
        tenant_tag: store.tenant_tag(&key.tenant).await.map_err(broken)?,
        key: key.id,
        route: route.name.clone(),
        model: model_on_record(gateway, key, route, &call.model).await?,
        protocol: protocol.meta().name,
        end_user,
        prompt: store.digest(&key.tenant, "prompt", body).await.map_err(broken)?,
    })
}

/// A model's name as it enters the ledger, which nothing ever leaves, and clear metadata:
/// the client's own word only where the operator lists it, or it is a name and no rule
/// finds anything in it. For any other stands a keyed digest.
async fn model_on_record(
    gateway: &Gateway,
    key: &Key,
    route: &Route,
    model: &str,
) -> Result<String, Failure> {
    let is_plain = || {
        let (profile, context) = (bartizan_guard::Profile::default(), Context::default());
        let channel = bartizan_guard::Channel::Content;
        let report = gateway.guard.inspect(&gateway.cx, &profile, &context, channel, model);
        report.findings.is_empty()
    };
    let is_listed = route.config.models.iter().any(|listed| listed == model);
    if is_listed || identity::is_model_name(model) && is_plain() {
        return Ok(model.to_owned());
    }
    digest(gateway, key, "model", model.as_bytes()).await
}

/// Inspects the request; long ones on a thread that may block.
async fn screen(
    gateway: &Arc<Gateway>,
    route: &Arc<Route>,
    context: Context,
    call: Call,
    body_bytes: usize,
) -> Result<(Screening<Call>, Context), Failure> {
    if body_bytes <= INLINE_BYTES_MAX {
        let screening = gateway.guard.screen(&gateway.cx, &route.profile, &context, call);
        return Ok((screening, context));
    }
    let (gateway, route) = (gateway.clone(), route.clone());
    let work = move || (gateway.guard.screen(&gateway.cx, &route.profile, &context, call), context);
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| refusals::internal("the inspection failed", &error))
}

/// Records the decision, and goes on or refuses.
async fn decide(
    mut start: Start,
    screening: Screening<Call>,
    context: Context,
    reader: Option<Box<dyn StreamReader>>,
) -> Result<Response, Failure> {
    start.gateway.metrics.own_share(start.at.elapsed());
    match screening {
        Screening::Pass(call, report) => {
            start.keep_sent(&report, call.get());
            forward(start, Passage::Screened(call), report, None, context, reader).await
        }
        Screening::Stopped(report) => {
            let failure = refusals::blocked(&report, start.subject.id);
            stop(start, report, None, failure).await
        }
        Screening::Held(held, report) => {
            start.keep_sent(&report, held.get());
            let ttl = Duration::from_secs(start.route.config.hold_s);
            let about = format!("{}\n{}\n{}", start.key.id, start.route.name, start.subject.prompt);
            let digest =
                digest(&start.gateway, &start.key, "held-request", about.as_bytes()).await?;
            let reason = refusals::reason(&report);
            let by = format!("key:{}", start.key.id);
            let outcome =
                start.gateway.holds.pass(&start.key.tenant, &digest, &reason, &by, ttl, held).await;
            match outcome
                .map_err(|error| refusals::internal("the approvals cannot be read", &error))?
            {
                Outcome::Released(approved, id) => {
                    forward(start, Passage::Approved(approved), report, Some(id), context, reader)
                        .await
                }
                Outcome::Waiting(id) => stop(start, report, Some(id), refusals::held(id)).await,
                Outcome::Refused(id) => {
                    stop(start, report, Some(id), refusals::hold_refused(id)).await
                }
            }
        }
    }
}

/// Refuses a request that was judged, once that is on record.
async fn stop(
    mut start: Start,
    report: Report,
    approval: Option<Id>,
    failure: Failure,
) -> Result<Response, Failure> {
    start.approval = approval;
    let Start { gateway, subject, .. } = &start;
    let pending = gateway.append(decisions::decided(
        subject,
        &Judgement::of(&report),
        approval,
        &start.opaque,
        start.budget.counted(),
    ))?;
    let exchange = Exchange::new(start, report, pending);
    let Start { subject, protocol, .. } = &exchange.start;
    let response = reply::failure(protocol.meta().provider, &failure, subject.id);
    let response = reply::with_verdict(response, exchange.prompt.verdict);
    exchange
        .finish(End { status: failure.status, cut: Some(failure.code), ..Default::default() })
        .await?;
    Ok(response)
}

/// Sends the request on while its decision is being written; nothing is delivered before
/// that is durable: a stream waits for it, and whatever comes whole for its end's entry too.
async fn forward(
    mut start: Start,
    passage: Passage,
    report: Report,
    approval: Option<Id>,
    context: Context,
    reader: Option<Box<dyn StreamReader>>,
) -> Result<Response, Failure> {
    start.approval = approval;
    let gateway = start.gateway.clone();
    let entry = decisions::decided(
        &start.subject,
        &Judgement::of(&report),
        approval,
        &start.opaque,
        start.budget.counted(),
    );
    let pending = gateway.append(entry)?;
    let exchange = Exchange::new(start, report, pending);
    let Start { route, protocol, .. } = &exchange.start;
    match route.pool.send(&gateway.cx, passage, protocol.meta().path).await {
        Err(error) => reply::failed(exchange, refusals::upstream(&error), None).await,
        Ok(answer) if answer.status != http::StatusCode::OK => {
            reply::refused_upstream(exchange, answer, context).await
        }
        Ok(answer) => match reader {
            Some(reader) => {
                relay::start(exchange.on_record().await?, answer, reader, context).await
            }
            None => reply::whole(exchange, answer, context).await,
        },
    }
}
