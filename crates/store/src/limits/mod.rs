//! Budgets that many requests share: exact, also when they come at the same moment.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bartizan_core::Timestamp;

mod memory;

pub use memory::MemoryLimits;

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
}

/// The parts of a window.
pub const SLOTS: u32 = 16;

/// What was taken. Dropped without [`Limits::settle`], it stays taken.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "settle it when what was used is known"]
pub struct Reservation {
    /// What was wanted, and granted.
    pub wants: Vec<(Budget, u64)>,
    /// When.
    pub at: Timestamp,
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
