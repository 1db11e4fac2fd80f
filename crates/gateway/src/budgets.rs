//! Limits on requests, tokens and cost: reserved before a call, settled after it.

use std::time::Duration;

use bartizan_core::Timestamp;
use bartizan_store::{Budget, Exceeded, Limits, Reservation};

use crate::{
    config::{LimitConfig, Price},
    protocols::Usage,
};

/// A window's length when the configuration gives none.
const WINDOW_S: u64 = 60;
/// Bytes of text that make a token, for estimates before the provider has counted.
const BYTES_PER_TOKEN: u64 = 4;

/// What a call may use at the most, estimated before it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub input: u64,
    pub output: u64,
}

impl Estimate {
    /// From the request's bytes and the most that the answer may have.
    pub(crate) fn new(body_bytes: usize, output_max: u64) -> Self {
        Self {
            input: u64::try_from(body_bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN),
            output: output_max,
        }
    }
}

/// Tokens in so many bytes of text, where the provider did not say.
pub(crate) fn tokens_in(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// What each want of a reservation counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Requests,
    Tokens,
    Cost,
}

/// What was reserved for a call. Dropped without [`Hold::settle`], all of it stays used.
#[derive(Debug)]
pub(crate) struct Hold {
    units: Vec<Unit>,
    reservation: Reservation,
    price: Price,
}

/// Whose limits: a name that is unique among tenants, keys and users, and its limits.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub name: String,
    pub limits: LimitConfig,
}

/// A limit that does not have what a call may need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) exceeded: Exceeded,
    pub(crate) wanted: u64,
}

/// Reserves a call's estimate with every owner, or nothing at all.
///
/// # Errors
/// Which limit is used up, and when to come back.
pub(crate) async fn reserve(
    limits: &dyn Limits,
    now: Timestamp,
    owners: &[Owner],
    estimate: Estimate,
    price: Price,
) -> Result<Hold, Over> {
    let tokens = estimate.input.saturating_add(estimate.output);
    let cost = price.of(estimate.input, estimate.output);
    let mut wants = Vec::new();
    let mut units = Vec::new();
    for owner in owners {
        let LimitConfig { window_s, requests, tokens: token_max, cost_micros } = owner.limits;
        let window = Duration::from_secs(if window_s == 0 { WINDOW_S } else { window_s });
        let mut want = |what: &str, max: Option<u64>, amount, unit| {
            if let Some(max) = max {
                wants.push((Budget { key: format!("{what}:{}", owner.name), window, max }, amount));
                units.push(unit);
            }
        };
        want("requests", requests, 1, Unit::Requests);
        want("tokens", token_max, tokens, Unit::Tokens);
        want("cost", cost_micros, cost, Unit::Cost);
    }
    let reservation = limits.reserve(now, &wants).await.map_err(|exceeded| over(exceeded, &wants));
    let reservation = reservation?;
    Ok(Hold { units, reservation, price })
}

/// What is counted in parts comes free up to a part later than the window says: nobody is
/// told to wait for longer than that.
fn over(mut exceeded: Exceeded, wants: &[(Budget, u64)]) -> Over {
    let want = wants.iter().find(|(budget, _)| budget.key == exceeded.key);
    let (window, wanted) =
        want.map_or((exceeded.retry_after, 0), |(budget, amount)| (budget.window, *amount));
    exceeded.retry_after = exceeded.retry_after.min(window);
    Over { exceeded, wanted }
}

impl Hold {
    /// Whether the limits were counted; if not, what counts them is away.
    pub(crate) fn counted(&self) -> bool {
        self.reservation.counted
    }

    /// Replaces the estimate by what was used.
    pub(crate) async fn settle(self, limits: &dyn Limits, usage: Usage) {
        let used: Vec<u64> =
            self.units.iter().map(|unit| amount(*unit, self.price, usage)).collect();
        limits.settle(self.reservation, &used).await;
    }
}

fn amount(unit: Unit, price: Price, usage: Usage) -> u64 {
    match unit {
        Unit::Requests => 1,
        Unit::Tokens => usage.input.saturating_add(usage.output),
        Unit::Cost => price.of(usage.input, usage.output),
    }
}
