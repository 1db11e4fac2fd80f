//! Limits that several nodes share, counted by Redis.
//!
//! Each reservation and each settlement is one script, which Redis runs alone: so the budget is
//! exact, however many nodes ask. The time is Redis' own, so that nodes may disagree about it.
//! Names of budgets are hashed. An account runs out by itself with its window.
//!
//! What is lost is lost on the safe side: a script that was sent and not answered may have run, so
//! what it may have taken stays taken until its window ends, and is never tried again. A
//! settlement that cannot be sent waits until Redis is back; one that was not answered is
//! repeated only as far as more was used than was reserved, so that it rather counts twice.

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use bartizan_core::Timestamp;
use redis::{Client, Script, ScriptInvocation};
use ring::digest::{SHA256, digest};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use self::link::{Failed, Link};
use super::{Budget, Exceeded, Limits, Reason, Reservation, slot_millis};
use crate::{Error, Result, WhenAway, hex};

mod link;

const RESERVE_LUA: &str = include_str!("reserve.lua");
static RESERVE: LazyLock<Script> = LazyLock::new(|| Script::new(RESERVE_LUA));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settle.lua")));

/// The account that probes use.
const PROBE: &str = "bartizan:{limits}:probe";
// LIMIT: Lua counts in doubles, which are exact up to here.
const EXACT_MAX: u64 = 1 << 53;
/// How long a request waits for Redis, by default.
const PATIENCE: Duration = Duration::from_millis(250);
/// When a client may ask again that was refused because Redis is away.
const RETRY: Duration = Duration::from_secs(1);
// LIMIT: about 1 kB each. Beyond it, what was reserved stays counted in place of what was used.
const OWED_MAX: usize = 10_000;
/// How long accounts rest that a simulation counts in time of its own.
const SIMULATED_REST_MILLIS: i64 = 60 * 60 * 1000;

/// How [`RedisLimits`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    pub when_away: WhenAway,
    /// How long one reservation or settlement may take.
    pub patience: Duration,
    pub clock: LimitsClock,
}

/// Whose time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitsClock {
    /// The time of Redis, whatever a node's clock says.
    #[default]
    Redis,
    /// The time that the caller gives: for simulations.
    Caller,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { when_away: WhenAway::Deny, patience: PATIENCE, clock: LimitsClock::Redis }
    }
}

/// Exact among all who use the same database of the same Redis.
///
/// Served are one Redis (6.2 or newer, or Valkey) and whatever puts one behind an address; not
/// Redis Cluster. Amounts over 2^53 are refused, and larger maxima count as 2^53.
pub struct RedisLimits {
    link: Arc<Link>,
    options: RedisOptions,
    owed: mpsc::Sender<Settlement>,
    /// Ends with this.
    _tasks: JoinSet<()>,
}

impl RedisLimits {
    /// Starts to connect, and goes on trying; must be called within a Tokio run time.
    ///
    /// # Errors
    /// When `url` is no address of Redis. That it cannot be reached is no error: see
    /// [`Limits::check`].
    pub fn open(url: &str, options: RedisOptions) -> Result<Self> {
        let client = Client::open(url).map_err(|error| Error::Url {
            key: "store.redis_url",
            what: "Redis",
            problem: error.to_string(),
            example: "such as `rediss://redis.example:6379/0`",
        })?;
        let link = Arc::new(Link::new(client, options.when_away, options.patience));
        let (owed, waiting) = mpsc::channel(OWED_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(link.clone().keep());
        tasks.spawn(pay(link.clone(), waiting));
        Ok(Self { link, options, owed, _tasks: tasks })
    }

    /// The answer to a request that Redis could not count.
    fn uncounted(&self, now: Timestamp, wants: &[(Budget, u64)]) -> Result<Reservation, Exceeded> {
        match (self.options.when_away, wants.first()) {
            (WhenAway::Deny, Some((budget, _))) => Err(refusal(budget, RETRY, Reason::Unavailable)),
            _ => Ok(Reservation { counted: false, ..Reservation::new(wants, now) }),
        }
    }
}

#[async_trait]
impl Limits for RedisLimits {
    async fn reserve(
        &self,
        now: Timestamp,
        wants: &[(Budget, u64)],
    ) -> Result<Reservation, Exceeded> {
        if wants.is_empty() {
            return Ok(Reservation::new(wants, now));
        }
        let mut call = RESERVE.prepare_invoke();
        match self.options.clock {
            LimitsClock::Redis => call.arg("").arg(0),
            LimitsClock::Caller => call.arg(now.millis()).arg(SIMULATED_REST_MILLIS),
        };
        for (budget, amount) in wants {
            call.key(account(budget))
                .arg(slot_of(budget))
                .arg(budget.max.min(EXACT_MAX))
                .arg(amount);
        }
        let Ok(answer) = self.link.run::<Vec<i64>>(&call).await else {
            return self.uncounted(now, wants);
        };
        match *answer {
            [0, at, ref born @ ..] if born.len() == wants.len() => {
                let at = Timestamp::from_millis(at);
                Ok(Reservation { accounts: born.to_vec(), ..Reservation::new(wants, at) })
            }
            [want, wait] => {
                let want = usize::try_from(want).ok().and_then(|want| want.checked_sub(1));
                match want.and_then(|want| wants.get(want)) {
                    Some((budget, _)) => Err(match u64::try_from(wait) {
                        Ok(ms) => refusal(budget, Duration::from_millis(ms), Reason::UsedUp),
                        Err(_) => refusal(budget, budget.window, Reason::TooLarge),
                    }),
                    None => self.uncounted(now, wants),
                }
            }
            _ => self.uncounted(now, wants),
        }
    }

