//! Requests a second and CPU time a request, of each hop in turn, in rounds.

use std::time::Duration;

use anyhow::Result;

use super::{Options, start_plain};
use crate::{
    closed::{self, Load, Seen},
    figures::{median, ratio, shown, table, verdict},
    hops::{self, Hop},
    machine::Spent,
    process,
    prompts::Kind,
};

/// Goals: of nginx's requests a second, and of LiteLLM's.
const NGINX_SHARE_MIN: f64 = 0.5;
const LITELLM_TIMES_MIN: f64 = 100.0;
/// The only cells that LiteLLM takes part in: it is slow.
const LITELLM_CONNECTIONS: usize = 32;
const LITELLM_PROMPT_BYTES: usize = 1_000;
/// And the times that it gets more of: its workers load things at their first requests.
const LITELLM_WARM: Duration = Duration::from_secs(2);
const LITELLM_MEASURED: Duration = Duration::from_secs(4);

/// One kind of load, and what was seen of each hop in each round.
struct Cell {
    kind: Kind,
    connections: usize,
    seen: Vec<Vec<Seen>>,
}

/// How many rounds, and how long a hop's turn lasts.
struct Plan {
    rounds: usize,
    warm: Duration,
    measured: Duration,
    cells: Vec<(usize, bool, usize)>,
}

fn plan(quick: bool) -> Plan {
    if quick {
        let cells = vec![(1_000, false, 32), (1_000, true, 32)];
        return Plan {
            rounds: 1,
            warm: Duration::from_millis(200),
            measured: Duration::from_millis(800),
            cells,
        };
    }
    let mut cells = Vec::new();
    for streamed in [false, true] {
        for prompt_bytes in [1_000, 16_000] {
            cells.extend([1, 32, 256].map(|connections| (prompt_bytes, streamed, connections)));
        }
    }
    Plan {
        rounds: 3,
        warm: Duration::from_millis(300),
        measured: Duration::from_millis(1500),
        cells,
    }
}

/// Measures and prints; how many requests failed.
pub async fn run(options: &Options) -> Result<u64> {
    let hops = start(options)?;
    let at_start: Vec<_> = hops.iter().map(|hop| hop.pid.map(process::rss_kb)).collect();
    let spent = Spent::now();
    let plan = plan(options.quick);
    let mut cells: Vec<Cell> = plan
        .cells
        .iter()
        .map(|&(prompt_bytes, streamed, connections)| Cell {
            kind: Kind { prompt_bytes, streamed },
            connections,
            seen: hops.iter().map(|_| Vec::new()).collect(),
        })
        .collect();
    for _ in 0..plan.rounds {
        for cell in &mut cells {
            round(&hops, cell, &plan).await;
        }
    }
    print(&hops, &cells, plan.rounds);
    spent.print_noise();
    print_litellm(&hops, &cells);
    print_memory(&hops, &at_start);
    Ok(cells.iter().flat_map(|cell| cell.seen.iter().flatten()).map(|seen| seen.errors).sum())
}

/// Starts every hop that there is. The first is the model itself.
fn start(options: &Options) -> Result<Vec<Hop>> {
    let mut hops = start_plain(options)?;
    if let (Some(litellm), Some(direct)) = (&options.litellm, hops.first()) {
        let litellm = hops::litellm(litellm, &options.dir, direct)?;
        hops.push(litellm);
    }
    Ok(hops)
}

/// Each hop's turn at one load.
async fn round(hops: &[Hop], cell: &mut Cell, plan: &Plan) {
    let load = Load {
        kind: cell.kind,
        connections: cell.connections,
        warm: plan.warm,
        measured: plan.measured,
    };
    for (hop, seen) in hops.iter().zip(&mut cell.seen) {
        if hop.name != "litellm" {
            seen.push(closed::run(hop, load).await);
        } else if for_litellm(load.kind, load.connections) {
            let longer = Load { warm: LITELLM_WARM, measured: LITELLM_MEASURED, ..load };
            seen.push(closed::run(hop, longer).await);
        }
    }
}

fn for_litellm(kind: Kind, connections: usize) -> bool {
    kind.prompt_bytes == LITELLM_PROMPT_BYTES && connections == LITELLM_CONNECTIONS
}

