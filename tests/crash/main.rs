//! kill -9 under load: whatever was acknowledged to a client is in the ledger, and
//! a crash never looks like tampering. `BARTIZAN_CRASH_CYCLES=N` sets how often
//! (10,000 take most of an hour in a release build), and the figures are printed.

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
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bartizan_core::sim::SeededEntropy;
use common::{Home, model::Model};

const WRITERS: usize = 4;
/// How long a start after a crash may take at the very most.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

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

/// What the ledger on the disk is known to hold.
#[derive(Default)]
struct Recorded {
    requests: HashSet<String>,
    /// The index after the last entry read.
    next: u64,
}

impl Recorded {
    /// Verifies the whole ledger, and reads what came since.
    #[track_caller]
    fn read_on(&mut self, home: &Home, when: &str) {
        let verify = home.run(&["ledger", "verify"]);
        assert!(
            verify.status.success(),
            "{when}: {}{}",
            String::from_utf8_lossy(&verify.stdout),
            String::from_utf8_lossy(&verify.stderr)
        );
        let from = self.next.to_string();
        let entries = home.run(&["ledger", "entries", "--from", &from, "--format", "json"]);
        for line in String::from_utf8(entries.stdout).unwrap().lines() {
            let entry: serde_json::Value = serde_json::from_str(line).expect("one entry a line");
            self.next = entry["index"].as_u64().expect("an index") + 1;
            if entry["entry"]["kind"] == "gateway.decision" {
                let subject = entry["entry"]["subject"].as_str().expect("a subject");
                self.requests.insert(subject.trim_start_matches("request:").to_owned());
            }
        }
    }

    #[track_caller]
    fn has_all(&self, acknowledged: &Mutex<Vec<String>>, when: &str) {
        for id in acknowledged.lock().unwrap().iter() {
            let is_there = self.requests.contains(id);
            assert!(is_there, "{when}: request {id} was acknowledged and is not in the ledger");
        }
    }
}

/// How many decisions there are of each verdict, by an export.
fn verdicts(home: &Home) -> BTreeMap<String, u64> {
    let mut slow = BTreeMap::new();
    let export = home.run(&["db", "export", "--clear"]);
    for line in String::from_utf8(export.stdout).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a record a line");
        if line["class"] == "decision" {
            let verdict = line["meta"]["verdict"].as_str().expect("a verdict").to_owned();
            *slow.entry(verdict).or_insert(0) += 1;
        }
    }
    slow
}

/// What was counted as records were written is what a count of the records says, whatever died
/// in between.
fn tallies_equal_the_records(home: &Home, when: &str) {
    let token = home.json(&["admin-token"]);
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let server = home.serve();
    let path = "/api/v1/decisions/facets?by=verdict";
    let facets = || {
        let answer = common::get(home.admin_port, path, &[("authorization", &bearer)]);
        answer.expect("answered").json()
    };
    // The server makes records again that a crash swallowed: until it has, counts change.
    let mut counts = facets();
    let slow = loop {
        let slow = verdicts(home);
        let after = facets();
        if after == counts {
            break slow;
        }
        counts = after;
    };
    let values = counts["facets"][0]["values"].as_array().expect("values").iter();
    let value = |value: &serde_json::Value| {
        (value["value"].as_str().unwrap().to_owned(), value["records"].as_u64().unwrap())
    };
    let counted: BTreeMap<String, u64> = values.map(value).collect();
    assert_eq!(counted, slow, "{when}: tallies differ from the records");
    assert_eq!(counts["records"], slow.values().sum::<u64>(), "{when}");
    assert_eq!(counts["exact"], true, "{when}");
    server.kill();
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
    // Every tenth time the ledger is read from the disk; in a long run, twenty times in all.
    // The records, which take longer to count, every fifth time of those.
    let every = (cycles() / 20).max(10);
    let mut recorded = Recorded::default();
    let mut starts = Vec::new();
    for cycle in 1..=cycles() {
        let started = Instant::now();
        let server = home.serve();
        starts.push(started.elapsed());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| load(home.data_port, &key, &stop, &acknowledged));
            }
            std::thread::sleep(Duration::from_millis(random.below(120) as u64));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        if cycle % every == 0 {
            let when = format!("cycle {cycle}, seed {seed}");
            recorded.read_on(&home, &when);
            recorded.has_all(&acknowledged, &when);
            if cycle % (every * 5) == 0 {
                tallies_equal_the_records(&home, &when);
            }
        }
    }
    // From the beginning once more: what was there is there still.
    let mut recorded = Recorded::default();
    let when = format!("the end, seed {seed}");
    recorded.read_on(&home, &when);
    recorded.has_all(&acknowledged, &when);
    starts.sort_unstable();
    let (half, most) = (starts[starts.len() / 2], starts[starts.len() * 99 / 100]);
    let slowest = starts[starts.len() - 1];
    let acknowledged = acknowledged.lock().unwrap().len();
    println!(
        "{} cycles, {acknowledged} acknowledged requests, {} entries; from a start to serving \
         again: {half:.0?} (half), {most:.0?} (99 %), {slowest:.0?} (slowest)",
        cycles(),
        recorded.next,
    );
    assert!(
        acknowledged > cycles(),
        "the load was too thin to prove anything: {acknowledged} requests"
    );
    // The goal is a second; a busy machine is no failure of ours.
    assert!(slowest < RECOVERY_MAX, "a start took {slowest:?}");
}