    async fn settle(&self, reservation: Reservation, used: &[u64]) {
        let Some(settlement) = Settlement::new(&reservation, used) else { return };
        let Err(failed) = self.link.run::<i64>(&settlement.call()).await else { return };
        let Some(rest) = settlement.after(failed) else { return };
        if self.owed.try_send(rest).is_err() {
            tracing::warn!(
                "too many settlements wait for Redis: what was reserved stays counted in place of what was used"
            );
        }
    }

    async fn check(&self) -> Result<()> {
        let place = || self.link.place();
        self.link.check().await.map_err(|detail| Error::Away {
            what: "Redis",
            place: place(),
            key: "store.redis_url",
            detail,
        })
    }
}

impl fmt::Debug for RedisLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimits")
            .field("place", &self.link.place())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What is to be counted in place of what was reserved.
#[derive(Debug)]
struct Settlement {
    at: Timestamp,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    account: String,
    slot_millis: i64,
    born: i64,
    reserved: u64,
    used: u64,
}

impl Settlement {
    /// `None` when nothing would change, as for what was never counted.
    fn new(reservation: &Reservation, used: &[u64]) -> Option<Self> {
        let wants = reservation.wants.iter().zip(&reservation.accounts).zip(used);
        let parts = wants.filter(|(((_, reserved), _), used)| reserved != *used);
        let parts: Vec<Part> = parts
            .map(|(((budget, reserved), born), used)| Part {
                account: account(budget),
                slot_millis: slot_of(budget),
                born: *born,
                reserved: *reserved,
                used: (*used).min(EXACT_MAX),
            })
            .collect();
        (!parts.is_empty()).then_some(Self { at: reservation.at, parts })
    }

    fn call(&self) -> ScriptInvocation<'static> {
        let mut call = SETTLE.prepare_invoke();
        call.arg(self.at.millis());
        for Part { account, slot_millis, born, reserved, used } in &self.parts {
            call.key(account).arg(slot_millis).arg(born).arg(reserved).arg(used);
        }
        call
    }

    /// What to do again. Where less was used than reserved, doing it twice would give away what
    /// others have: then what was reserved stays counted.
    fn after(mut self, failed: Failed) -> Option<Self> {
        match failed {
            Failed::Unsent => {}
            Failed::Unanswered => self.parts.retain(|part| part.used > part.reserved),
            Failed::Refused => self.parts.clear(),
        }
        (!self.parts.is_empty()).then_some(self)
    }
}

/// Sends what could not be sent, once Redis is back.
async fn pay(link: Arc<Link>, mut waiting: mpsc::Receiver<Settlement>) {
    while let Some(settlement) = waiting.recv().await {
        let mut due = Some(settlement);
        while let Some(settlement) = due.take() {
            link.here().await;
            if let Err(failed) = link.run::<i64>(&settlement.call()).await {
                due = settlement.after(failed);
                sleep(RETRY).await;
            }
        }
    }
}

/// The name of a budget's account, which does not tell whose it is. The braces keep all of them
/// in one slot, where a proxy shards by them.
fn account(budget: &Budget) -> String {
    let named = format!("{}\n{}", budget.window.as_millis(), budget.key);
    format!("bartizan:{{limits}}:{}", hex::encode(digest(&SHA256, named.as_bytes()).as_ref()))
}

fn slot_of(budget: &Budget) -> i64 {
    slot_millis(budget.window).min(EXACT_MAX.cast_signed())
}

fn refusal(budget: &Budget, retry_after: Duration, reason: Reason) -> Exceeded {
    Exceeded { key: budget.key.clone(), limit: budget.max, retry_after, reason }
}
