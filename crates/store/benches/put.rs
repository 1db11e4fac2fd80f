//! How many decisions a second the store takes in: `cargo bench -p bartizan-store`.
//!
//! A decision is what the gateway puts a request: metadata of about 700 bytes with seven facets,
//! a sealed text of 1 kB, and one event. 64 writers, as many as wait at once under load.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_core::{Activity, Cx, Event, EventClass, Id, Tenant, sim};
use bartizan_store::{
    Budget, Class, Filter, Limits, MemoryLimits, Query, Retention, Store, StoreSettings,
};
use serde_json::{Map, Value, json};

const DECISION: Class = Class {
    name: "decision",
    facets: &["verdict", "route", "model", "key", "protocol", "status", "rules"],
    counted: &["verdict", "route", "model", "key", "protocol", "status", "rules"],
    retention: Retention::days(90),
};
const WRITERS: u64 = 64;
const EACH: u64 = 800;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Time goes on as it would: ids grow, and new rows stand at the end of each index.
    let (cx, clock) = sim::cx(1);
    let tick = std::thread::spawn({
        let clock = clock.clone();
        move || {
            while Arc::strong_count(&clock) > 1 {
                std::thread::sleep(Duration::from_millis(1));
                clock.advance_ms(1);
            }
        }
    });
    for subscribed in [false, true] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path(), &cx).await;
        let _feed = match subscribed {
            true => {
                Some(store.bus().subscribe("bench", Filter::default()).await.expect("subscribed"))
            }
            false => None,
        };
        let cpu = cpu_time();
        let took = puts(&store, &cx).await;
        let cpu = cpu_time() - cpu;
        let count = WRITERS * EACH;
        report(
            if subscribed { "puts, one subscription" } else { "puts, no subscription" },
            count,
            took,
            Some(cpu),
        );
        let start = Instant::now();
        let query = Query {
            filters: vec![("rules", "GD010".into()), ("verdict", "allow".into())],
            ..Query::new(&DECISION)
        };
        for _ in 0..200 {
            store.list(&Tenant::default(), &query).await.expect("listed");
        }
        report("pages of 100 by two facets", 200, start.elapsed(), None);
        let start = Instant::now();
        for n in 0..100_000u32 {
            store.digest(&Tenant::default(), "prompt", &n.to_be_bytes()).await.expect("a digest");
        }
        report("digests", 100_000, start.elapsed(), None);
        store.close().await.expect("closed");
        let size = std::fs::metadata(dir.path().join("store.db")).expect("there").len();
        report_line(&format!("bytes a decision on disk: {}", size / count));
    }
    limits(&cx).await;
    drop((cx, clock));
    tick.join().expect("ticked");
}

async fn open(dir: &std::path::Path, cx: &Cx) -> Store {
    const CLASSES: &[&Class] = &[&DECISION];
    Store::open(&StoreSettings::default(), dir, CLASSES, cx).await.expect("opened")
}

async fn puts(store: &Store, cx: &Cx) -> Duration {
    let start = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, cx) = (store.clone(), cx.clone());
            tokio::spawn(async move {
                for n in 0..EACH {
                    let tenant = Tenant::default();
                    let mut event =
                        Event::new(&cx, tenant.clone(), EventClass::ApiActivity, Activity::CREATE);
                    let meta = meta(writer, n);
                    event.unmapped = meta.clone();
                    let text = json!({"request": "x".repeat(900), "delivered": "y".repeat(100)});
                    let (id, events) = (Id::new(&cx), [event]);
                    let put =
                        store.put_with_events(&tenant, &DECISION, id, meta, Some(&text), &events);
                    put.await.expect("put");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("ran");
    }
    start.elapsed()
}

fn meta(writer: u64, n: u64) -> Map<String, Value> {
    let meta = json!({
        "verdict": if n.is_multiple_of(50) { "block" } else { "allow" }, "route": "chat", "model": "gpt-4o-mini",
        "key": format!("0190c5a4-7b1e-7c3a-9f00-3c1d2e4f{writer:04x}"), "protocol": "openai-chat", "status": "200",
        "rules": if n.is_multiple_of(10) { json!([format!("GD{:03}", n % 30)]) } else { json!([]) },
        "end_user": format!("hmac-sha256:{:064x}", n), "input": {"verdict": "allow", "rules": [], "findings": 0, "unseen": 0, "not_fully_inspected": []},
        "output": {"verdict": "allow", "rules": [], "findings": 0, "unseen": 0, "not_fully_inspected": []},
        "cut": null, "target": "primary", "tokens_in": 250, "tokens_out": 30, "took_ms": 12, "ledger_index": writer * 1000 + n,
    });
    meta.as_object().cloned().unwrap_or_default()
}

async fn limits(cx: &Cx) {
    let limits: Arc<dyn Limits> = Arc::new(MemoryLimits::default());
    let budget = |key: u64| Budget {
        key: format!("tokens:default/chat/key/{key}"),
        window: Duration::from_secs(60),
        max: u64::MAX,
    };
    let start = Instant::now();
    for n in 0..200_000 {
        let wants = [(budget(n % 1000), 1), (budget(1000 + n % 1000), 100)];
        let held = limits.reserve(cx.now(), &wants).await.expect("within");
        limits.settle(held, &[1, 50]).await;
    }
    report("reservations of two budgets, settled", 200_000, start.elapsed(), None);
}

fn report(what: &str, count: u64, took: Duration, cpu: Option<Duration>) {
    let rate = count as f64 / took.as_secs_f64();
    let cpu = cpu.map_or(String::new(), |cpu| {
        format!(", {:.1} us CPU each", cpu.as_secs_f64() * 1e6 / count as f64)
    });
    report_line(&format!("{what}: {rate:.0} a second{cpu}"));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn report_line(line: &str) {
    println!("{line}");
}

/// The CPU time of this process, from Linux's `/proc/self/stat` in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
