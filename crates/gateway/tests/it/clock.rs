//! A clock that jumps, years ahead and years back: the ledger takes entries and
//! verifies, and no budget stays refused until the clock comes there again.

use std::time::Duration;

use bartizan_core::sim;
use bartizan_ledger::{Entry, Ledger, Settings, verify};
use bartizan_store::{Budget, Limits, MemoryLimits};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The last one ends before 1970.
const JUMPS_DAYS: [i64; 6] = [0, 3650, -3650, -365, 730, -40_000];

#[test]
fn the_ledger_takes_entries_at_any_time_and_verifies() {
    let dir = tempfile::tempdir().expect("a directory");
    let (cx, clock) = sim::cx(1);
    let settings = Settings { origin: "clock.test/1".to_owned(), previous: None, key: None };
    let mut key = None;
    for days in JUMPS_DAYS {
        clock.advance_ms(days * DAY_MS);
        // Each at a start of its own: what was written at another time is read again.
        let (ledger, _) = Ledger::open(dir.path(), &settings, &cx).expect("opened");
        for _ in 0..3 {
            let written = ledger.append(Entry::new("test.jump").actor("clock")).expect("taken");
            let _sealed = written.wait().expect("written");
            clock.advance_ms(-1000);
        }
        let key = key.get_or_insert_with(|| ledger.verifier()).clone();
        drop(ledger);
        let report = verify::directory(dir.path(), &key, &verify::Options::default());
        assert!(report.expect("read").is_intact(), "after a jump of {days} days");
    }
}

#[tokio::test]
async fn a_budget_comes_free_within_two_windows_whatever_the_clock_does() {
    let (cx, clock) = sim::cx(1);
    let limits = MemoryLimits::default();
    let window = Duration::from_secs(60);
    let wants = [(Budget { key: "k".to_owned(), window, max: 2 }, 1)];
    for jump_ms in
        JUMPS_DAYS.map(|days| days * DAY_MS).into_iter().chain([30_000, -30_000, -61_000])
    {
        clock.advance_ms(jump_ms);
        let refused = loop {
            if let Err(refused) = limits.reserve(cx.now(), &wants).await {
                break refused;
            }
        };
        assert!(refused.retry_after <= 2 * window + window / 8, "{jump_ms}: {refused:?}");
        clock.advance_ms(i64::try_from(refused.retry_after.as_millis()).expect("short"));
        assert!(limits.reserve(cx.now(), &wants).await.is_ok(), "after a jump of {jump_ms} ms");
    }
}
