//! kill -9 under load: whatever was acknowledged to a client is in the ledger, and
//! a crash never looks like tampering. `BARTIZAN_CRASH_CYCLES=N` sets how often.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bartizan_core::sim::SeededEntropy;
use common::{Home, model::Model};

const WRITERS: usize = 4;

fn cycles() -> usize {
    std::env::var("BARTIZAN_CRASH_CYCLES").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

fn seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a fresh seed each run, and printed")]
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    std::env::var("BARTIZAN_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or_else(fresh)
}

/// Sends requests until the server is gone; the ids that were acknowledged.
fn load(home_port: u16, key: &str, stop: &AtomicBool, acknowledged: &Mutex<Vec<String>>) {
    let body = common::chat("How do I bake bread?").to_string();
    let bearer = format!("Bearer {key}");
    while !stop.load(Ordering::Relaxed) {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let Ok(reply) =
            common::request(home_port, "POST", "/v1/chat/completions", &headers, body.as_bytes())
        else {
            continue;
        };
        assert_eq!(reply.status, 200, "{}", reply.text());
        let id = reply.header("x-bartizan-request-id").expect("every answer has an id").to_owned();
        acknowledged.lock().unwrap().push(id);
    }
}

#[test]
fn no_acknowledged_entry_is_lost_and_no_false_alarm_is_raised() {
    let seed = seed();
    println!("BARTIZAN_SEED={seed} replays the moments of this run");
    let random = SeededEntropy::new(seed);
    let model = Model::saying("Mix flour, water, salt and yeast.");
    let home = Home::new(&model.url(), "");
    let key = home.key("load");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut slowest = Duration::ZERO;
    for cycle in 0..cycles() {
        let started = Instant::now();
        let server = home.serve();
        slowest = slowest.max(started.elapsed());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| load(home.data_port, &key, &stop, &acknowledged));
            }
            std::thread::sleep(Duration::from_millis(random.below(120) as u64));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        // Every tenth time, and at the end, the whole ledger is read from the disk.
        if cycle % 10 == 9 || cycle + 1 == cycles() {
            let verify = home.run(&["ledger", "verify"]);
            assert!(
                verify.status.success(),
                "cycle {cycle}, seed {seed}: {}{}",
                String::from_utf8_lossy(&verify.stdout),
                String::from_utf8_lossy(&verify.stderr)
            );
            let entries = home.run(&["ledger", "entries", "--format", "json"]);
            let recorded: HashSet<String> = String::from_utf8(entries.stdout)
                .unwrap()
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).expect("one entry a line")
                })
                .filter(|entry| entry["entry"]["kind"] == "gateway.decision")
                .map(|entry| {
                    entry["entry"]["subject"]
                        .as_str()
                        .unwrap()
                        .trim_start_matches("request:")
                        .to_owned()
                })
                .collect();
            for id in acknowledged.lock().unwrap().iter() {
                assert!(
                    recorded.contains(id),
                    "cycle {cycle}, seed {seed}: request {id} was acknowledged and is not in the ledger"
                );
            }
        }
    }
    let acknowledged = acknowledged.lock().unwrap().len();
    println!(
        "{} cycles, {acknowledged} acknowledged requests, slowest start {slowest:?}",
        cycles()
    );
    assert!(
        acknowledged > cycles(),
        "the load was too thin to prove anything: {acknowledged} requests"
    );
}
