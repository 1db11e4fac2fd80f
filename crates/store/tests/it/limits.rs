//! Budgets: never more than their maximum, whoever asks and however fast. Every implementation
//! passes the same cases, in simulated time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bartizan_core::Timestamp;
use bartizan_store::{
    Budget, Exceeded, Limits, LimitsClock, MemoryLimits, Reason, RedisLimits, RedisOptions,
};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::servers::RedisServer;

pub(crate) const WINDOW: Duration = Duration::from_secs(16);

pub(crate) fn budget(key: &str, max: u64) -> Budget {
    Budget { key: key.to_owned(), window: WINDOW, max }
}

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + millis)
}

pub(crate) async fn take(
    limits: &dyn Limits,
    now: Timestamp,
    budget: &Budget,
    amount: u64,
) -> Result<(), Exceeded> {
    limits.reserve(now, &[(budget.clone(), amount)]).await.map(drop)
}

/// Redis in simulated time, with patience for a machine that has much to do.
fn simulated(server: &RedisServer) -> RedisLimits {
    let patience = Duration::from_secs(20);
    let options = RedisOptions { patience, clock: LimitsClock::Caller, ..Default::default() };
    RedisLimits::open(&server.url(), options).expect("an address")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

macro_rules! every_implementation {
    ($($case:ident,)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Arc::new(super::MemoryLimits::default())).await;
            })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let Some(server) = super::RedisServer::start() else { return };
                super::$case(super::Arc::new(super::simulated(&server))).await;
            })*
        }
    };
}

every_implementation! {
    exactly_the_budget_passes_under_parallel_requests,
    a_refusal_says_when_to_come_back_and_then_it_passes,
    settling_replaces_what_was_reserved_and_may_exceed,
    a_reservation_that_is_dropped_or_settled_in_part_stays_taken,
    a_settlement_that_comes_after_its_window_changes_nothing,
    more_than_the_whole_budget_is_refused_for_what_it_is,
    the_same_budget_wanted_twice_counts_twice,
    budgets_of_one_key_and_different_windows_are_apart,
    a_clock_that_jumps_gives_nothing_away_and_locks_nobody_out,
    nothing_wanted_is_nothing_refused,
}

