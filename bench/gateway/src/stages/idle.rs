//! Memory of a gateway that has nothing to do, and how soon a fresh one answers.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::Options;
use crate::{
    figures::{median, shown, table, verdict},
    hops::{self, Bartizan, Running},
    open::Caller,
    process,
    prompts::{self, Kind},
};

/// Goals.
const RSS_MB_MAX: f64 = 80.0;
const START_MS_MAX: f64 = 300.0;
/// A start that takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Between two tries to be answered.
const RETRY: Duration = Duration::from_millis(1);
/// How long it is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures and prints. A start without an answer is an error.
pub fn run(options: &Options) -> Result<u64> {
    let starts = if options.quick { 3 } else { 10 };
    let direct = hops::direct(&options.dir)?;
    let port = direct.address(false).port();
    let bartizan = Bartizan::install(&options.bartizan, &options.dir, port, "")?;
    // The first start lays out the database; it counts neither for time nor for memory.
    first_answer(&bartizan)?;
    let mut times = Vec::new();
    for _ in 0..starts {
        times.push(first_answer(&bartizan)?.1);
    }
    let idle = idle_mb(&bartizan)?;
    println!("### Start and idle memory of Bartizan\n");
    let start = median(&times);
    let rows = [
        vec![
            format!("from exec to the first proxied answer, median of {starts}"),
            format!("{START_MS_MAX:.0} ms"),
            format!(
                "{} ms (slowest {})",
                shown(start, 0),
                shown(times.iter().copied().reduce(f64::max), 0)
            ),
            verdict(start.map(|ms| ms <= START_MS_MAX)).to_owned(),
        ],
        vec![
            "resident memory after a start and one request".to_owned(),
            format!("{RSS_MB_MAX:.0} MB"),
            format!("{idle:.1} MB"),
            verdict(Some(idle <= RSS_MB_MAX)).to_owned(),
        ],
    ];
    table(&["what", "goal", "figure", "goal reached"], &rows);
    Ok(0)
}

/// Starts it; how many milliseconds until it answered a request.
fn first_answer(bartizan: &Bartizan) -> Result<(Running, f64)> {
    let kind = Kind { prompt_bytes: 1_000, streamed: false };
    let requests = prompts::requests(kind, Some(&bartizan.key));
    let request = requests.first().context("INVARIANT: there are requests")?;
    let start = Instant::now();
    let running = bartizan.start()?;
    loop {
        let answer =
            Caller::new(bartizan.address(), false).and_then(|mut caller| caller.call(request));
        match answer {
            Ok(()) => return Ok((running, start.elapsed().as_secs_f64() * 1000.0)),
            Err(error) if start.elapsed() > ANSWER_MAX => {
                bail!("no answer after a start: {error:#}")
            }
            Err(_) => thread::sleep(RETRY),
        }
    }
}

fn idle_mb(bartizan: &Bartizan) -> Result<f64> {
    let (running, _) = first_answer(bartizan)?;
    thread::sleep(SETTLE);
    Ok(process::rss_kb(running.pid()) / 1024.0)
}
