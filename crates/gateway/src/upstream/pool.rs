//! The targets of a route, and which of them a request goes to.
//!
//! Targets are tried in order of priority; within one priority by a draw without
//! replacement in proportion to their weights (Efraimidis and Spirakis, Weighted
//! random sampling with a reservoir, 2006: the order of u^(1/w)). One round goes
//! over all of them without waiting; where all fail in a way that is safe to try
//! again, further rounds follow after a random, growing wait.

use std::{sync::Arc, time::Duration};

use bartizan_core::{Cx, Timestamp};
use bartizan_net::{Backoff, Client, Error as NetError, Request, Response, retry_after};
use bartizan_policy::{Authorized, Grant};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use tokio::{sync::OwnedSemaphorePermit, time};

use super::{
    Answer, Condition, UpstreamError, answer::Stay, config::TargetConfig, error::InvalidTarget,
    target::Target,
};

/// LIMIT: attempts for one request over all targets and rounds.
const ATTEMPTS_MAX: u32 = 8;
/// LIMIT: targets of one route.
const TARGETS_MAX: usize = 64;
/// The waits between rounds.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(250), max: Duration::from_secs(4) };
/// The longest wait that an upstream may ask for before it is tried again within one request.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// The targets of one route.
#[derive(Debug)]
pub struct Pool {
    route: String,
    targets: Vec<Arc<Target>>,
}

/// How one target is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    pub name: String,
    pub priority: u32,
    pub weight: u32,
    pub condition: Condition,
    /// Requests that run there.
    pub running: usize,
}

/// A request that no inspector reads, for a path that the operator lists.
#[derive(Clone, Debug)]
pub struct Uninspected {
    pub method: Method,
    /// The path with its query.
    pub path: String,
    pub content_type: Option<HeaderValue>,
    pub body: Bytes,
}

/// What is sent, whichever target gets it.
#[derive(Clone, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) content: Content<'a>,
}

/// The body of what is sent.
#[derive(Clone, Debug)]
pub(crate) enum Content<'a> {
    /// JSON whose `model` is the target's to name.
    Call(&'a Value),
    Raw(Bytes),
}

impl Pool {
    /// The targets of a route, with their keys.
    ///
    /// # Errors
    /// Names the target and the setting that is wrong.
    pub fn new(
        route: &str,
        configs: &[TargetConfig],
        client: Client,
    ) -> Result<Self, InvalidTarget> {
        let mut targets: Vec<Arc<Target>> = Vec::new();
        for (index, config) in configs.iter().enumerate() {
            let invalid = |problem| InvalidTarget { index, problem };
            if index >= TARGETS_MAX {
                return Err(invalid(format!("a route has at most {TARGETS_MAX} targets")));
            }
            let target = Target::new(config, &client).map_err(invalid)?;
            if targets.iter().any(|other| other.name == target.name) {
                let problem = format!("the name `{}` is taken; set `name`", target.name);
                return Err(invalid(problem));
            }
            targets.push(Arc::new(target));
        }
        if targets.iter().all(|target| target.config.weight == 0) {
            let problem = "no target has a `weight` over 0, so nothing could be sent".to_owned();
            return Err(InvalidTarget { index: 0, problem });
        }
        Ok(Self { route: route.to_owned(), targets })
    }

    /// Passes on what the operator lists as uninspected; the grant is for this route.
    ///
    /// # Errors
    /// When the grant is for something else, and as for any request.
    pub async fn pass(
        &self,
        cx: &Cx,
        grant: Authorized<Grant>,
        what: Uninspected,
    ) -> Result<Answer, UpstreamError> {
        let grant = grant.get();
        if grant.action != "pass" || grant.route.as_deref() != Some(self.route.as_str()) {
            return Err(UpstreamError::OtherGrant {
                route: self.route.clone(),
                resource: grant.resource.clone(),
                path: what.path,
            });
        }
        let Uninspected { method, path, content_type, body } = what;
        let content = Content::Raw(body);
        self.dispatch(cx, &Parcel { method, path: &path, content_type, content }).await
    }

