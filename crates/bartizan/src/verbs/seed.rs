//! `bartizan db seed`: fills an installation with made-up decisions and findings, to measure by.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bartizan_core::{Clock, Cx, Tenant, Timestamp, sim::SeededEntropy};
use bartizan_gateway::{
    decisions::DECISION,
    made_up::{self, MadeUp, Maker, Plan},
};
use bartizan_store::{Query, Store};
use futures_util::future::join_all;
use serde_json::json;

use super::Call;
use crate::{output::Outcome, system, trouble::trouble, wiring::House};

/// How many records are put at once: as many as the store writes in one transaction.
const BATCH: usize = 256;
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Fill the installation with made-up decisions and findings, to measure by.
///
/// Never in an installation that is in use: what is made up stands among what happened, and
/// only the ledger tells them apart.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many decisions.
    #[arg(long, default_value_t = 1_000_000)]
    decisions: u64,
    /// How many findings in them.
    #[arg(long, default_value_t = 100_000)]
    findings: u64,
    /// Over how many days, up to now.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The same seed makes the same records, but for the times, which end now.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of this tenant.
    #[arg(long, default_value = "default")]
    tenant: Tenant,
    /// Even if there are decisions already.
    #[arg(long)]
    among_others: bool,
}

pub(super) async fn run(call: &Call<'_>, args: Args) -> anyhow::Result<Outcome> {
    let config = call.config()?;
    let clock = Arc::new(SetClock(AtomicI64::new(call.cx.now().millis())));
    // Times are made up; keys and what encrypts are of the system's randomness.
    let cx = Cx::new(clock.clone(), system::entropy());
    let house = House::open(&config, "db seed", &cx).await?;
    let seeded = seed(&house, &clock, &args, call.cx.now()).await;
    house.close().await?;
    let took = seeded?;
    let seconds = took.as_secs_f64();
    let result = json!({
        "decisions": args.decisions, "findings": args.findings, "days": args.days,
        "seed": args.seed, "seconds": (seconds * 10.0).round() / 10.0,
    });
    call.out().one(&result, |_| {
        format!(
            "made up {} decisions and {} findings over {} days, in {seconds:.0} s; they are for measuring only",
            args.decisions, args.findings, args.days
        )
    })?;
    Ok(Outcome::Clean)
}

async fn seed(
    house: &House,
    clock: &Arc<SetClock>,
    args: &Args,
    now: Timestamp,
) -> anyhow::Result<Duration> {
    let gateway = &house.admin.gateway;
    let (store, tenant) = (&gateway.store, &args.tenant);
    let any = Query { limit: 1, sealed: false, ..Query::new(&DECISION) };
    if !args.among_others && !store.list(tenant, &any).await?.records.is_empty() {
        return Err(trouble(
            format!(
                "tenant `{tenant}` has decisions already, and made-up ones would stand among them"
            ),
            "name an empty `data_dir`, or say that it is meant with --among-others",
        ));
    }
    let plan = Plan {
        seed: args.seed,
        decisions: args.decisions,
        findings: args.findings,
        since: now.before(DAY.saturating_mul(args.days)),
        until: now,
    };
    let (decisions, findings) = (args.decisions.to_string(), args.findings.to_string());
    let seed = args.seed.to_string();
    let details = [("decisions", &*decisions), ("findings", &*findings), ("seed", &*seed)];
    gateway
        .record(tenant, "administrator:local", "admin.database.seed", "database", &details)
        .await?;
    // Nobody is ever shown the keys' secrets, and the keys have expired.
    let entropy = Arc::new(SeededEntropy::new(args.seed));
    let keys = made_up::keys(store, tenant, &Cx::new(clock.clone(), entropy)).await?;
    let start = Instant::now();
    let all = args.decisions.saturating_add(args.findings);
    let mut progress = Progress { start, told: start, done: 0, all };
    let mut batch = Vec::with_capacity(BATCH);
    for made in Maker::new(plan, keys).flatten() {
        batch.push(made);
        if batch.len() >= BATCH {
            put(store, tenant, clock, &mut batch, &mut progress).await?;
        }
    }
    put(store, tenant, clock, &mut batch, &mut progress).await?;
    clock.set(now);
    store.flush().await?;
    Ok(start.elapsed())
}

/// Puts a batch at once, each record at its own time: a put reads the clock when it starts.
async fn put(
    store: &Store,
    tenant: &Tenant,
    clock: &SetClock,
    batch: &mut Vec<MadeUp>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let count = batch.len();
    let puts = batch.drain(..).map(|made| async move {
        clock.set(made.time);
        store.put(tenant, made.class, made.id, made.meta, Some(&made.sealed)).await
    });
    for put in join_all(puts).await {
        put?;
    }
    progress.add(count);
    Ok(())
}

struct Progress {
    start: Instant,
    told: Instant,
    done: u64,
    all: u64,
}

impl Progress {
    fn add(&mut self, count: usize) {
        self.done = self.done.saturating_add(u64::try_from(count).unwrap_or(0));
        if self.told.elapsed() < PROGRESS && self.done < self.all {
            return;
        }
        self.told = Instant::now();
        let seconds = self.start.elapsed().as_secs().max(1);
        let (percent, rate) =
            (self.done.saturating_mul(100) / self.all.max(1), self.done / seconds);
        eprintln!("{percent:3} % of {} records, {rate} a second", self.all);
    }
}

/// A clock that is where it was set.
#[derive(Debug)]
struct SetClock(AtomicI64);

impl SetClock {
    fn set(&self, time: Timestamp) {
        self.0.store(time.millis(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}
