//! A circuit breaker: a target that keeps failing is left alone for a while, then
//! tried with one request.
//!
//! Source: Michael Nygard, Release It! (2007), chapter 5.2, 'Circuit Breaker'.
//!
//! Failures are counted in a row, not by rate: a row is understood at once by who
//! reads the log, and a target that fails half of the time still answers half.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::Timestamp;

/// Each rest in a row is twice as long as the one before, up to so many times.
const RESTS_DOUBLED_MAX: u32 = 5;

/// How a target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes requests.
    Closed,
    /// It is left alone until then.
    Open { until: Timestamp },
    /// One request tries it.
    HalfOpen,
}

impl Condition {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

#[derive(Debug)]
struct State {
    condition: Condition,
    /// Failures in a row while closed.
    failures: u32,
    /// Rests in a row.
    rests: u32,
}

/// The breaker of one target.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures_max: u32,
    rest: Duration,
    state: Mutex<State>,
}

impl Breaker {
    /// A closed breaker; one that never opens when `failures_max` is 0.
    pub(crate) fn new(failures_max: u32, rest: Duration) -> Self {
        let state = State { condition: Condition::Closed, failures: 0, rests: 0 };
        Self { failures_max, rest, state: Mutex::new(state) }
    }

    /// Whether a request may go now. Where that is the one that tries, no other may
    /// until it ended in [`Breaker::succeeded`], [`Breaker::failed`] or [`Breaker::left`].
    pub(crate) fn admits(&self, now: Timestamp) -> Result<(), Timestamp> {
        self.with(|state| match state.condition {
            Condition::Closed => Ok(()),
            Condition::Open { until } if now >= until || self.is_beyond(now, until) => {
                state.condition = Condition::HalfOpen;
                Ok(())
            }
            Condition::Open { until } => Err(until),
            Condition::HalfOpen => Err(now.after(self.rest)),
        })
    }

    /// Whether a rest would end later than any rest can: then the clock was set back
    /// since it began, and it must not last until the clock comes there again.
    fn is_beyond(&self, now: Timestamp, until: Timestamp) -> bool {
        now.after(self.rest.saturating_mul(1 << RESTS_DOUBLED_MAX)) < until
    }

    /// The head of a good answer came: others may follow before its body has ended,
    /// which may take long. The next failure opens it again.
    pub(crate) fn answered(&self) {
        self.with(|state| {
            if state.condition == Condition::HalfOpen {
                state.condition = Condition::Closed;
                state.failures = self.failures_max.saturating_sub(1);
            }
        });
    }

    pub(crate) fn succeeded(&self) {
        self.with(|state| {
            *state = State { condition: Condition::Closed, failures: 0, rests: 0 };
        });
    }

    pub(crate) fn failed(&self, now: Timestamp) {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            let opens = match state.condition {
                Condition::HalfOpen => true,
                Condition::Closed => self.failures_max > 0 && state.failures >= self.failures_max,
                // A request that began before it opened.
                Condition::Open { .. } => false,
            };
            if opens {
                let doublings = state.rests.min(RESTS_DOUBLED_MAX);
                let until = now.after(self.rest.saturating_mul(1 << doublings));
                let rests = state.rests.saturating_add(1);
                *state = State { condition: Condition::Open { until }, failures: 0, rests };
            }
        });
    }

    /// A request ended that says nothing about the target: its client left.
    pub(crate) fn left(&self, now: Timestamp) {
        self.with(|state| {
            if state.condition == Condition::HalfOpen {
                state.condition = Condition::Open { until: now };
            }
        });
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.condition() == Condition::Closed
    }

    pub(crate) fn condition(&self) -> Condition {
        self.with(|state| state.condition)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = Breaker::new(3, REST);
        for _ in 0..10 {
            breaker.failed(at(0));
            breaker.failed(at(0));
            breaker.succeeded();
        }
        assert_eq!(breaker.condition(), Condition::Closed);
        for _ in 0..3 {
            assert_eq!(breaker.admits(at(0)), Ok(()));
            breaker.failed(at(0));
        }
        assert_eq!(breaker.condition(), Condition::Open { until: at(10) });
        assert_eq!(breaker.admits(at(9)), Err(at(10)));
    }

    #[test]
    fn one_request_tries_it_and_decides() {
        let breaker = Breaker::new(1, REST);
        breaker.failed(at(0));
        assert_eq!(breaker.admits(at(10)), Ok(()));
        assert_eq!(breaker.condition(), Condition::HalfOpen);
        assert!(breaker.admits(at(10)).is_err());
        breaker.failed(at(11));
        assert_eq!(breaker.condition(), Condition::Open { until: at(31) });
        assert_eq!(breaker.admits(at(31)), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.condition(), breaker.admits(at(31))), (Condition::Closed, Ok(())));
    }

    #[test]
    fn a_good_head_lets_others_in_and_the_next_failure_opens_it_for_longer() {
        let breaker = Breaker::new(3, REST);
        (0..3).for_each(|_| breaker.failed(at(0)));
        assert_eq!(breaker.admits(at(10)), Ok(()));
        breaker.answered();
        assert_eq!(breaker.admits(at(10)), Ok(()));
        breaker.failed(at(11));
        assert_eq!(breaker.condition(), Condition::Open { until: at(31) });
    }

    #[test]
    fn a_clock_that_jumps_does_not_make_a_rest_last() {
        let breaker = Breaker::new(1, REST);
        const YEAR: i64 = 365 * 24 * 3600;
        // It failed while the clock was a year ahead.
        breaker.failed(at(YEAR));
        assert_eq!(breaker.admits(at(0)), Ok(()));
        breaker.failed(at(1));
        assert!(breaker.admits(at(2)).is_err());
        assert_eq!(breaker.admits(at(YEAR)), Ok(()));
    }

    #[test]
    fn one_that_tried_and_left_makes_room_for_another() {
        let breaker = Breaker::new(1, REST);
        breaker.failed(at(0));
        assert_eq!(breaker.admits(at(10)), Ok(()));
        breaker.left(at(12));
        assert_eq!(breaker.admits(at(12)), Ok(()));
    }

    #[test]
    fn a_breaker_of_zero_never_opens() {
        let breaker = Breaker::new(0, REST);
        (0..100).for_each(|_| breaker.failed(at(0)));
        assert_eq!(breaker.admits(at(0)), Ok(()));
    }

    proptest! {
        /// Whatever happens, a target that is left in peace is tried again in bounded time.
        #[test]
        fn no_rest_is_for_ever(steps in proptest::collection::vec((0u8..5, 0i64..30), 0..200)) {
            let breaker = Breaker::new(2, REST);
            let (mut now, mut trying) = (0, false);
            for (step, wait) in steps {
                now += wait;
                match step {
                    0 => trying |= breaker.admits(at(now)).is_ok(),
                    1 => { breaker.failed(at(now)); trying = false; }
                    2 => {
                        breaker.succeeded();
                        trying = false;
                    }
                    3 => breaker.answered(),
                    _ => { breaker.left(at(now)); trying = false; }
                }
            }
            if trying {
                breaker.left(at(now));
            }
            let longest = i64::try_from(REST.as_secs()).expect("short") << RESTS_DOUBLED_MAX;
            prop_assert_eq!(breaker.admits(at(now + longest)), Ok(()));
        }
    }
}
