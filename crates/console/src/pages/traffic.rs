//! Traffic: every request and what was decided about it, live; and one request as a whole.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    time::Duration,
};

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use bartizan_core::{Finding, Id, Tenant, Timestamp};
use bartizan_gateway::decisions::{DECISION, FINDING, FindingText};
use bartizan_policy::Area;
use bartizan_store::{Counting, Cursor, Order, Query, Record, Steps};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{Page, Section, approvals, filters::Filters, findings, keys};
use crate::{
    Admin, Failure, charts,
    charts::Histogram,
    conversation::{self, Marked, Turn},
    endpoints::{self, Needs},
    facet::{self, Facet, Names},
    frame::{Answer, Frame, page},
    html::Html,
    params::Params,
    proof,
    range::{self, OFFERED, Range},
    record::{Meta, neighbours, pretty},
    saved::Savable,
    take::Of,
    view,
    visitor::Visitor,
};

/// Requests of a page.
const ROWS: u16 = 50;
/// LIMIT: findings of one request that its page shows.
const FINDINGS_MAX: u16 = 200;
/// LIMIT: how long a page listens before it comes back, and is asked again who it is.
const LISTENS: Duration = Duration::from_secs(60);
/// How often a page that listens looks for what other nodes stored.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Stored in one moment, records may become visible in another order: so much is looked at again.
const AGAIN: Duration = Duration::from_secs(2);
/// LIMIT: rows that are sent at once; a page shows no more.
const ROWS_AT_ONCE: u16 = 200;
/// How long it waits for more before it sends.
const GATHER: Duration = Duration::from_millis(60);

const READ: Needs = Needs::Read(Area::Decisions);
pub(super) static PAGE: Page = Page {
    path: "/traffic",
    title: "Traffic",
    letter: Some('t'),
    section: Section::Watch,
    icon: "traffic",
    needs: READ,
    serve: || get(list),
};
pub(super) static ONE: Page = Page::below("/traffic/{id}", "Request", READ, || get(one));
pub(super) static EVENTS: Page =
    Page::below("/traffic/events", "Live traffic", READ, || get(events));

/// What a list can be narrowed by.
const NAMES: &[Names] = &[
    Names { facet: "verdict", param: "verdict", title: "Verdict", open: true },
    Names { facet: "rules", param: "rule", title: "Rule", open: true },
    Names { facet: "route", param: "route", title: "Route", open: false },
    Names { facet: "model", param: "model", title: "Model", open: false },
    Names { facet: "key", param: "key", title: "Key", open: false },
    Names { facet: "protocol", param: "protocol", title: "Protocol", open: false },
    Names { facet: "status", param: "status", title: "Status", open: false },
];
const FILTERS: &[&str] =
    &["verdict", "rule", "route", "model", "key", "protocol", "status", END_USER];
const ASKED: &[&str] = &[
    "verdict", "rule", "route", "model", "key", "protocol", "status", END_USER, "range", "since",
    "until", "after",
];
/// Too many to be counted apart; a request leads to those of the same.
const END_USER: &str = "end_user";

pub(super) static SAVABLE: Savable = Savable {
    name: "traffic",
    path: "/traffic",
    area: Area::Decisions,
    read: |query, now| Ok(kept(&asked(query, now)?.0)),
};

/// Verdicts in the order of a histogram's layers: class, name in the store, word.
pub(super) const VERDICTS: &[(&str, &str, &str)] = &[
    ("f-allow", "allow", "allowed"),
    ("f-annotate", "annotate", "annotated"),
    ("f-redact", "redact", "redacted"),
    ("f-hold", "hold", "held"),
    ("f-block", "block", "blocked"),
];