    /// How the targets are doing.
    pub fn states(&self) -> Vec<TargetState> {
        let state = |target: &Arc<Target>| TargetState {
            name: target.name.clone(),
            priority: target.config.priority,
            weight: target.config.weight,
            condition: target.breaker.condition(),
            running: target.running(),
        };
        self.targets.iter().map(state).collect()
    }

    /// Sends a parcel to the first target that takes it and answers; where none does,
    /// the last failure or refusal is the answer.
    pub(crate) async fn dispatch(
        &self,
        cx: &Cx,
        parcel: &Parcel<'_>,
    ) -> Result<Answer, UpstreamError> {
        let mut attempts = 0;
        let mut last: Option<Tried> = None;
        for round in 0..ATTEMPTS_MAX {
            let tried = self.round(cx, parcel, round, &mut attempts, &mut last).await;
            let Some(again) = again(last.as_ref(), attempts) else { break };
            if !tried || !self.targets.iter().any(|target| target.config.retries_max > round) {
                break;
            }
            time::sleep(again.max(BACKOFF.wait(cx, round + 1))).await;
        }
        match last {
            Some(tried) => tried.outcome,
            None => self.wait_and_attempt(cx, parcel).await,
        }
    }

    /// Tries each target that takes requests now, until one answers for good. Says
    /// whether there was one at all.
    async fn round(
        &self,
        cx: &Cx,
        parcel: &Parcel<'_>,
        round: u32,
        attempts: &mut u32,
        last: &mut Option<Tried>,
    ) -> bool {
        let mut tried = false;
        for target in self.order(cx, round) {
            let Some(stay) = stay(cx, &target, target.place()) else { continue };
            tried = true;
            *attempts += 1;
            let mut outcome = attempt(cx, stay, parcel).await;
            let is_final = outcome.again.is_none();
            if let (false, Ok(answer)) = (is_final, &mut outcome.outcome) {
                // It is kept to be shown if nothing better comes, not to fill a place.
                answer.leave_place();
            }
            *last = Some(outcome);
            if is_final || *attempts >= ATTEMPTS_MAX {
                break;
            }
        }
        tried
    }

