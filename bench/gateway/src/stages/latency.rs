//! Latency at a constant rate, and what each hop adds to the model's own.

use std::time::Duration;

use anyhow::Result;

use super::{Options, start_plain};
use crate::{
    figures::{median, percentile, shown, table, verdict},
    hops::Hop,
    machine::Spent,
    open::{self, Rate},
    prompts::Kind,
};

/// Goals: what Bartizan may add to the model's own latency.
const ADDED_P50_MS_MAX: f64 = 0.5;
const ADDED_P99_MS_MAX: f64 = 3.0;
const CONNECTIONS: u32 = 32;
const PROMPT_BYTES: usize = 1_000;

/// A hop's percentiles, one of each a round.
#[derive(Debug, Default)]
struct Percentiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures and prints; how many requests failed.
pub fn run(options: &Options) -> Result<u64> {
    let hops = start_plain(options)?;
    let (rounds, seconds) = if options.quick { (1, 2) } else { (3, 6) };
    println!(
        "### Latency at {} requests a second, {CONNECTIONS} connections, 1 kB prompts\n",
        options.per_second
    );
    println!(
        "Counted from when a request was due. Medians of {rounds} rounds of {seconds} s in which the hops take turns. \
         Goals: Bartizan adds less than {ADDED_P50_MS_MAX} ms (half) and {ADDED_P99_MS_MAX} ms (99 %).\n"
    );
    let spent = Spent::now();
    let mut errors = 0;
    let mut rows = Vec::new();
    for streamed in [false, true] {
        let rate = Rate {
            kind: Kind { prompt_bytes: PROMPT_BYTES, streamed },
            connections: CONNECTIONS,
            per_second: options.per_second,
            warm: Duration::from_secs(1),
            measured: Duration::from_secs(seconds),
        };
        let mut seen: Vec<Percentiles> = hops.iter().map(|_| Percentiles::default()).collect();
        for _ in 0..rounds {
            for (hop, seen) in hops.iter().zip(&mut seen) {
                errors += round(hop, rate, seen);
            }
        }
        rows.extend(hops.iter().zip(&seen).map(|(hop, own)| row(hop, streamed, own, seen.first())));
    }
    table(
        &["answer", "hop", "half, ms", "99 %, ms", "adds, half", "adds, 99 %", "goals reached"],
        &rows,
    );
    spent.print_noise();
    Ok(errors)
}

fn round(hop: &Hop, rate: Rate, seen: &mut Percentiles) -> u64 {
    let round = open::run(hop, rate);
    seen.p50.extend(percentile(&round.latencies_ms, 0.5));
    seen.p99.extend(percentile(&round.latencies_ms, 0.99));
    round.errors
}

fn row(hop: &Hop, streamed: bool, own: &Percentiles, direct: Option<&Percentiles>) -> Vec<String> {
    let added = |own: &[f64], direct: Option<&Vec<f64>>| Some(median(own)? - median(direct?)?);
    let p50 = added(&own.p50, direct.map(|direct| &direct.p50));
    let p99 = added(&own.p99, direct.map(|direct| &direct.p99));
    let reached = p50.zip(p99).map(|(p50, p99)| p50 < ADDED_P50_MS_MAX && p99 < ADDED_P99_MS_MAX);
    let judged = hop.name == "bartizan";
    vec![
        if streamed { "streamed" } else { "whole" }.to_owned(),
        hop.name.to_owned(),
        shown(median(&own.p50), 2),
        shown(median(&own.p99), 2),
        shown(p50, 2),
        shown(p99, 2),
        if judged { verdict(reached) } else { "" }.to_owned(),
    ]
}
