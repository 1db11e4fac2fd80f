//! Records and events that a crash or an absent database swallowed, made again from the ledger.
//!
//! An answer is delivered when the ledger has its entries; the record for people and the event
//! for other rooms follow a moment later. Whatever ends the process in that moment must not
//! hide a request from them: so the newest part of the ledger is compared with the records, at
//! the start and after every failure to store one. A record that is made again has neither text
//! nor findings, of which the ledger knows codes only, and says `recovered`. Its event has the
//! same id as the first one would have had, so that receivers see it once.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bartizan_core::{Event, Id, Severity, Tenant, Timestamp};
use bartizan_store::{Order, Query};
use serde_json::{Map, Value, json};

use crate::{
    Error, Gateway,
    decisions::{self, DECISION},
};

/// How far back of the newest entry it looks: longer than any request takes.
const BACK_MAX: Duration = Duration::from_secs(3600);
// LIMIT: entries that are read; a busier hour is looked through from its end.
const ENTRIES_MAX: u64 = 200_000;
const PAGE: u16 = 500;
/// While requests run, what is newer than this may still be on its way.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// After this, whatever failed has been judged.
pub(crate) const SETTLED: Duration = Duration::from_secs(120);

/// Which requests are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The ledger had so many entries before the first request came: none of those in it runs
    /// any more.
    Starting(u64),
    /// Requests run: those without an end are left alone.
    Running,
}

/// What the ledger says about one request.
#[derive(Debug, Default)]
struct Traces {
    decision: Option<(u64, Value)>,
    outcome: Option<Value>,
}

/// Makes the missing records again; returns how many.
///
/// # Errors
/// When the ledger or the store cannot be read or written.
pub async fn recover(gateway: &Gateway, when: When) -> Result<u64, Error> {
    let now = gateway.cx.now();
    let size = match when {
        When::Starting(size) => size,
        When::Running => gateway.ledger.head().size,
    };
    let (requests, since) = requests(gateway, size)?;
    let mut made = 0;
    for tenant in gateway.store.tenants().await? {
        let tag = gateway.store.tenant_tag(&tenant).await?;
        let stored = stored(gateway, &tenant, since).await?;
        for (id, traces) in &requests {
            let Some((index, decision)) = &traces.decision else { continue };
            let ended = traces.outcome.as_ref().map(time);
            let over = match when {
                When::Starting(_) => true,
                When::Running => ended.is_some_and(|at| at.after(UNDER_WAY) < now),
            };
            if !over || stored.contains(id) || text(decision, "tenant") != tag {
                continue;
            }
            let meta = meta(*index, decision, traces.outcome.as_ref());
            let events = [event(gateway, &tenant, *id, time(decision), &meta)];
            let put = gateway.store.put_with_events(&tenant, &DECISION, *id, meta, None, &events);
            match put.await {
                Ok(()) => made += 1,
                // Another node, or the request itself, was faster.
                Err(bartizan_store::Error::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(made)
}

/// The requests in the newest part of the ledger, and when that begins.
fn requests(gateway: &Gateway, size: u64) -> Result<(HashMap<Id, Traces>, Timestamp), Error> {
    let mut requests: HashMap<Id, Traces> = HashMap::new();
    let lowest = size.saturating_sub(ENTRIES_MAX);
    let mut from = size;
    let mut bound: Option<Timestamp> = None;
    let mut since = gateway.cx.now();
    while from > lowest && bound.is_none_or(|bound| since >= bound) {
        let to = from;
        from = to.saturating_sub(u64::from(PAGE)).max(lowest);
        let count = usize::try_from(to - from).unwrap_or(usize::MAX);
        for (index, entry) in gateway.ledger.entries(from, count)? {
            let at = time(&entry);
            since = since.min(at);
            bound = bound.max(Some(at.before(BACK_MAX)));
            let id =
                text(&entry, "subject").strip_prefix("request:").and_then(|id| id.parse().ok());
            let Some(id) = id else { continue };
            match text(&entry, "kind") {
                "gateway.decision" => {
                    requests.entry(id).or_default().decision = Some((index, entry));
                }
                "gateway.outcome" => requests.entry(id).or_default().outcome = Some(entry),
                _ => {}
            }
        }
    }
    Ok((requests, since))
}

/// The requests of a tenant that have a record.
async fn stored(
    gateway: &Gateway,
    tenant: &Tenant,
    since: Timestamp,
) -> Result<HashSet<Id>, Error> {
    let mut stored = HashSet::new();
    let mut query = Query {
        since: Some(since),
        order: Order::Oldest,
        limit: PAGE,
        sealed: false,
        ..Query::new(&DECISION)
    };
    loop {
        let page = gateway.store.list(tenant, &query).await?;
        stored.extend(page.records.iter().map(|record| record.id));
        let Some(next) = page.next else { return Ok(stored) };
        query.after = Some(next);
    }
}

/// The record, as far as the ledger knows it.
fn meta(index: u64, decision: &Value, outcome: Option<&Value>) -> Map<String, Value> {
    let null = Value::Null;
    let of = |entry: Option<&Value>, name: &str| {
        entry
            .and_then(|entry| entry.pointer(&format!("/body/{name}")))
            .cloned()
            .unwrap_or(Value::Null)
    };
    let decision_of = |name: &str| of(Some(decision), name);
    let input = decision_of("judgement");
    let output = of(outcome, "judgement");
    let mut rules: Vec<&str> = [&input, &output]
        .into_iter()
        .filter_map(|judgement| judgement.get("rules")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    rules.sort_unstable();
    rules.dedup();
    let verdict = decisions::worst(
        input.get("verdict").unwrap_or(&null),
        output.get("verdict").unwrap_or(&null),
    );
    let status = of(outcome, "status").as_u64().unwrap_or(0).to_string();
    let cut = match outcome {
        Some(_) => of(outcome, "cut"),
        None => "interrupted".into(),
    };
    let key = text(decision, "actor").trim_start_matches("key:");
    let meta = json!({
        "verdict": verdict, "route": decision_of("route"), "model": decision_of("model"), "key": key,
        "protocol": decision_of("protocol"), "status": status, "rules": rules,
        "end_user": decision_of("end_user"), "input": input, "output": output, "cut": cut,
        "target": of(outcome, "target"), "tokens_in": of(outcome, "tokens_in"),
        "tokens_out": of(outcome, "tokens_out"), "took_ms": null, "ledger_index": index,
        "recovered": true,
    });
    decisions::object(meta)
}

fn event(
    gateway: &Gateway,
    tenant: &Tenant,
    id: Id,
    at: Timestamp,
    meta: &Map<String, Value>,
) -> Event {
    let text = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = meta.get("rules").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    // The ledger does not say how severe the findings were.
    let severity = if found { Severity::Medium } else { Severity::Informational };
    let about = decisions::About {
        request: id,
        protocol: text("protocol"),
        route: text("route"),
        key: text("key"),
    };
    let mut event = decisions::event(&gateway.cx, tenant.clone(), meta, &about, severity);
    event.time = at;
    event
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn time(entry: &Value) -> Timestamp {
    Timestamp::from_millis(entry.get("time").and_then(Value::as_i64).unwrap_or(0))
}
