//! Load in a closed loop: every connection sends its next request when it has the
//! answer to the last. It says how many a hop can do.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    answer::{Decoder, Judge},
    hops::Hop,
    process,
    prompts::{self, Kind},
    upstream,
};

/// How long requests under way may take to end after the measurement.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long a slow hop may take until every connection was answered: a phase of the load
/// goes on until then, or its requests under way would count too little or too much.
const PHASE_MAX: Duration = Duration::from_secs(12);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// After so many errors a connection gives up.
const ERRORS_MAX: u32 = 3;

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub kind: Kind,
    pub connections: usize,
    pub warm: Duration,
    pub measured: Duration,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub per_second: f64,
    /// CPU time of the hop for a request; nothing when there is no hop.
    pub cpu_ms: Option<f64>,
    pub errors: u64,
}

#[derive(Default)]
struct Tally {
    done: Cell<u64>,
    errors: Cell<u64>,
    first: RefCell<Option<String>>,
    stop: Cell<bool>,
}

impl Tally {
    fn fail(&self, error: &anyhow::Error) {
        self.errors.set(self.errors.get() + 1);
        self.first.borrow_mut().get_or_insert_with(|| format!("{error:#}"));
    }
}

/// Puts the load on a hop.
pub async fn run(hop: &Hop, load: Load) -> Seen {
    let tally = Rc::new(Tally::default());
    let requests = Rc::new(prompts::requests(load.kind, hop.key.as_deref()));
    let address = hop.address(load.kind.streamed);
    let mut tasks = JoinSet::new();
    for place in 0..load.connections {
        let (tally, requests) = (tally.clone(), requests.clone());
        tasks.spawn_local(connection(address, requests, load.kind.streamed, place, tally));
    }
    let enough = load.connections as u64;
    phase(load.warm, enough, &tally).await;
    let seen = measure(hop, load.measured, 2 * enough, &tally).await;
    tally.stop.set(true);
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, ended).await.is_err() {
        tally.fail(&anyhow::anyhow!("{} connections wait for an answer in vain", tasks.len()));
    }
    if let Some(error) = tally.first.borrow().as_deref() {
        eprintln!("{}: {load:?}: {error}", hop.name);
    }
    Seen { errors: tally.errors.get(), ..seen }
}

/// Waits so long, and on until there are enough answers.
async fn phase(least: Duration, enough: u64, tally: &Tally) {
    let (start, done) = (Instant::now(), tally.done.get());
    tokio::time::sleep(least).await;
    while tally.done.get() - done < enough && start.elapsed() < PHASE_MAX {
        tokio::time::sleep(LOOK).await;
    }
}

async fn measure(hop: &Hop, measured: Duration, enough: u64, tally: &Tally) -> Seen {
    let (start, done, cpu) = (Instant::now(), tally.done.get(), hop.pid.map(process::cpu_ms));
    phase(measured, enough, tally).await;
    let (seconds, answers) = (start.elapsed().as_secs_f64(), tally.done.get() - done);
    let cpu_ms = hop.pid.map(process::cpu_ms).zip(cpu).map(|(after, before)| after - before);
    Seen {
        per_second: answers as f64 / seconds,
        cpu_ms: cpu_ms.filter(|_| answers > 0).map(|ms| ms / answers as f64),
        errors: 0,
    }
}

async fn connection(
    address: SocketAddr,
    requests: Rc<Vec<Vec<u8>>>,
    streamed: bool,
    place: usize,
    tally: Rc<Tally>,
) {
    let mut judge = Judge::new(streamed, upstream::text());
    for _ in 0..ERRORS_MAX {
        match converse(address, &requests, place, &mut judge, &tally).await {
            Ok(()) => return,
            Err(error) => tally.fail(&error),
        }
    }
}

/// One connection until the load stops, or something is wrong.
async fn converse(
    address: SocketAddr,
    requests: &[Vec<u8>],
    place: usize,
    judge: &mut Judge,
    tally: &Tally,
) -> Result<()> {
    let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 16 * 1024];
    for request in requests.iter().cycle().skip(place % requests.len().max(1)) {
        if tally.stop.get() {
            break;
        }
        stream.write_all(request).await.context("cannot send")?;
        loop {
            let count = stream.read(&mut buffer).await?;
            anyhow::ensure!(count > 0, "the connection was closed within an answer");
            if decoder.feed(buffer.get(..count).unwrap_or_default())? {
                break;
            }
        }
        judge.judge(decoder.status, &decoder.body)?;
        decoder.reset()?;
        tally.done.set(tally.done.get() + 1);
    }
    Ok(())
}
