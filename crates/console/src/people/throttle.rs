//! Trying again takes longer each time: by account, and by address. The counts are the
//! store's limits, so that several nodes share them. Nothing here asks whether there is
//! such an account.

use std::{net::IpAddr, time::Duration};

use axum::http::StatusCode;
use bartizan_core::Timestamp;
use bartizan_store::{Budget, Limits, Reservation};

use super::codes;
use crate::Failure;

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tries that failed, in how long: one person at one address. The waits grow.
const OF_ACCOUNT_HERE: [(Duration, u64); 3] = [(MINUTE, 5), (QUARTER, 15), (DAY, 50)];
/// The same account from wherever: many addresses that guess at one.
const OF_ACCOUNT: [(Duration, u64); 3] = [(MINUTE, 20), (QUARTER, 60), (DAY, 200)];
/// One address, whatever the account.
const OF_ADDRESS: [(Duration, u64); 3] = [(MINUTE, 20), (QUARTER, 100), (DAY, 1000)];

/// A try that is under way. It counts unless it is forgiven.
#[derive(Debug)]
pub(crate) struct Try(Reservation);

/// Begins a try.
///
/// # Errors
/// Says how long to wait.
pub(crate) async fn begin(
    limits: &dyn Limits,
    now: Timestamp,
    what: &str,
    account: &str,
    address: &str,
) -> Result<Try, Failure> {
    // Names are hashed: what is typed into the wrong field may be a password.
    let account = codes::hash(account);
    let address = block(address);
    let here = format!("{account}@{address}");
    let of = |who: &str, kind: &str, budgets: [(Duration, u64); 3]| {
        budgets.map(|(window, max)| {
            let key = format!("{what}:{kind}:{}:{who}", window.as_secs());
            (Budget { key, window, max }, 1)
        })
    };
    let wants: Vec<_> = [
        of(&here, "here", OF_ACCOUNT_HERE),
        of(&account, "account", OF_ACCOUNT),
        of(&address, "address", OF_ADDRESS),
    ]
    .concat();
    limits.reserve(now, &wants).await.map(Try).map_err(|exceeded| {
        let wait = exceeded.retry_after.as_secs().max(1);
        let message = format!("there were too many tries; try again in {}", words(wait));
        Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message).after(wait)
    })
}

impl Try {
    /// It succeeded, and does not count.
    pub(crate) async fn forgive(self, limits: &dyn Limits) {
        let used = vec![0; self.0.wants.len()];
        limits.settle(self.0, &used).await;
    }
}

/// Who has an address of IPv6 has the 64 bits behind it, too.
pub(crate) fn block(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.to_string(),
            None => {
                let [a, b, c, d, ..] = ip.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
        _ => address.to_owned(),
    }
}

fn words(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;
    use bartizan_store::MemoryLimits;

    use super::*;

    #[tokio::test]
    async fn waits_grow_and_success_is_forgiven() {
        let (cx, clock) = sim::cx(1);
        let limits = MemoryLimits::default();
        let wait = async |cx: &bartizan_core::Cx| {
            let refused = begin(&limits, cx.now(), "sign-in", "ada", "192.0.2.1").await;
            refused.err().and_then(|failure| failure.retry_after)
        };
        for _ in 0..100 {
            let forgiven = begin(&limits, cx.now(), "sign-in", "ada", "192.0.2.1").await;
            forgiven.expect("is let").forgive(&limits).await;
        }
        let mut waits = Vec::new();
        for _ in 0..60 {
            while let Some(seconds) = wait(&cx).await {
                waits.push(seconds);
                clock.advance_ms(i64::try_from(seconds).expect("short") * 1000);
            }
        }
        let longest = waits.iter().copied().max();
        assert!(waits.first().is_some_and(|first| *first <= 65), "{waits:?}");
        assert!(longest.is_some_and(|longest| longest > 3600), "{waits:?}");
    }

    #[tokio::test]
    async fn one_who_guesses_from_elsewhere_does_not_lock_a_person_out_at_once() {
        let (cx, _) = sim::cx(1);
        let limits = MemoryLimits::default();
        let mut refused = 0;
        for _ in 0..15 {
            let tried = begin(&limits, cx.now(), "sign-in", "ada", "192.0.2.66").await;
            refused += u32::from(tried.is_err());
        }
        assert_eq!(refused, 10);
        assert!(begin(&limits, cx.now(), "sign-in", "ada", "192.0.2.1").await.is_ok());
    }

    #[test]
    fn addresses_of_ipv6_count_by_their_network() {
        assert_eq!(block("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(block("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(block("192.0.2.1"), "192.0.2.1");
    }
}
