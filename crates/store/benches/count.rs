//! How long counting and listing take among many records: `cargo bench -p bartizan-store --bench count`.
//!
//! 1,000,000 decisions and 100,000 findings over 30 days (`BARTIZAN_BENCH_DECISIONS` makes it
//! smaller), as `bartizan db seed` makes them up; each question 200 times.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_core::{Cx, Id, Tenant, Timestamp, sim};
use bartizan_store::{
    Class, Counting, Query, Record, Retention, Step, Steps, Store, StoreSettings,
};
use serde_json::{Map, Value, json};

const DECISION: Class = Class {
    name: "decision",
    facets: &["verdict", "route", "model", "key", "protocol", "status", "rules"],
    counted: &["verdict", "route", "model", "key", "protocol", "status", "rules"],
    retention: Retention::FOREVER,
};
const FINDING: Class = Class {
    name: "finding",
    facets: &["code", "severity", "route", "request", "state", "assignee"],
    counted: &["code", "severity", "route", "state", "assignee"],
    retention: Retention::FOREVER,
};
const DAYS: i64 = 30;
const TIMES: usize = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (cx, clock) = sim::cx(1);
    let count = std::env::var("BARTIZAN_BENCH_DECISIONS").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(1_000_000_u64);
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), &cx).await;
    let start = Instant::now();
    fill(&store, &cx, &clock, count).await;
    let rate = (count + count / 10) as f64 / start.elapsed().as_secs_f64();
    store.flush().await.expect("flushed");
    let size = std::fs::metadata(dir.path().join("store.db")).expect("there").len();
    say(&format!(
        "{count} decisions and {} findings: {rate:.0} a second, {size} bytes",
        count / 10
    ));
    say(&format!("{:64} {:>8} {:>8} {:>8} ms", "each 200 times", "half", "99 %", "slowest"));
    decisions(&store, cx.now()).await;
    findings(&store).await;
}

async fn open(dir: &std::path::Path, cx: &Cx) -> Store {
    const CLASSES: &[&Class] = &[&DECISION, &FINDING];
    Store::open(&StoreSettings::default(), dir, CLASSES, cx).await.expect("opened")
}

async fn fill(store: &Store, cx: &Cx, clock: &Arc<sim::ManualClock>, count: u64) {
    let random = sim::SeededEntropy::new(7);
    let all = usize::try_from(count).unwrap_or(usize::MAX);
    let step = DAYS * Step::Day.millis() / i64::try_from(count.max(1)).unwrap_or(i64::MAX);
    let text = json!({"request": "x".repeat(900), "delivered": "y".repeat(100)});
    let mut batch = Vec::with_capacity(256);
    for n in 0..all {
        clock.advance_ms(step);
        let (id, blocked) = (Id::new(cx), random.below(12) == 0);
        batch.push(put(store, (&DECISION, id, decision(&random, blocked)), &text));
        if n % 10 == 0 {
            let finding = (&FINDING, Id::new(cx), finding(&random, id));
            batch.push(put(store, finding, &text));
        }
        if batch.len() >= 256 {
            for put in batch.drain(..) {
                put.await.expect("ran");
            }
        }
    }
    for put in batch {
        put.await.expect("ran");
    }
}

/// Puts in a task of its own: about now, which is near enough to measure by.
fn put(
    store: &Store,
    (class, id, meta): (&'static Class, Id, Map<String, Value>),
    text: &Value,
) -> tokio::task::JoinHandle<()> {
    let (store, text) = (store.clone(), text.clone());
    tokio::spawn(async move {
        store.put(&Tenant::default(), class, id, meta, Some(&text)).await.expect("put");
    })
}

fn pick<'a>(random: &sim::SeededEntropy, from: &[&'a str]) -> &'a str {
    let place = random.below(from.len()).min(random.below(from.len()));
    from.get(place).copied().unwrap_or_default()
}

fn decision(random: &sim::SeededEntropy, blocked: bool) -> Map<String, Value> {
    let rule = format!("GD{:03}", 1 + random.below(23));
    let meta = json!({
        "verdict": if blocked { "block" } else { "allow" },
        "route": pick(random, &["chat", "support", "search", "code", "voice", "batch"]),
        "model": format!("model-{}", random.below(12)),
        "key": format!("0190c5a4-7b1e-7c3a-9f00-3c1d2e4f{:04x}", random.below(40)),
        "protocol": pick(random, &["openai-chat", "anthropic-messages", "openai-responses"]),
        "status": if blocked { "403" } else { pick(random, &["200", "200", "200", "429", "502"]) },
        "rules": if blocked { json!([rule]) } else { json!([]) },
        "end_user": format!("hmac-sha256:{:064x}", random.below(2000)),
        "input": {"verdict": "allow", "rules": [], "findings": 0, "unseen": 0, "not_fully_inspected": 0},
        "output": {"verdict": "allow", "rules": [], "findings": 0, "unseen": 0, "not_fully_inspected": 0},
        "cut": null, "target": "primary", "tokens_in": 250, "tokens_out": 30, "took_ms": 12,
    });
    meta.as_object().cloned().unwrap_or_default()
}

