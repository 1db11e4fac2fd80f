//! How long to wait before another attempt.
//!
//! Source: Marc Brooker, Exponential Backoff And Jitter (AWS Architecture Blog, 2015):
//! 'full jitter', a random share of a bound that doubles.

use std::time::Duration;

use bartizan_core::Cx;
use http::HeaderMap;

/// LIMIT: what an upstream may ask us to wait; longer is as good as a refusal.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A random wait under a bound that doubles with each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait.
    pub base: Duration,
    /// The bound of every wait.
    pub max: Duration,
}

impl Backoff {
    /// The wait before attempt `attempt` + 1, where 1 was the first.
    pub fn wait(&self, cx: &Cx, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.max);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        // The bias of the remainder is under a part in 2^20 for bounds under hours.
        Duration::from_nanos(u64::from_le_bytes(cx.random()) % nanos.saturating_add(1).max(1))
    }
}

/// What the answer asks us to wait: `retry-after-ms`, or `retry-after` in seconds.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let millis = number("retry-after-ms").map(Duration::from_millis);
    let asked = millis.or_else(|| number("retry-after").map(Duration::from_secs))?;
    Some(asked.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_under_a_bound_that_doubles(seed in any::<u64>(), attempt in 1u32..100) {
            let (cx, _) = sim::cx(seed);
            let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(2) };
            let bound = Duration::from_millis(100 << (attempt - 1).min(10)).min(backoff.max);
            prop_assert!(backoff.wait(&cx, attempt) <= bound);
        }
    }

    #[test]
    fn waits_differ_and_spread_over_the_bound() {
        let (cx, _) = sim::cx(1);
        let backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(1) };
        let waits: Vec<_> = (0..200).map(|_| backoff.wait(&cx, 1)).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(100)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(900)));
        let none = Backoff { base: Duration::ZERO, max: Duration::ZERO };
        assert_eq!(none.wait(&cx, 1), Duration::ZERO);
    }

    #[test]
    fn an_upstream_may_ask_for_a_wait() {
        let asked = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, http::HeaderValue::from_static(value));
            retry_after(&headers)
        };
        assert_eq!(asked("retry-after", "20"), Some(Duration::from_secs(20)));
        assert_eq!(asked("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(asked("retry-after", "999999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(asked("retry-after", "-1"), None);
        assert_eq!(asked("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
