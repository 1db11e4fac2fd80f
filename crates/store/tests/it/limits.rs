//! Budgets: never more than their maximum, whoever asks and however fast.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bartizan_core::Timestamp;
use bartizan_store::{Budget, Exceeded, Limits, MemoryLimits, Reason};
use proptest::prelude::*;

const WINDOW: Duration = Duration::from_secs(16);

fn budget(key: &str, max: u64) -> Budget {
    Budget { key: key.to_owned(), window: WINDOW, max }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + millis)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

async fn take(
    limits: &MemoryLimits,
    now: Timestamp,
    budget: &Budget,
    amount: u64,
) -> Result<(), Exceeded> {
    limits.reserve(now, &[(budget.clone(), amount)]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_budget_passes_under_parallel_requests() {
    let limits: Arc<dyn Limits> = Arc::new(MemoryLimits::default());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let limits = limits.clone();
            tokio::spawn(async move {
                let mut passed = 0;
                for n in 0..50 {
                    let wants = [(budget("all", 1000), 1), (budget("own", 1001), 1)];
                    passed += u32::from(limits.reserve(at(n * 10), &wants).await.is_ok());
                    tokio::task::yield_now().await;
                }
                passed
            })
        })
        .collect();
    let mut passed = 0;
    for task in tasks {
        passed += task.await.expect("ran");
    }
    assert_eq!(passed, 1000);
    // All or nothing: what was refused by the first budget took nothing of the second.
    assert!(limits.reserve(at(500), &[(budget("own", 1001), 1)]).await.is_ok());
    assert!(limits.reserve(at(500), &[(budget("own", 1001), 1)]).await.is_err());
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back_and_then_it_passes() {
    let limits = MemoryLimits::default();
    let b = budget("k", 3);
    for ms in [0, 2500, 5000] {
        take(&limits, at(ms), &b, 1).await.expect("within");
    }
    let refused = take(&limits, at(6000), &b, 1).await.expect_err("used up");
    assert_eq!((refused.key.as_str(), refused.limit, refused.reason), ("k", 3, Reason::UsedUp));
    let wait = i64::try_from(refused.retry_after.as_millis()).expect("short");
    assert!(take(&limits, at(6000 + wait - 1), &b, 1).await.is_err(), "not a moment earlier");
    take(&limits, at(6000 + wait), &b, 1).await.expect("as promised");
    assert!(refused.retry_after <= WINDOW + WINDOW / 16, "{:?}", refused.retry_after);
    assert!(refused.to_string().contains("the limit of 3 for `k` is used up"), "{refused}");
}

#[tokio::test]
async fn settling_replaces_what_was_reserved_and_may_exceed() {
    let limits = MemoryLimits::default();
    let b = budget("tokens", 100);
    let reserve = async |amount| limits.reserve(at(0), &[(b.clone(), amount)]).await;
    let first = reserve(90).await.expect("within");
    assert!(reserve(20).await.is_err());
    limits.settle(first, &[10]).await;
    let second = reserve(90).await.expect("the rest came back");
    limits.settle(second, &[500]).await;
    assert!(reserve(1).await.is_err(), "the overdraft counts");
    let later = at(i64::try_from(WINDOW.as_millis()).expect("short") + 1000);
    take(&limits, later, &b, 100).await.expect("and is forgotten with its window");
}

#[tokio::test]
async fn a_reservation_that_is_dropped_or_settled_in_part_stays_taken() {
    let limits = MemoryLimits::default();
    let wants = [(budget("a", 10), 6), (budget("b", 10), 6)];
    drop(limits.reserve(at(0), &wants).await.expect("within"));
    assert!(limits.reserve(at(0), &wants).await.is_err());
    let wants = [(budget("c", 10), 6), (budget("d", 10), 6)];
    let held = limits.reserve(at(0), &wants).await.expect("within");
    limits.settle(held, &[1]).await;
    take(&limits, at(0), &budget("c", 10), 9).await.expect("settled");
    assert!(take(&limits, at(0), &budget("d", 10), 5).await.is_err(), "not settled");
}

#[tokio::test]
async fn more_than_the_whole_budget_is_refused_for_what_it_is() {
    let limits = MemoryLimits::default();
    let refused = take(&limits, at(0), &budget("k", 5), 6).await.expect_err("never");
    assert_eq!(refused.reason, Reason::TooLarge);
    take(&limits, at(0), &budget("k", 5), 5).await.expect("nothing was taken");
    let none = take(&limits, at(0), &budget("zero", 0), 1).await.expect_err("never");
    assert_eq!(none.reason, Reason::TooLarge);
    take(&limits, at(0), &budget("zero", 0), 0).await.expect("nothing of nothing");
}

#[tokio::test]
async fn the_same_budget_wanted_twice_counts_twice() {
    let limits = MemoryLimits::default();
    let wants = [(budget("k", 10), 6), (budget("k", 10), 6)];
    assert!(limits.reserve(at(0), &wants).await.is_err());
    take(&limits, at(0), &budget("k", 10), 10).await.expect("nothing was taken");
}

#[tokio::test]
async fn keys_are_bounded_and_expired_ones_make_room() {
    let limits = MemoryLimits::new(3);
    for key in ["a", "b", "c"] {
        take(&limits, at(0), &budget(key, 5), 1).await.expect("within");
    }
    let refused = take(&limits, at(1), &budget("d", 5), 1).await.expect_err("full");
    assert_eq!(refused.reason, Reason::Unavailable);
    take(&limits, at(1), &budget("a", 5), 1).await.expect("known keys go on");
    take(&limits, at(40_000), &budget("d", 5), 1).await.expect("the others ran out");
    assert_eq!(limits.keys(), 1);
}

#[tokio::test]
async fn a_clock_that_jumps_gives_nothing_away_and_locks_nobody_out() {
    let limits = MemoryLimits::default();
    let b = budget("k", 2);
    take(&limits, at(20_000), &b, 2).await.expect("within");
    assert!(take(&limits, at(10_000), &b, 1).await.is_err(), "back by less than a window");
    let year = 365 * 24 * 60 * 60 * 1000;
    take(&limits, at(year), &b, 2).await.expect("a year ahead");
    take(&limits, at(30_000_000), &b, 2).await.expect("and back: no year of waiting");
}

proptest! {
    /// Against a list of everything granted: no stretch of a window has more than the maximum,
    /// and nothing is refused that a window and a slot of quiet would allow.
    #[test]
    fn no_window_ever_has_more(steps in proptest::collection::vec((0i64..4000, 1u64..5, 0usize..3), 1..120), window_ms in 1u64..40_000, max in 1u64..12) {
        run(async {
            let limits = MemoryLimits::default();
            let window = Duration::from_millis(window_ms);
            let (window_ms, slot_ms) = (window_ms as i64, window_ms.div_ceil(16) as i64);
            let mut granted: HashMap<usize, Vec<(i64, u64)>> = HashMap::new();
            let mut now = 0;
            for (pause, amount, key) in steps {
                now += pause;
                let budget = Budget { key: key.to_string(), window, max };
                let list = granted.entry(key).or_default();
                let within = |span: i64| -> u64 {
                    list.iter().filter(|(at, _)| now - at < span).map(|(_, n)| n).sum()
                };
                match take(&limits, at(now), &budget, amount).await {
                    Ok(()) => {
                        assert!(within(window_ms) + amount <= max);
                        list.push((now, amount));
                    }
                    Err(_) if amount > max => {}
                    Err(refused) => {
                        // The slots may hold on a little longer, but never beyond two more.
                        assert!(within(window_ms.max(slot_ms * 16) + 2 * slot_ms) + amount > max);
                        let wait = refused.retry_after.as_millis() as i64;
                        assert!(wait > 0 && wait <= slot_ms * 17, "{wait}");
                    }
                }
            }
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn any_settlement_is_taken(reserved in 0u64..100, used in any::<u64>(), now in any::<i64>(), window in any::<u64>()) {
        run(async {
            let limits = MemoryLimits::default();
            let budget = Budget { key: "k".into(), window: Duration::from_millis(window), max: 100 };
            let wants = [(budget.clone(), reserved)];
            let held = limits.reserve(Timestamp::from_millis(now), &wants).await.expect("the first");
            limits.settle(held, &[used]).await;
            let rest = limits.reserve(Timestamp::from_millis(now), &[(budget, 100)]).await;
            assert_eq!(rest.is_ok(), used == 0);
        });
    }
}