#[derive(Template)]
#[template(path = "traffic.html")]
struct Traffic {
    f: Frame,
    ranges: Vec<(&'static str, String, bool)>,
    histogram: Html,
    chips: Vec<(String, String)>,
    hidden: Vec<(&'static str, String)>,
    since: String,
    until: String,
    facets: Vec<Facet>,
    saved: Filters,
    rows: Vec<Html>,
    filtered: bool,
    live: Option<String>,
    total: String,
    newest: Option<String>,
    older: Option<String>,
}

/// A row, in the page and live.
#[derive(Template)]
#[template(path = "_traffic_row.html")]
struct Row<'a> {
    id: String,
    /// The order of rows: time and id.
    at: String,
    query: &'a str,
    time: Timestamp,
    verdict: &'a str,
    model: &'a str,
    route: &'a str,
    rules: String,
    status: &'a str,
    took: String,
    tokens: String,
}

fn row(record: &Record, query: &str) -> Html {
    let meta = Meta(&record.meta);
    let tokens = meta
        .number("tokens_in")
        .unwrap_or(0)
        .saturating_add(meta.number("tokens_out").unwrap_or(0));
    Html::from(&Row {
        id: record.id.to_string(),
        at: place(record),
        query,
        time: record.time,
        verdict: meta.text("verdict"),
        model: meta.text("model"),
        route: meta.text("route"),
        rules: meta.texts("rules").join(" "),
        status: meta.text("status"),
        took: meta.number("took_ms").map_or_else(String::new, charts::number),
        tokens: charts::number(tokens),
    })
}

/// A record's place in the order of time, as a text that sorts as it does.
fn place(record: &Record) -> String {
    format!("{:015}.{}", record.time.millis(), record.id)
}

fn read_place(text: &str) -> Option<(Timestamp, Id)> {
    let (time, id) = text.split_once('.')?;
    Some((
        Timestamp::from_millis(time.parse().ok().filter(|millis| *millis >= 0)?),
        id.parse().ok()?,
    ))
}

/// Reads the address of the list; a saved filter is read by the same.
fn asked(query: Option<&str>, now: Timestamp) -> Result<(Params, Range), Failure> {
    let params = Params::of_query(query, ASKED)?;
    check(&params)?;
    let range = Range::of(&params, now)?;
    Ok((params, range))
}

/// Refuses what no record could have.
fn check(params: &Params) -> Result<(), Failure> {
    let verdicts: Vec<&str> = VERDICTS.iter().map(|(_, verdict, _)| *verdict).collect();
    params.one_of("verdict", &verdicts)?;
    params.number("status").map(|_| ())
}

/// Facets, and the values that they must have.
fn filters(params: &Params) -> Vec<(&'static str, String)> {
    let mut filters = facet::filters(NAMES, params);
    filters.extend(params.get(END_USER).map(|user| (END_USER, user.to_owned())));
    filters
}

/// The query of a list, with its range and without its place: what a saved filter is.
fn kept(params: &Params) -> Params {
    let mut out = narrowed(params);
    for (name, value) in params.of(&["range", "since", "until"]) {
        out = out.with(name, value);
    }
    out
}

/// The query of a list, without its place and range: what a detail goes on by.
fn narrowed(params: &Params) -> Params {
    let mut out = Params::default();
    for (name, value) in params.of(FILTERS) {
        out = out.with(name, value);
    }
    out
}

/// What became of a request with this verdict, or of a text by a rule that does this.
pub(super) fn word_of(verdict: &str) -> &str {
    VERDICTS.iter().find(|(_, known, _)| *known == verdict).map_or(verdict, |(_, _, word)| word)
}

/// Words for the value of a facet: verdicts as lists have them, keys by their names.
pub(super) fn say(names: &[(Id, String)], facet: &str, value: &str) -> String {
    if facet == "verdict" {
        return word_of(value).to_owned();
    }
    let key =
        (facet == "key").then(|| names.iter().find(|(id, _)| id.to_string() == value)).flatten();
    match key {
        Some((_, name)) => name.clone(),
        None => value.to_owned(),
    }
}

async fn list(State(admin): State<Admin>, visitor: Visitor, uri: Uri) -> Answer {
    let (params, range) = asked(uri.query(), admin.gateway.cx.now())?;
    let filters = filters(&params);
    let (store, tenant) = (&admin.gateway.store, visitor.permit.tenant());
    let query = Query {
        filters: filters.clone(),
        since: Some(range.since),
        until: range.until(),
        after: params.get("after").map(Cursor::from),
        limit: ROWS,
        sealed: false,
        ..Query::new(&DECISION)
    };
    let found = store.list(tenant, &query).await?;
    let step = range.step();
    let counting = Counting {
        filters: filters.clone(),
        since: Some(range.since),
        until: range.until(),
        by: NAMES.iter().map(|one| one.facet).collect(),
        values_max: 12,
        steps: step.map(|step| Steps { step, by: Some("verdict") }),
        ..Counting::new(&DECISION)
    };
    let counts = store.count(tenant, &counting).await?;
    let names = keys::names(&admin, &visitor.permit).await?;
    let counted = counted(&admin, tenant, &range, &filters, &counts.steps).await?;
    let histogram = over_time(&range, counted, Some(&params));
    let detail = narrowed(&params).query();
    let live = params.get("after").is_none() && range.name.is_some();
    let from = found.records.first().map_or_else(
        || format!("{:015}.{}", admin.gateway.cx.now().millis(), Id::new(&admin.gateway.cx)),
        place,
    );
    let rows: Vec<Html> = found.records.iter().map(|record| row(record, &detail)).collect();
    let hidden = FILTERS.iter();
    page(&Traffic {
        ranges: ranges(&params, &range, "/traffic"),
        histogram,
        chips: chips(&params, &range, &names),
        hidden: hidden.filter_map(|name| Some((*name, params.get(name)?.to_owned()))).collect(),
        since: params.get("since").unwrap_or_default().to_owned(),
        until: params.get("until").unwrap_or_default().to_owned(),
        facets: facet::facets(NAMES, &counts, &params, "/traffic", |facet, value| {
            say(&names, facet, value)
        }),
        saved: Filters::of(&admin, &visitor, &SAVABLE, &kept(&params)).await?,
        filtered: !filters.is_empty()
            || params.get("range").is_some()
            || range.name.is_none()
            || params.get("after").is_some(),
        live: live.then(|| narrowed(&params).with("from", &from).at("/traffic/events")),
        total: facet::total(&counts, "request", "requests"),
        newest: params.get("after").map(|_| params.without("after").at("/traffic")),
        older: found.next.map(|next| params.with("after", next.as_str()).at("/traffic")),
        rows,
        f: Frame::new(&visitor, &PAGE, &uri),
    })
}

fn chips(params: &Params, range: &Range, names: &[(Id, String)]) -> Vec<(String, String)> {
    let mut chips =
        facet::chips(NAMES, params, "/traffic", |facet, value| say(names, facet, value));
    if let Some(user) = params.get(END_USER) {
        chips.push((view::user(user), params.without(END_USER).at("/traffic")));
    }
    if range.name.is_none() {
        let words = format!("{} to {}", range.since, range.until);
        chips.push((words, params.without("since").without("until").at("/traffic")));
    }
    chips
}

/// The offered ranges, each with its address.
pub(super) fn ranges(
    params: &Params,
    range: &Range,
    path: &str,
) -> Vec<(&'static str, String, bool)> {
    let params = params.without("since").without("until");
    let offered = |(name, _): &(&'static str, i64)| {
        (*name, params.with("range", name).at(path), range.name == Some(name))
    };
    OFFERED.iter().map(offered).collect()
}

/// Requests by time and verdict: by the store's steps, or, where bars are finer, record by
/// record, of which a short time has few.
pub(super) async fn counted(
    admin: &Admin,
    tenant: &Tenant,
    range: &Range,
    filters: &[(&'static str, String)],
    steps: &bartizan_store::StepCounts,
) -> Result<Vec<(Timestamp, Vec<u64>)>, Failure> {
    let kinds: Vec<&str> = VERDICTS.iter().map(|(_, kind, _)| *kind).collect();
    if range.step().is_some() {
        return Ok(range::by_kind(steps, &kinds));
    }
    let query = Query {
        filters: filters.to_vec(),
        since: Some(range.since),
        until: range.until(),
        limit: bartizan_store::PAGE_RECORDS_MAX,
        sealed: false,
        ..Query::new(&DECISION)
    };
    let mut query = query;
    let mut out = Vec::new();
    // LIMIT: the newest two thousand; a busier hour is seen by its end.
    for _ in 0..4 {
        let found = admin.gateway.store.list(tenant, &query).await?;
        for record in &found.records {
            let verdict = Meta(&record.meta).text("verdict");
            out.push((record.time, kinds.iter().map(|kind| u64::from(*kind == verdict)).collect()));
        }
        let Some(next) = found.next else { break };
        query.after = Some(next);
    }
    Ok(out)
}

/// The histogram of requests; its bars lead to the list narrowed to them.
pub(super) fn over_time(
    range: &Range,
    counted: Vec<(Timestamp, Vec<u64>)>,
    params: Option<&Params>,
) -> Html {
    let href = |since: Timestamp, until: Timestamp| {
        let params = params.cloned().unwrap_or_default().without("range");
        let params = params.with("since", &since.to_string()).with("until", &until.to_string());
        Some(params.at("/traffic"))
    };
    let series: Vec<(&str, &str)> =
        VERDICTS.iter().map(|(class, _, word)| (*class, *word)).collect();
    Histogram {
        id: "requests",
        title: "Requests over time, by verdict",
        about: &format!(
            "Requests from {} to {}, in bars of their verdicts.",
            range.since, range.until
        ),
        series: &series,
        buckets: range.buckets(VERDICTS.len(), counted.into_iter(), href),
        axis: range.axis(),
        brush: Some((range.since.millis(), range.until.millis())),
    }
    .html()
}

// Live.

/// A page that listens.
struct Listener {
    admin: Admin,
    tenant: Tenant,
    filters: Vec<(&'static str, String)>,
    query: String,
    /// What was sent of the newest moments.
    sent: HashMap<Id, Timestamp>,
    since: Timestamp,
    stored: tokio::sync::watch::Receiver<u64>,
    until: Instant,
    waiting: std::collections::VecDeque<Event>,
    begun: bool,
    _place: OwnedSemaphorePermit,
}

async fn events(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let names: Vec<&str> = FILTERS.iter().copied().chain(["from"]).collect();
    let params = Params::of_query(uri.query(), &names)?;
    check(&params)?;
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("not a text"));
    let since = match last.or(params.get("from")) {
        None => admin.gateway.cx.now(),
        Some(text) => {
            let shown = bartizan_core::json::clip(text, 64);
            let refused = || {
                Failure::invalid(format!(
                    "`{shown}` is no place in the traffic: expected the id of an event"
                ))
            };
            read_place(text).ok_or_else(refused)?.0
        }
    };
    let full = || {
        let message =
            "too many pages are live at once: close some, or reload this one now and then";
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    };
    let listener = Listener {
        tenant: visitor.permit.tenant().clone(),
        filters: filters(&params),
        query: narrowed(&params).query(),
        sent: HashMap::new(),
        since,
        stored: admin.gateway.stored(),
        until: Instant::now() + LISTENS,
        waiting: [Event::default().retry(Duration::from_millis(500)).comment("live")].into(),
        begun: false,
        _place: admin.desk.listen().ok_or_else(full)?,
        admin,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(10)))
        .into_response())
}

impl Listener {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if Instant::now() >= self.until {
                return None;
            }
            if self.begun {
                tokio::select! {
                    changed = self.stored.changed() => {
                        // The gateway is gone, or something was stored, and more may follow at once.
                        changed.ok()?;
                        tokio::time::sleep(GATHER).await;
                    }
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
            self.begun = true;
            self.stored.mark_unchanged();
            if let Err(failure) = self.look().await {
                tracing::warn!(error = %failure, "a live page cannot be kept up");
                return None;
            }
        }
    }