impl Cell {
    /// The median over the rounds of a hop's figure.
    fn of(&self, hops: &[Hop], name: &str, figure: impl Fn(&Seen) -> Option<f64>) -> Option<f64> {
        let place = hops.iter().position(|hop| hop.name == name)?;
        let figures: Vec<f64> = self.seen.get(place)?.iter().filter_map(figure).collect();
        median(&figures)
    }

    fn rate(&self, hops: &[Hop], name: &str) -> Option<f64> {
        self.of(hops, name, |seen| Some(seen.per_second))
    }

    fn cpu(&self, hops: &[Hop], name: &str) -> Option<f64> {
        self.of(hops, name, |seen| seen.cpu_ms)
    }

    fn errors(&self) -> u64 {
        self.seen.iter().flatten().map(|seen| seen.errors).sum()
    }

    fn label(&self) -> Vec<String> {
        let answer = if self.kind.streamed { "streamed" } else { "whole" };
        vec![
            format!("{} kB", self.kind.prompt_bytes / 1000),
            answer.to_owned(),
            self.connections.to_string(),
        ]
    }
}

fn print(hops: &[Hop], cells: &[Cell], rounds: usize) {
    println!("### Requests a second, and CPU time of the hop\n");
    println!(
        "Closed loop; medians of {rounds} rounds in which the hops take turns. Goal: Bartizan reaches at least {NGINX_SHARE_MIN} of nginx.\n"
    );
    let head = [
        "prompt",
        "answer",
        "connections",
        "direct /s",
        "nginx /s",
        "Bartizan /s",
        "Bartizan / nginx",
        "goal reached",
        "nginx CPU ms",
        "Bartizan CPU ms",
        "errors",
    ];
    let rows: Vec<Vec<String>> = cells.iter().map(|cell| row(hops, cell)).collect();
    table(&head, &rows);
}

fn row(hops: &[Hop], cell: &Cell) -> Vec<String> {
    let rate = |name| cell.rate(hops, name);
    let share = ratio(rate("bartizan"), rate("nginx"));
    let mut row = cell.label();
    row.extend(["direct", "nginx", "bartizan"].map(|name| shown(rate(name), 0)));
    row.push(shown(share, 2));
    row.push(verdict(share.map(|share| share >= NGINX_SHARE_MIN)).to_owned());
    row.extend(["nginx", "bartizan"].map(|name| shown(cell.cpu(hops, name), 3)));
    row.push(cell.errors().to_string());
    row
}

fn print_litellm(hops: &[Hop], cells: &[Cell]) {
    println!("### Beside LiteLLM\n");
    println!("The same rounds. Goal: at least {LITELLM_TIMES_MIN:.0} times LiteLLM.\n");
    let head = [
        "prompt",
        "answer",
        "connections",
        "LiteLLM /s",
        "Bartizan /s",
        "Bartizan / LiteLLM",
        "goal reached",
        "LiteLLM CPU ms",
        "Bartizan CPU ms",
    ];
    let cells = cells.iter().filter(|cell| for_litellm(cell.kind, cell.connections));
    let rows: Vec<Vec<String>> = cells
        .map(|cell| {
            let times = ratio(cell.rate(hops, "bartizan"), cell.rate(hops, "litellm"));
            let mut row = cell.label();
            row.extend(["litellm", "bartizan"].map(|name| shown(cell.rate(hops, name), 0)));
            row.push(shown(times, 1));
            row.push(verdict(times.map(|times| times >= LITELLM_TIMES_MIN)).to_owned());
            row.extend(["litellm", "bartizan"].map(|name| shown(cell.cpu(hops, name), 3)));
            row
        })
        .collect();
    table(&head, &rows);
}

fn print_memory(hops: &[Hop], at_start: &[Option<f64>]) {
    println!("### Memory (resident, of all processes of the hop)\n");
    let rows: Vec<Vec<String>> = hops
        .iter()
        .zip(at_start)
        .filter_map(|(hop, before)| {
            let megabytes = |kb: f64| format!("{:.0} MB", kb / 1024.0);
            Some(vec![
                hop.name.to_owned(),
                megabytes((*before)?),
                megabytes(process::rss_kb(hop.pid?)),
            ])
        })
        .collect();
    table(&["hop", "before the load", "after it"], &rows);
}