    /// The order in which targets are tried: those that did not ask to be spared
    /// first, by priority, then by the draw.
    fn order(&self, cx: &Cx, round: u32) -> Vec<Arc<Target>> {
        let now = cx.now();
        let takes =
            |target: &&Arc<Target>| target.config.weight > 0 && target.config.retries_max >= round;
        let ranked = self.targets.iter().filter(takes).map(|target| {
            let draw = draw(cx, target.config.weight);
            (target.is_spared(now), target.config.priority, draw, target)
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        ranked.into_iter().map(|(_, _, _, target)| target.clone()).collect()
    }

    /// No target took the request: waits for a place where one is full.
    async fn wait_and_attempt(
        &self,
        cx: &Cx,
        parcel: &Parcel<'_>,
    ) -> Result<Answer, UpstreamError> {
        let order = self.order(cx, 0);
        let Some(full) = order.iter().find(|target| target.breaker.is_closed()) else {
            return Err(self.resting(cx.now()));
        };
        let limit = Duration::from_millis(full.config.queue_ms_max);
        let place = time::timeout(limit, full.wait_for_place()).await.ok().flatten();
        match stay(cx, full, place) {
            Some(stay) => attempt(cx, stay, parcel).await.outcome,
            None => Err(UpstreamError::Full { route: self.route.clone() }),
        }
    }

    fn resting(&self, now: Timestamp) -> UpstreamError {
        let due = self.targets.iter().filter_map(|target| match target.breaker.condition() {
            Condition::Open { until } => Some(until),
            Condition::Closed | Condition::HalfOpen => None,
        });
        let due = due.min().unwrap_or(now).millis().saturating_sub(now.millis());
        let wait = Duration::from_millis(u64::try_from(due).unwrap_or(0));
        UpstreamError::Resting { route: self.route.clone(), wait }
    }
}

/// How an attempt ended, and whether another may follow after so long.
#[derive(Debug)]
struct Tried {
    outcome: Result<Answer, UpstreamError>,
    again: Option<Duration>,
}

/// A stay at a target that has a place and whose breaker admits it.
fn stay(cx: &Cx, target: &Arc<Target>, place: Option<OwnedSemaphorePermit>) -> Option<Stay> {
    let place = place?;
    target.breaker.admits(cx.now()).ok()?;
    Some(Stay::new(target.clone(), cx.clone(), place))
}

/// How long to wait for another round; nothing when there may be none.
fn again(last: Option<&Tried>, attempts: u32) -> Option<Duration> {
    let asked = last?.again?;
    (attempts < ATTEMPTS_MAX && asked <= RETRY_AFTER_MAX).then_some(asked)
}

/// Smaller for heavier targets: -ln(u) / w.
fn draw(cx: &Cx, weight: u32) -> f64 {
    const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
    let share = ((u64::from_le_bytes(cx.random()) >> 11) as f64 + 1.0) * UNIT;
    -share.ln() / f64::from(weight)
}

async fn attempt(cx: &Cx, mut stay: Stay, parcel: &Parcel<'_>) -> Tried {
    let target = stay.target().clone();
    let name = || target.name.clone();
    let request = match request(&target, parcel) {
        Ok(request) => request,
        Err(problem) => {
            let outcome = Err(UpstreamError::Unsendable { target: name(), problem });
            return Tried { outcome, again: None };
        }
    };
    match target.client.send(request).await {
        Ok(response) => judge(cx, stay, response),
        Err(source) => {
            stay.failed();
            let unanswered = matches!(
                source,
                NetError::NoAnswer { .. }
                    | NetError::NotHttp { .. }
                    | NetError::FirstByteTime { .. }
            );
            let safe = source.is_unsent() || (target.config.retry_unanswered && unanswered);
            let outcome = Err(UpstreamError::Exchange { target: name(), source });
            Tried { outcome, again: safe.then_some(Duration::ZERO) }
        }
    }
}

/// What the head of an answer means for the target and for the request.
fn judge(cx: &Cx, mut stay: Stay, response: Response) -> Tried {
    let status = response.status;
    if status.is_redirection() || status.is_informational() {
        let target = stay.target().name.clone();
        let outcome = Err(UpstreamError::Redirect { target, status: status.as_u16() });
        return Tried { outcome, again: None };
    }
    let asked = retry_after(&response.headers);
    if status.is_server_error() {
        stay.failed();
    } else if status.is_client_error() {
        stay.succeeded();
    } else {
        stay.target().breaker.answered();
    }
    let busy = matches!(status.as_u16(), 429 | 502 | 503 | 504 | 529);
    if let (true, Some(wait)) = (busy, asked) {
        stay.target().spare(cx, wait);
    }
    let again = busy.then(|| asked.unwrap_or(Duration::ZERO));
    Tried { outcome: Ok(Answer::new(response, stay)), again }
}

fn request(target: &Target, parcel: &Parcel<'_>) -> Result<Request, String> {
    let mut request = Request::new(parcel.method.clone(), target.url(parcel.path)?);
    request.limits = target.limits;
    request.headers = target.headers();
    if let Some(kind) = &parcel.content_type {
        request.headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    request.body = match (&parcel.content, &target.config.model) {
        (Content::Raw(bytes), _) => bytes.clone(),
        (Content::Call(body), None) => json(body)?,
        (Content::Call(body), Some(model)) => json(&Renamed { body, model })?,
    };
    Ok(request)
}

fn json(body: &impl Serialize) -> Result<Bytes, String> {
    let bytes = serde_json::to_vec(body);
    bytes.map(Bytes::from).map_err(|e| format!("the request cannot be written as JSON: {e}"))
}

/// A call under the target's name of the model, without a copy of the rest.
struct Renamed<'a> {
    body: &'a Value,
    model: &'a str,
}

impl Serialize for Renamed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.body else { return self.body.serialize(serializer) };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, value) in fields {
            match name.as_str() {
                "model" => map.serialize_entry(name, self.model)?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}
