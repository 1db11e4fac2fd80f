//! Load at a constant rate: every request has a time at which it is due, and its latency
//! counts from then, so that a slow answer also counts against those that it delays
//! (what is otherwise left out by coordinated omission).
//!
//! Threads and blocking connections: the kernel wakes a thread to a few hundredths of a
//! millisecond, where timers of the asynchronous runtime tick in whole ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    answer::{Decoder, Judge},
    hops::Hop,
    prompts::{self, Kind},
    upstream,
};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// From starting the threads to the first request.
const LEAD: Duration = Duration::from_millis(100);

/// How much load, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub kind: Kind,
    pub connections: u32,
    pub per_second: u32,
    pub warm: Duration,
    pub measured: Duration,
}

/// Latencies in milliseconds, and how many requests failed.
#[derive(Debug, Default)]
pub struct Seen {
    pub latencies_ms: Vec<f64>,
    pub errors: u64,
}

/// Puts the load on a hop.
pub fn run(hop: &Hop, rate: Rate) -> Seen {
    let requests = prompts::requests(rate.kind, hop.key.as_deref());
    let address = hop.address(rate.kind.streamed);
    let start = Instant::now() + LEAD;
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..rate.connections)
            .map(|place| {
                scope.spawn({
                    let requests = &requests;
                    move || connection(address, requests, rate, place, start)
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(Ok(latencies)) => seen.latencies_ms.extend(latencies),
                Ok(Err(error)) => fail(&mut seen, hop, &format!("{error:#}")),
                Err(_) => fail(&mut seen, hop, "a thread panicked"),
            }
        }
    });
    seen
}

fn fail(seen: &mut Seen, hop: &Hop, error: &str) {
    seen.errors += 1;
    eprintln!("{}: {error}", hop.name);
}

/// A connection's share of the requests: every so many'th.
fn connection(
    address: SocketAddr,
    requests: &[Vec<u8>],
    rate: Rate,
    place: u32,
    start: Instant,
) -> Result<Vec<f64>> {
    let mut caller = Caller::new(address, rate.kind.streamed)?;
    let (measured_from, end) = (start + rate.warm, start + rate.warm + rate.measured);
    let mut latencies = Vec::new();
    let mine = (u64::from(place)..).step_by(rate.connections as usize);
    for (number, request) in mine.zip(requests.iter().cycle()) {
        let due = start + Duration::from_secs_f64(number as f64 / f64::from(rate.per_second));
        if due >= end {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        caller.call(request)?;
        if due >= measured_from {
            latencies.push(due.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(latencies)
}

/// A blocking connection.
#[derive(Debug)]
pub struct Caller {
    stream: TcpStream,
    decoder: Decoder,
    judge: Judge,
    buffer: Vec<u8>,
}

impl Caller {
    pub fn new(address: SocketAddr, streamed: bool) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            stream,
            decoder: Decoder::new(),
            judge: Judge::new(streamed, upstream::text()),
            buffer: vec![0; 16 * 1024],
        })
    }

    /// Sends a request and reads its answer, which must be whole and right.
    pub fn call(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        loop {
            let count = self.stream.read(&mut self.buffer)?;
            ensure!(count > 0, "the connection was closed within an answer");
            if self.decoder.feed(self.buffer.get(..count).unwrap_or_default())? {
                break;
            }
        }
        self.judge.judge(self.decoder.status, &self.decoder.body)?;
        self.decoder.reset()
    }
}