fn finding(random: &sim::SeededEntropy, request: Id) -> Map<String, Value> {
    let meta = json!({
        "code": format!("GD{:03}", 1 + random.below(23)),
        "severity": pick(random, &["low", "medium", "high", "critical"]),
        "route": pick(random, &["chat", "support", "search", "code"]),
        "request": request, "state": "open",
        "finding": {"title": "an example", "remediation": "x".repeat(200), "evidence": []},
    });
    meta.as_object().cloned().unwrap_or_default()
}

async fn decisions(store: &Store, now: Timestamp) {
    let week = Some(now.before(Duration::from_secs(7 * 24 * 3600 + 77)));
    let all = Counting { by: DECISION.counted.to_vec(), ..Counting::new(&DECISION) };
    let hours = |by| Some(Steps { step: Step::Hour, by });
    let filter = |facet, value: &str| vec![(facet, value.to_owned())];
    let block = filter("verdict", "block");
    let two = [block.clone(), filter("route", "chat")].concat();
    let large = [filter("verdict", "allow"), filter("route", "chat")].concat();
    let asked = [
        ("all facets", all.clone()),
        ("all facets, a week to the second", Counting { since: week, ..all.clone() }),
        (
            "all facets and hours by verdict",
            Counting { steps: hours(Some("verdict")), ..all.clone() },
        ),
        (
            "hours of one filter",
            Counting { filters: block.clone(), steps: hours(None), ..Counting::new(&DECISION) },
        ),
        (
            "all facets and hours, one filter",
            Counting { filters: block, steps: hours(Some("route")), ..all.clone() },
        ),
        (
            "all facets and hours, two filters",
            Counting { filters: two.clone(), steps: hours(None), ..all.clone() },
        ),
        (
            "records, two large filters",
            Counting { filters: large.clone(), ..Counting::new(&DECISION) },
        ),
    ];
    for (what, counting) in asked {
        count(store, what, &counting).await;
    }
    let none = [filter("verdict", "block"), filter("status", "200")].concat();
    for (what, filters) in [
        ("a page of 100", Vec::new()),
        ("a page of 100, one filter", filter("verdict", "block")),
        ("a page of 100, two filters", two),
        ("a page of 100, two large filters", large),
        ("a page, two filters that exclude each other", none),
    ] {
        list(store, what, &Query { filters, sealed: false, ..Query::new(&DECISION) }).await;
    }
}

async fn findings(store: &Store) {
    let all = Counting { by: FINDING.counted.to_vec(), ..Counting::new(&FINDING) };
    count(store, "findings: all facets", &all).await;
    let open = vec![("state", "open".to_owned())];
    let open = Counting { filters: open, ..all };
    count(store, "findings: all facets of the open ones", &open).await;
    for (many, turns) in [(1, TIMES), (50, 20), (500, 10)] {
        triage(store, many, turns).await;
    }
}

/// Changes the state of findings, as triage does: read, changed, put back in one transaction.
async fn triage(store: &Store, many: u16, turns: usize) {
    let tenant = Tenant::default();
    let query = Query { limit: many, ..Query::new(&FINDING) };
    let mut times = Vec::with_capacity(turns);
    for turn in 0..turns {
        let listed = store.list(&tenant, &query).await.expect("listed").records;
        let start = Instant::now();
        let mut records: Vec<Record> = Vec::with_capacity(listed.len());
        for record in listed {
            let read = store.get(&tenant, &FINDING, record.id).await.expect("read");
            records.extend(read.map(|mut record| {
                let state = if turn % 2 == 0 { "resolved" } else { "open" };
                record.meta.insert("state".to_owned(), state.into());
                record
            }));
        }
        for written in store.replace_all(&tenant, &FINDING, records).await.expect("written") {
            written.expect("replaced");
        }
        times.push(start.elapsed());
    }
    report(&format!("findings: the state of {many}"), times);
}

async fn count(store: &Store, what: &str, counting: &Counting<'_>) {
    let mut times = Vec::with_capacity(TIMES);
    let mut exact = true;
    for _ in 0..TIMES {
        let start = Instant::now();
        exact = store.count(&Tenant::default(), counting).await.expect("counted").exact;
        times.push(start.elapsed());
    }
    report(&format!("{what}{}", if exact { "" } else { " (at least)" }), times);
}

async fn list(store: &Store, what: &str, query: &Query<'_>) {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let start = Instant::now();
        store.list(&Tenant::default(), query).await.expect("listed");
        times.push(start.elapsed());
    }
    report(what, times);
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |at: usize| times.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0);
    let last = times.len().saturating_sub(1);
    let (half, most) = (ms(times.len() / 2), ms((times.len() * 99 / 100).min(last)));
    say(&format!("{what:64} {half:8.2} {most:8.2} {:8.2}", ms(last)));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn say(line: &str) {
    println!("{line}");
}
