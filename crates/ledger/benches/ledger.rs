//! What the ledger bears, run by `bench/ledger.sh`: acknowledged entries a second, their
//! verification, and the size of a proof.
//!
//! An entry is what the gateway writes for a decision. Beside it, on the same disk: SQLite,
//! which promises less (a row is there after a crash, but anyone may alter it), and the
//! disk's bare flush.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may fail loudly"
)]

use std::{
    collections::VecDeque,
    env,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use bartizan_core::{Cx, sim};
use bartizan_ledger::{Entry, Ledger, Settings, VerifierKey, verify};
use serde_json::json;

const WRITERS: u64 = 64;
/// Entries of each writer in a round.
const EACH: u64 = 2_000;
/// Rounds of which the median counts; ours and the peer's take turns.
const ROUNDS: usize = 5;
/// Entries that wait at once while the large ledger is filled.
const FILLING: usize = 16_384;

fn main() {
    // `cargo bench` says so; `cargo test --all-targets` starts this too, and has no time.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let entries = env::var("BARTIZAN_BENCH_ENTRIES").ok().and_then(|n| n.parse().ok());
    let entries = entries.unwrap_or(1_000_000_u64);
    let below = env::var_os("BARTIZAN_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(below).expect("a folder");
    appending(dir.path());
    reading(&dir.path().join("large"), entries);
}

/// Acknowledged entries, from writers that each wait for one before the next.
fn appending(dir: &Path) {
    let (mut ours, mut theirs, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
    let mut waits = Vec::new();
    for round in 0..ROUNDS {
        let home = dir.join(format!("round-{round}"));
        ours.push(append_round(&home, &mut waits));
        flushes.push(flush_rate(&dir.join("flushed")));
        theirs.extend(sqlite_rate(&dir.join(format!("{round}.db"))));
    }
    let (ours, flushes) = (median(&mut ours), median(&mut flushes));
    waits.sort_unstable();
    let wait = |part: usize| {
        waits.get(waits.len() * part / 1000).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    println!(
        "append, {WRITERS} writers: {ours:.0} entries a second, waits of {:.2} ms (half), {:.2} ms (99 %), {:.2} ms (99.9 %)",
        wait(500),
        wait(990),
        wait(999)
    );
    println!(
        "flush of 4 kB alone: {flushes:.0} a second; entries in the time of one: {:.1}",
        ours / flushes
    );
    if theirs.is_empty() {
        println!("!! SKIPPED: SQLite beside it: there is no python3 with sqlite3");
    } else {
        let theirs = median(&mut theirs);
        println!(
            "SQLite, {WRITERS} rows a transaction: {theirs:.0} rows a second; ratio {:.2}",
            ours / theirs
        );
    }
}

fn append_round(home: &Path, waits: &mut Vec<Duration>) -> f64 {
    let (ledger, cx) = open(home);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let start = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (ledger, cx) = (ledger.clone(), cx.clone());
            runtime.spawn(async move {
                let mut waits = Vec::new();
                for n in 0..EACH {
                    let asked = Instant::now();
                    let pending = ledger.append(decision(&cx, writer, n)).expect("queued");
                    let _sealed = pending.await.expect("written");
                    waits.push(asked.elapsed());
                }
                waits
            })
        })
        .collect();
    for writer in writers {
        waits.extend(runtime.block_on(writer).expect("ran"));
    }
    per_second(WRITERS * EACH, start)
}

/// How often a second the disk takes 4 kB for good.
fn flush_rate(path: &Path) -> f64 {
    let mut file = File::create(path).expect("a file");
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(500) {
        file.write_all(&[b'x'; 4096]).expect("written");
        file.sync_data().expect("flushed");
        count += 1;
    }
    per_second(count, start)
}

/// The peer's rate, when it is there.
fn sqlite_rate(path: &Path) -> Option<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/ledger_sqlite.py");
    let bytes = entry_bytes().to_string();
    let (rows, group) = ((WRITERS * EACH).to_string(), WRITERS.to_string());
    let output =
        Command::new("python3").arg(script).arg(path).args([rows, group, bytes]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Fills a large ledger, then verifies all of it and proves some of it.
fn reading(home: &Path, entries: u64) {
    let (ledger, cx) = open(home);
    let start = Instant::now();
    let mut waiting = VecDeque::new();
    for n in 1..entries {
        if waiting.len() == FILLING {
            let _sealed: Option<_> = waiting.pop_front().map(bartizan_ledger::Pending::wait);
        }
        waiting.push_back(ledger.append(decision(&cx, n % WRITERS, n)).expect("queued"));
    }
    for pending in waiting {
        let _sealed = pending.wait().expect("written");
    }
    let rate = per_second(entries, start);
    println!(
        "append, {FILLING} waiting at once: {rate:.0} entries a second, {entries} of {} bytes",
        entry_bytes()
    );

    let start = Instant::now();
    let proofs = (0..1_000).map(|n| ledger.prove(n * (entries / 1_000)).expect("proved"));
    let longest = proofs.map(|proof| proof.to_string().len()).max().unwrap_or_default();
    println!(
        "proof at {entries} entries: at most {longest} bytes, {:.0} a second",
        per_second(1_000, start)
    );
    drop(ledger);

    let key = std::fs::read_to_string(home.join("ledger.pub")).expect("a key");
    let key = VerifierKey::parse(&key).expect("a key");
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let report = verify::directory(home, &key, &verify::Options::default()).expect("a folder");
        assert!(report.is_intact(), "{:?}", report.problems);
        rates.push(per_second(entries, start));
    }
    println!("verification: {:.0} entries a second", median(&mut rates));

    let start = Instant::now();
    let _opened = open(home);
    println!("start with {entries} entries: {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
}

fn open(home: &Path) -> (Ledger, Cx) {
    let (cx, _) = sim::cx(1);
    let settings = Settings { origin: "log.example/bench".into(), previous: None, key: None };
    (Ledger::open(home, &settings, &cx).expect("opens").0, cx)
}

/// What the gateway writes for one request.
fn decision(cx: &Cx, writer: u64, n: u64) -> Entry {
    let [high, low] = [writer, n].map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    Entry::new("gateway.decision")
        .tenant("default")
        .actor(&format!("key:0190c5a4-7b1e-7c3a-9f00-3c1d2e4f{writer:04x}"))
        .subject(&format!("request:{}", bartizan_core::Id::new(cx)))
        .with("route", "chat")
        .with("model", "gpt-4o-mini")
        .with("protocol", "openai-chat")
        .with("prompt", format!("hmac-sha256:{high:016x}{low:016x}{high:016x}{low:016x}"))
        .with(
            "judgement",
            json!({"verdict": "allow", "rules": [], "findings": 0, "unseen": 0, "not_fully_inspected": []}),
        )
}

/// The length of an entry in the ledger.
fn entry_bytes() -> usize {
    let (cx, _) = sim::cx(1);
    let Entry { kind, tenant, actor, subject, body } = decision(&cx, 1, 1);
    let id = bartizan_core::Id::new(&cx).to_string();
    json!({"actor": actor, "body": body, "id": id, "kind": kind, "subject": subject,
        "tenant": tenant, "time": cx.now().millis(), "v": 1})
    .to_string()
    .len()
}

fn per_second(count: u64, start: Instant) -> f64 {
    let count = u32::try_from(count).expect("a benchmark counts no further");
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