    /// Gathers what is new, oldest first.
    async fn look(&mut self) -> Result<(), Failure> {
        let query = Query {
            filters: self.filters.clone(),
            since: Some(self.since.before(AGAIN)),
            order: Order::Newest,
            limit: ROWS_AT_ONCE,
            sealed: false,
            ..Query::new(&DECISION)
        };
        let found = self.admin.gateway.store.list(&self.tenant, &query).await?;
        let known: HashSet<Id> = self.sent.keys().copied().collect();
        for record in found.records.iter().rev().filter(|record| !known.contains(&record.id)) {
            self.sent.insert(record.id, record.time);
            self.since = self.since.max(record.time);
            let html = row(record, &self.query).to_string();
            self.waiting
                .push_back(Event::default().event("row").id(place(record)).data(html.trim()));
        }
        let again = self.since.before(AGAIN);
        self.sent.retain(|_, time| *time >= again);
        Ok(())
    }
}

// One request.

#[derive(Template)]
#[template(path = "request.html")]
struct One {
    f: Frame,
    api: String,
    tab: &'static str,
    tabs: [String; 2],
    waits: Option<approvals::Waits>,
    verdict: String,
    model: String,
    route: String,
    time: Timestamp,
    newer: Option<String>,
    older: Option<String>,
    turns: Vec<Turn>,
    asides: usize,
    no_text: String,
    findings: Vec<Found>,
    steps: Vec<Step>,
    coverage: Vec<(&'static str, String)>,
    proof: Option<proof::Shown>,
    facts: Vec<(&'static str, String, Option<String>)>,
    raw: String,
}

struct Found {
    id: String,
    code: String,
    title: String,
    severity: String,
    action: String,
    direction: String,
    view: String,
}

/// What one layer did.
struct Step {
    name: &'static str,
    words: String,
    took: String,
    icon: &'static str,
    class: &'static str,
}

async fn one(State(admin): State<Admin>, visitor: Visitor, uri: Uri, Of(id): Of) -> Answer {
    let names: Vec<&str> = FILTERS.iter().copied().chain(["tab"]).collect();
    let params = Params::of_query(uri.query(), &names)?;
    check(&params)?;
    params.one_of("tab", &["raw"])?;
    let record = endpoints::decisions::read(&admin, &visitor.permit, id).await?;
    let tenant = visitor.permit.tenant();
    let found = found_in(&admin, tenant, id).await?;
    let filters = filters(&params);
    let (newer, older) = neighbours(&admin, tenant, &DECISION, &filters, (record.time, id)).await?;
    let kept_query = narrowed(&params);
    let query = kept_query.query();
    let to = |id: Option<Id>| id.map(|id| format!("/traffic/{id}{query}"));
    let here = format!("/traffic/{id}");
    let meta = Meta(&record.meta);
    let proof = match meta.number("ledger_index") {
        Some(index) => Some(proof::of(&admin, index)?),
        None => None,
    };
    let kept = record.sealed.clone();
    let keys = keys::names(&admin, &visitor.permit).await?;
    let raw = json!({"id": id, "time": record.time, "meta": record.meta, "text": kept});
    let turns = kept.as_ref().map(|kept| conversation::turns(kept, &marks(&found)));
    let turns = turns.unwrap_or_default();
    let tab = if params.get("tab") == Some("raw") { "raw" } else { "conversation" };
    let waits = approvals::Waits::of(&admin, &visitor, meta.text("approval")).await?;
    let steps = steps(meta, waits.as_ref());
    page(&One {
        f: Frame::new(&visitor, &PAGE, &uri).below("Request", format!("/traffic{query}")),
        api: format!("/api/v1/decisions/{id}"),
        tab,
        tabs: [kept_query.at(&here), kept_query.with("tab", "raw").at(&here)],
        waits,
        verdict: meta.text("verdict").to_owned(),
        model: meta.text("model").to_owned(),
        route: meta.text("route").to_owned(),
        time: record.time,
        newer: to(newer),
        older: to(older),
        asides: turns.iter().filter(|turn| turn.aside).count(),
        turns,
        no_text: no_text(meta),
        steps,
        coverage: coverage(meta, proof.as_ref().map(|(entry, _)| entry)),
        facts: facts(id, meta, &keys),
        findings: found.iter().map(shown).collect(),
        proof: proof.map(|(_, shown)| shown),
        raw: pretty(&raw),
    })
}

/// What a request and its answer say; that it is read is on record.
pub(super) async fn turns(admin: &Admin, visitor: &Visitor, id: Id) -> Result<Vec<Turn>, Failure> {
    let record = endpoints::decisions::read(admin, &visitor.permit, id).await?;
    let found = found_in(admin, visitor.permit.tenant(), id).await?;
    let kept = record.sealed.as_ref();
    Ok(kept.map(|kept| conversation::turns(kept, &marks(&found))).unwrap_or_default())
}

async fn found_in(admin: &Admin, tenant: &Tenant, request: Id) -> Result<Vec<Record>, Failure> {
    let query = Query {
        filters: vec![("request", request.to_string())],
        order: Order::Oldest,
        limit: FINDINGS_MAX,
        ..Query::new(&FINDING)
    };
    Ok(admin.gateway.store.list(tenant, &query).await?.records)
}

/// The finding that a record holds, with what was seen where that is kept.
pub(super) fn finding(record: &Record) -> Option<Finding> {
    let mut finding: Finding = serde_json::from_value(record.meta.get("finding")?.clone()).ok()?;
    let seen = FindingText::of(record.sealed.as_ref()).map(|text| text.evidence);
    if let Some(evidence) = seen.filter(|evidence| !evidence.is_empty()) {
        finding.evidence = evidence;
    }
    Some(finding)
}

fn marks(records: &[Record]) -> Vec<(bool, Marked)> {
    let mut out = Vec::new();
    for record in records {
        let Some(finding) = finding(record) else { continue };
        let outbound = Meta(&record.meta).text("direction") == "out";
        for evidence in finding.evidence {
            let words = format!("{} {}", finding.code, finding.title);
            out.push((
                outbound,
                Marked { evidence, severity: finding.severity.as_str().to_owned(), words },
            ));
        }
    }
    out
}

fn shown(record: &Record) -> Found {
    let meta = Meta(&record.meta);
    let view = meta.at("/finding/evidence/0/view").and_then(Value::as_str).unwrap_or_default();
    Found {
        id: record.id.to_string(),
        code: meta.text("code").to_owned(),
        title: meta.text("/finding/title").to_owned(),
        severity: meta.text("severity").to_owned(),
        action: meta.text("action").to_owned(),
        direction: findings::direction(meta.text("direction")).to_owned(),
        view: view.to_owned(),
    }
}

fn no_text(meta: Meta<'_>) -> String {
    match meta.at("recovered").is_some() {
        true => {
            "The record was made again from the ledger after a crash; the ledger holds no text."
                .to_owned()
        }
        false => format!("The route `{}` keeps none, or its time is over.", meta.text("route")),
    }
}

fn took(meta: Meta<'_>, path: &str) -> String {
    meta.number(path).map_or_else(String::new, view::took)
}

/// What the layers did, from the request's head to the last byte.
fn steps(meta: Meta<'_>, approval: Option<&approvals::Waits>) -> Vec<Step> {
    let step =
        |name, words: String, took: String, (icon, class)| Step { name, words, took, icon, class };
    let good = ("good", "good");
    let mut out = vec![step(
        "Key, policy and limits",
        "known, permitted, within its limits".to_owned(),
        took(meta, "/layers/intake_us"),
        good,
    )];
    let judged = |name: &str| {
        let verdict = meta.text(&format!("/{name}/verdict"));
        let rules = meta.texts(&format!("/{name}/rules")).join(", ");
        let sign = match verdict {
            "block" => ("block", "bad"),
            "hold" => ("hold", "note"),
            "redact" | "annotate" => {
                (if verdict == "redact" { "redact" } else { "annotate" }, "note")
            }
            _ => good,
        };
        let found = if rules.is_empty() { "nothing found".to_owned() } else { rules };
        (format!("{}: {found}", word_of(verdict)), sign)
    };
    let (words, sign) = judged("input");
    out.push(step("Guard on the prompt", words, took(meta, "/layers/prompt_us"), sign));
    let index = meta.number("ledger_index");
    out.push(match index {
        Some(index) => step(
            "Ledger",
            format!("entry {index}, before anything was delivered"),
            String::new(),
            good,
        ),
        None => step("Ledger", "no entry is known".to_owned(), String::new(), ("bad", "bad")),
    });
    if let Some(approvals::Waits { id, state, word, .. }) = approval {
        let words = match *state {
            "pending" => format!("{id} waits"),
            "expired" => format!("{id} ran out"),
            state => format!("{state} {word}"),
        };
        out.push(step("Approval", words, String::new(), ("approvals", "note")));
    }
    out.push(match meta.text("target") {
        "" => step("Model", "was never asked".to_owned(), String::new(), ("close", "off")),
        target => {
            step("Model", format!("answered by {target}"), took(meta, "/layers/answer_us"), good)
        }
    });
    if meta.at("output").is_some_and(|output| !output.is_null()) {
        let (words, sign) = judged("output");
        out.push(step("Guard on the answer", words, String::new(), sign));
    }
    let status = meta.text("status");
    let (words, sign) = match meta.text("cut") {
        "" => (format!("status {status}, the answer came to its end"), good),
        cut => (format!("status {status}, {}", cut.replace('_', " ")), ("note", "note")),
    };
    let all =
        meta.number("took_ms").map_or_else(String::new, |ms| view::took(ms.saturating_mul(1000)));
    out.push(step("Client", words, all, sign));
    out
}

fn coverage(meta: Meta<'_>, entry: Option<&Value>) -> Vec<(&'static str, String)> {
    let of = |name: &str, what: &str| meta.number(&format!("/{name}/{what}")).unwrap_or(0);
    let words = |name: &str| match (of(name, "unseen"), of(name, "not_fully_inspected")) {
        (0, 0) => "all of it was inspected".to_owned(),
        (unseen, 0) => format!("{unseen} parts hold no text that could be read"),
        (0, cut) => format!("{cut} texts were not inspected in full"),
        (unseen, cut) => format!("{unseen} parts hold no text; {cut} texts not in full"),
    };
    let mut out = vec![("Prompt", words("input"))];
    if meta.at("output").is_some_and(|output| !output.is_null()) {
        out.push(("Answer", words("output")));
    }
    let opaque =
        entry.and_then(|entry| entry.pointer("/body/not_inspected")).and_then(Value::as_array);
    let opaque: Vec<&str> = opaque.into_iter().flatten().filter_map(Value::as_str).collect();
    out.push((
        "Let through unseen",
        if opaque.is_empty() { "nothing".to_owned() } else { opaque.join("; ") },
    ));
    out
}

fn facts(
    id: Id,
    meta: Meta<'_>,
    keys: &[(Id, String)],
) -> Vec<(&'static str, String, Option<String>)> {
    let key = meta.text("key");
    let name =
        keys.iter().find(|(id, _)| id.to_string() == key).map_or(key, |(_, name)| name.as_str());
    let tokens = format!(
        "{} in, {} out",
        charts::number(meta.number("tokens_in").unwrap_or(0)),
        charts::number(meta.number("tokens_out").unwrap_or(0))
    );
    let link = |name: &str| Some(Params::default().with(name, meta.text(name)).at("/traffic"));
    let mut out = vec![
        ("Id", id.to_string(), None),
        ("Key", name.to_owned(), Some(format!("/keys/{key}"))),
        ("Route", meta.text("route").to_owned(), link("route")),
        ("Model", meta.text("model").to_owned(), link("model")),
        ("Protocol", meta.text("protocol").to_owned(), link("protocol")),
        ("Tokens", tokens, None),
    ];
    if !meta.text("end_user").is_empty() {
        let user = meta.text(END_USER);
        let href = Params::default().with(END_USER, user).with("range", "90d").at("/traffic");
        out.push(("End user", view::user(user), Some(href)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_and_read() {
        let (cx, _) = bartizan_core::sim::cx(1);
        let id = Id::new(&cx);
        let at = Timestamp::from_millis(1_767_225_600_123);
        assert_eq!(read_place(&format!("{:015}.{id}", at.millis())), Some((at, id)));
        for bad in ["", ".", "x.y", "-5.019b76da-a800-715c-8289-ec2d0a9167ec", "1767225600123"] {
            assert_eq!(read_place(bad), None, "{bad}");
        }
    }
}
