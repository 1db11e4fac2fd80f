//! Memory of open streams in which the model is silent after its first words.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::Options;
use crate::{
    answer::Decoder,
    figures::{table, verdict},
    hops::{self, Bartizan},
    process,
    prompts::{self, Kind},
};

/// Goal: resident memory of Bartizan for each stream.
const KB_MAX: f64 = 30.0;
/// Streams, where descriptors are not the bound. Bartizan takes two for each.
const STREAMS: usize = 10_000;
const STREAMS_QUICK: usize = 1_000;
/// Descriptors for everything else.
const SPARE: usize = 500;
/// How many streams are opened at the same time.
const AT_ONCE: usize = 64;
/// How long opening may take: the first must not have been given up as silent, which
/// Bartizan does after a minute.
const OPEN_MAX: Duration = Duration::from_secs(45);
const HEAD_MAX: Duration = Duration::from_secs(20);
/// How long they rest before memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures and prints; how many streams could not be opened or did not last.
pub async fn run(options: &Options) -> Result<u64> {
    let wanted = if options.quick { STREAMS_QUICK } else { STREAMS };
    let count = wanted.min(descriptors().saturating_sub(SPARE) / 2 / 1_000 * 1_000);
    ensure!(count > 0, "too few descriptors are allowed (`ulimit -n`)");
    let (_silent, port) = hops::model(&options.dir, true)?;
    let bounds = format!("connections_max = {}", count + SPARE);
    let bartizan = Bartizan::install(&options.bartizan, &options.dir, port, &bounds)?;
    let running = bartizan.start()?;
    let request =
        prompts::requests(Kind { prompt_bytes: 1_000, streamed: true }, Some(&bartizan.key));
    let request = request.into_iter().next().context("INVARIANT: there are requests")?;
    let first = first(bartizan.address(), &request).await?;
    tokio::time::sleep(SETTLE).await;
    let before = process::rss_kb(running.pid());
    let start = Instant::now();
    let (streams, errors) = open_all(bartizan.address(), &request, count).await;
    let opened = start.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = process::rss_kb(running.pid());
    let lost = streams.iter().filter(|stream| ended(stream)).count() as u64;
    drop(first);
    print(count, opened, before, after, errors + lost);
    Ok(errors + lost)
}

/// The first stream, as soon as the gateway is up. It stays open, beside those that count.
async fn first(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let until = Instant::now() + HEAD_MAX;
    loop {
        match open(address, request).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn open_all(address: SocketAddr, request: &[u8], count: usize) -> (Vec<TcpStream>, u64) {
    let (mut streams, mut errors) = (Vec::with_capacity(count), 0);
    let until = Instant::now() + OPEN_MAX;
    let mut tasks = JoinSet::new();
    for place in 0..count {
        if Instant::now() > until {
            eprintln!("only {place} streams could be opened in {OPEN_MAX:?}");
            errors += (count - place) as u64;
            break;
        }
        let request = request.to_vec();
        tasks.spawn_local(async move { open(address, &request).await });
        if tasks.len() >= AT_ONCE {
            keep(tasks.join_next().await, &mut streams, &mut errors);
        }
    }
    while let Some(opened) = tasks.join_next().await {
        keep(Some(opened), &mut streams, &mut errors);
    }
    (streams, errors)
}

type Opened = Option<Result<Result<TcpStream>, tokio::task::JoinError>>;

fn keep(opened: Opened, streams: &mut Vec<TcpStream>, errors: &mut u64) {
    match opened {
        Some(Ok(Ok(stream))) => streams.push(stream),
        Some(Ok(Err(error))) => {
            *errors += 1;
            eprintln!("a stream: {error:#}");
        }
        Some(Err(error)) => {
            *errors += 1;
            eprintln!("a stream: {error}");
        }
        None => {}
    }
}

/// Opens a stream; it is open when its head and a first event have come.
async fn open(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let opened = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await?;
        let mut decoder = Decoder::new();
        let mut buffer = [0; 2048];
        while decoder.body.is_empty() {
            let count = stream.read(&mut buffer).await?;
            ensure!(count > 0, "closed before its first words");
            let ended = decoder.feed(buffer.get(..count).unwrap_or_default())?;
            if decoder.begun() && decoder.status != 200 {
                bail!("status {}: {}", decoder.status, String::from_utf8_lossy(&decoder.body));
            }
            ensure!(!ended, "ended at once");
        }
        Ok(stream)
    };
    tokio::time::timeout(HEAD_MAX, opened).await.context("no first words in time")?
}

/// Whether a stream was ended by the other side.
fn ended(stream: &TcpStream) -> bool {
    let mut buffer = [0; 2048];
    match stream.try_read(&mut buffer) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// How many descriptors a process may have, as this one and so its children.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn print(count: usize, opened: Duration, before: f64, after: f64, errors: u64) {
    let each = (after - before) / count as f64;
    println!("### Idle streams through Bartizan\n");
    let row = vec![
        count.to_string(),
        format!("{:.1} s", opened.as_secs_f64()),
        format!("{:.0} MB", before / 1024.0),
        format!("{:.0} MB", after / 1024.0),
        format!("{each:.1} kB"),
        format!("{KB_MAX:.0} kB"),
        verdict(Some(each <= KB_MAX)).to_owned(),
        errors.to_string(),
    ];
    table(
        &[
            "streams",
            "opened in",
            "resident before",
            "with them",
            "each",
            "goal",
            "goal reached",
            "errors",
        ],
        &[row],
    );
}
