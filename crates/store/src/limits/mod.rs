//! Budgets that many requests share: exact, also when they come at the same moment.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bartizan_core::Timestamp;

use crate::{Result, StoreSettings};

mod memory;
mod redis;

pub use memory::MemoryLimits;
pub use redis::{LimitsClock, RedisLimits, RedisOptions};

/// So much in so long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Whose, and of what: unique among all budgets.
    pub key: String,
    /// In any stretch of time this long ...
    pub window: Duration,
    /// ... at most this much is granted.
    pub max: u64,
}

/// Grants amounts of budgets.
///
/// The window slides: in no stretch of time of a budget's `window` is more than `max`
/// granted. To keep the memory small, time is counted in [`SLOTS`] parts of the window, so
/// an amount comes free at most one part later than the window itself would say.
#[async_trait]
pub trait Limits: Send + Sync + fmt::Debug {
    /// Takes all of the amounts, or nothing.
    async fn reserve(
        &self,
        now: Timestamp,
        wants: &[(Budget, u64)],
    ) -> Result<Reservation, Exceeded>;

    /// Replaces what was reserved by what was used, in the order of the wants. More than was
    /// reserved is counted, too, and may exceed the budget. A want without a number keeps
    /// what was reserved.
    async fn settle(&self, reservation: Reservation, used: &[u64]);

    /// Whether budgets can be counted now.
    ///
    /// # Errors
    /// Says what is away.
    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What the settings ask for: Redis where there is an address, else this process' memory.
pub(crate) fn open(settings: &StoreSettings) -> Result<Arc<dyn Limits>> {
    let when_away = settings.limits_when_away;
    Ok(match &settings.redis_url {
        Some(url) => {
            Arc::new(RedisLimits::open(url, RedisOptions { when_away, ..Default::default() })?)
        }
        None => Arc::new(MemoryLimits::default()),
    })
}

/// The parts of a window.
pub const SLOTS: u32 = 16;

/// What was taken. Dropped without [`Limits::settle`], it stays taken.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "settle it when what was used is known"]
pub struct Reservation {
    /// What was wanted, and granted.
    pub wants: Vec<(Budget, u64)>,
    /// When, by the clock that counts.
    pub at: Timestamp,
    /// Whether it was counted. If not, what counts is away, and the operator lets requests go on.
    pub counted: bool,
    /// Which account of each budget it was taken from, where accounts can be lost.
    accounts: Vec<i64>,
}

impl Reservation {
    fn new(wants: &[(Budget, u64)], at: Timestamp) -> Self {
        Self { wants: wants.to_vec(), at, counted: true, accounts: Vec::new() }
    }
}

/// A budget does not have the amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} for `{key}` {reason}; try again in {} s", retry_after.as_secs().max(1))]
pub struct Exceeded {
    pub key: String,
    pub limit: u64,
    /// When it would be granted, if nobody takes more.
    pub retry_after: Duration,
    pub reason: Reason,
}

/// The length of a slot, rounded up, so that [`SLOTS`] of them are no shorter than the window.
fn slot_millis(window: Duration) -> i64 {
    let millis = window.as_millis().div_ceil(u128::from(SLOTS));
    i64::try_from(millis).unwrap_or(i64::MAX).max(1)
}

/// Why nothing was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The budget is used up.
    UsedUp,
    /// More was wanted than the budget ever has.
    TooLarge,
    /// The budget cannot be counted now.
    Unavailable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsedUp => "is used up",
            Self::TooLarge => "is smaller than what was wanted",
            Self::Unavailable => "cannot be counted now",
        })
    }
}