async fn exactly_the_budget_passes_under_parallel_requests(limits: Arc<dyn Limits>) {
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

async fn a_refusal_says_when_to_come_back_and_then_it_passes(limits: Arc<dyn Limits>) {
    let b = budget("k", 3);
    for ms in [0, 2500, 5000] {
        take(&*limits, at(ms), &b, 1).await.expect("within");
    }
    let refused = take(&*limits, at(6000), &b, 1).await.expect_err("used up");
    assert_eq!((refused.key.as_str(), refused.limit, refused.reason), ("k", 3, Reason::UsedUp));
    let wait = i64::try_from(refused.retry_after.as_millis()).expect("short");
    assert!(take(&*limits, at(6000 + wait - 1), &b, 1).await.is_err(), "not a moment earlier");
    take(&*limits, at(6000 + wait), &b, 1).await.expect("as promised");
    assert!(refused.retry_after <= WINDOW + WINDOW / 16, "{:?}", refused.retry_after);
    assert!(refused.to_string().contains("the limit of 3 for `k` is used up"), "{refused}");
}

async fn settling_replaces_what_was_reserved_and_may_exceed(limits: Arc<dyn Limits>) {
    let b = budget("tokens", 100);
    let reserve = async |amount| limits.reserve(at(0), &[(b.clone(), amount)]).await;
    let first = reserve(90).await.expect("within");
    assert!(first.counted);
    assert_eq!(first.at, at(0));
    assert!(reserve(20).await.is_err());
    limits.settle(first, &[10]).await;
    let second = reserve(90).await.expect("the rest came back");
    limits.settle(second, &[500]).await;
    assert!(reserve(1).await.is_err(), "the overdraft counts");
    let later = at(i64::try_from(WINDOW.as_millis()).expect("short") + 1000);
    take(&*limits, later, &b, 100).await.expect("and is forgotten with its window");
}

async fn a_reservation_that_is_dropped_or_settled_in_part_stays_taken(limits: Arc<dyn Limits>) {
    let wants = [(budget("a", 10), 6), (budget("b", 10), 6)];
    drop(limits.reserve(at(0), &wants).await.expect("within"));
    assert!(limits.reserve(at(0), &wants).await.is_err());
    let wants = [(budget("c", 10), 6), (budget("d", 10), 6)];
    let held = limits.reserve(at(0), &wants).await.expect("within");
    limits.settle(held, &[1]).await;
    take(&*limits, at(0), &budget("c", 10), 9).await.expect("settled");
    assert!(take(&*limits, at(0), &budget("d", 10), 5).await.is_err(), "not settled");
}

async fn a_settlement_that_comes_after_its_window_changes_nothing(limits: Arc<dyn Limits>) {
    let b = budget("k", 10);
    let old = limits.reserve(at(0), &[(b.clone(), 10)]).await.expect("within");
    let other = limits.reserve(at(0), &[(budget("j", 10), 1)]).await.expect("within");
    take(&*limits, at(40_000), &b, 10).await.expect("it ran out");
    limits.settle(old, &[0]).await;
    assert!(take(&*limits, at(40_000), &b, 1).await.is_err(), "nothing came back");
    limits.settle(other, &[500]).await;
    take(&*limits, at(40_000), &budget("j", 10), 10).await.expect("nothing was added");
}

async fn more_than_the_whole_budget_is_refused_for_what_it_is(limits: Arc<dyn Limits>) {
    let refused = take(&*limits, at(0), &budget("k", 5), 6).await.expect_err("never");
    assert_eq!(refused.reason, Reason::TooLarge);
    take(&*limits, at(0), &budget("k", 5), 5).await.expect("nothing was taken");
    let none = take(&*limits, at(0), &budget("zero", 0), 1).await.expect_err("never");
    assert_eq!(none.reason, Reason::TooLarge);
    take(&*limits, at(0), &budget("zero", 0), 0).await.expect("nothing of nothing");
    let most = take(&*limits, at(0), &budget("k", 5), u64::MAX).await.expect_err("never");
    assert_eq!(most.reason, Reason::TooLarge);
    take(&*limits, at(0), &budget("vast", u64::MAX), 1 << 53).await.expect("within");
}

async fn the_same_budget_wanted_twice_counts_twice(limits: Arc<dyn Limits>) {
    let wants = [(budget("k", 10), 6), (budget("k", 10), 6)];
    assert!(limits.reserve(at(0), &wants).await.is_err());
    take(&*limits, at(0), &budget("k", 10), 10).await.expect("nothing was taken");
    let wants = [(budget("j", 10), 4), (budget("j", 10), 4)];
    let held = limits.reserve(at(0), &wants).await.expect("within");
    assert!(take(&*limits, at(0), &budget("j", 10), 3).await.is_err());
    limits.settle(held, &[1, 2]).await;
    take(&*limits, at(0), &budget("j", 10), 7).await.expect("both were settled");
    assert!(take(&*limits, at(0), &budget("j", 10), 1).await.is_err());
}

async fn budgets_of_one_key_and_different_windows_are_apart(limits: Arc<dyn Limits>) {
    take(&*limits, at(0), &budget("k", 1), 1).await.expect("within");
    let other = Budget { window: WINDOW * 2, ..budget("k", 1) };
    take(&*limits, at(0), &other, 1).await.expect("within");
    assert!(take(&*limits, at(20_000), &other, 1).await.is_err());
    take(&*limits, at(20_000), &budget("k", 1), 1).await.expect("the shorter ran out");
}

async fn a_clock_that_jumps_gives_nothing_away_and_locks_nobody_out(limits: Arc<dyn Limits>) {
    let b = budget("k", 2);
    take(&*limits, at(20_000), &b, 2).await.expect("within");
    assert!(take(&*limits, at(10_000), &b, 1).await.is_err(), "back by less than a window");
    let year = 365 * 24 * 60 * 60 * 1000;
    take(&*limits, at(year), &b, 2).await.expect("a year ahead");
    take(&*limits, at(30_000_000), &b, 2).await.expect("and back: no year of waiting");
}

async fn nothing_wanted_is_nothing_refused(limits: Arc<dyn Limits>) {
    let held = limits.reserve(at(0), &[]).await.expect("nothing to refuse");
    assert!(held.counted);
    limits.settle(held, &[]).await;
    limits.check().await.expect("it counts");
}

#[tokio::test]
async fn keys_in_memory_are_bounded_and_expired_ones_make_room() {
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

/// One step of a schedule: a pause, then amounts of budgets, and what was used of them.
#[derive(Clone, Debug)]
struct Step {
    pause: i64,
    wants: Vec<(usize, u64)>,
    /// How many steps later it is settled, if at all, and by how much a want.
    settled: Option<(usize, u64)>,
}

fn step() -> impl Strategy<Value = Step> {
    let wants = proptest::collection::vec((0usize..3, 1u64..5), 1..4);
    let settled = proptest::option::of((0usize..6, 0u64..7));
    (0i64..4000, wants, settled).prop_map(|(pause, wants, settled)| Step { pause, wants, settled })
}

/// Runs a schedule; what was answered, step by step.
async fn answers(
    limits: &dyn Limits,
    prefix: &str,
    steps: &[Step],
    window: Duration,
    max: u64,
) -> Vec<Option<(String, Reason, Duration)>> {
    let mut now = 0;
    let mut open = Vec::new();
    let mut answers = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        now += step.pause;
        let budget = |key| Budget { key: format!("{prefix}{key}"), window, max };
        let wants: Vec<_> = step.wants.iter().map(|(key, n)| (budget(key), *n)).collect();
        answers.push(match limits.reserve(at(now), &wants).await {
            Ok(held) => {
                let due = step.settled.map(|(later, used)| (n + later, used));
                open.extend(due.map(|(due, used)| (due, held, vec![used; wants.len()])));
                None
            }
            Err(refused) => {
                let key = refused.key.trim_start_matches(prefix).to_owned();
                Some((key, refused.reason, refused.retry_after))
            }
        });
        for (_, held, used) in open.extract_if(.., |(due, ..)| *due <= n) {
            limits.settle(held, &used).await;
        }
    }
    answers
}

/// Every granted amount in a list: the slow and obvious sliding window, by the exact time.
#[derive(Default)]
struct Model(HashMap<usize, Vec<(i64, u64)>>);

impl Model {
    fn within(&self, key: usize, now: i64, span: i64) -> u64 {
        let list = self.0.get(&key).map_or(&[][..], Vec::as_slice);
        list.iter().filter(|(at, _)| now - at < span).map(|(_, n)| n).sum()
    }
}

/// Against the model: no stretch of a window has more than the maximum, and nothing is refused
/// that a window and a slot of quiet would allow.
async fn keeps_to_the_model(
    limits: &dyn Limits,
    prefix: &str,
    steps: &[Step],
    window_ms: u64,
    max: u64,
) {
    let window = Duration::from_millis(window_ms);
    let (window_ms, slot_ms) = (window_ms as i64, window_ms.div_ceil(16) as i64);
    let mut model = Model::default();
    let mut now = 0;
    for step in steps {
        now += step.pause;
        let (key, amount) = step.wants[0];
        let budget = Budget { key: format!("{prefix}{key}"), window, max };
        match limits.reserve(at(now), &[(budget, amount)]).await {
            Ok(held) => {
                assert!(model.within(key, now, window_ms) + amount <= max);
                // What is not settled counts as reserved; what is, at once.
                let used = step.settled.map_or(amount, |(_, used)| used);
                limits.settle(held, &[used]).await;
                model.0.entry(key).or_default().push((now, used));
            }
            Err(_) if amount > max => {}
            Err(refused) => {
                // The slots may hold on a little longer, but never beyond two more.
                let longest = window_ms.max(slot_ms * 16) + 2 * slot_ms;
                assert!(model.within(key, now, longest) + amount > max);
                let wait = refused.retry_after.as_millis() as i64;
                assert!(wait > 0 && wait <= slot_ms * 17, "{wait}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_window_in_memory_ever_has_more(steps in proptest::collection::vec(step(), 1..120), window_ms in 1u64..40_000, max in 1u64..12) {
        runtime().block_on(keeps_to_the_model(&MemoryLimits::default(), "", &steps, window_ms, max));
    }

    #[test]
    fn any_settlement_is_taken(reserved in 0u64..100, used in any::<u64>(), now in any::<i64>(), window in any::<u64>()) {
        runtime().block_on(any_settlement(&MemoryLimits::default(), "k", reserved, used, now, window));
    }
}

async fn any_settlement(
    limits: &dyn Limits,
    key: &str,
    reserved: u64,
    used: u64,
    now: i64,
    window: u64,
) {
    let budget = Budget { key: key.into(), window: Duration::from_millis(window), max: 100 };
    let now = Timestamp::from_millis(now);
    let held = limits.reserve(now, &[(budget.clone(), reserved)]).await.expect("the first");
    limits.settle(held, &[used]).await;
    assert_eq!(limits.reserve(now, &[(budget, 100)]).await.is_ok(), used == 0);
}

/// Runs cases against one Redis, each on keys of its own.
fn over_redis<T: std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
    case: impl AsyncFn(&RedisLimits, &str, T),
) {
    let Some(server) = RedisServer::start() else { return };
    let runtime = runtime();
    let limits = runtime.block_on(async { simulated(&server) });
    let runs = AtomicU32::new(0);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    let result = TestRunner::new(config).run(&strategy, |value| {
        let prefix = format!("{}/", runs.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(case(&limits, &prefix, value));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_window_in_redis_ever_has_more() {
    let schedule = (proptest::collection::vec(step(), 1..60), 1u64..40_000, 1u64..12);
    over_redis(schedule, async |limits, prefix, (steps, window_ms, max)| {
        keeps_to_the_model(limits, prefix, &steps, window_ms, max).await;
    });
}

#[test]
fn redis_and_memory_answer_every_schedule_alike() {
    let schedule = (proptest::collection::vec(step(), 1..60), 1u64..40_000, 1u64..12);
    over_redis(schedule, async |limits, prefix, (steps, window_ms, max)| {
        let window = Duration::from_millis(window_ms);
        let expected = answers(&MemoryLimits::default(), prefix, &steps, window, max).await;
        assert_eq!(answers(limits, prefix, &steps, window, max).await, expected);
    });
}

#[test]
fn any_settlement_is_taken_by_redis() {
    let now = -(1i64 << 52)..1 << 52;
    let values = (0u64..100, any::<u64>(), now, any::<u64>());
    over_redis(values, async |limits, key, (reserved, used, now, window)| {
        any_settlement(limits, key, reserved, used, now, window).await;
    });
}
