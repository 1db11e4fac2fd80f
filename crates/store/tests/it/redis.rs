//! Redis as several nodes meet it: shared, killed, restarted, slow, full, locked, and away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bartizan_core::sim;
use bartizan_store::{
    Budget, Error, Limits, Reason, RedisLimits, RedisOptions, Reservation, Store, StoreSettings,
    WhenAway,
};

use crate::{
    CLASSES,
    limits::{at, budget, take},
    servers::RedisServer,
};

/// How long Redis may take to be found again.
const BACK_MAX: Duration = Duration::from_secs(30);
const PATIENT: RedisOptions = RedisOptions {
    when_away: WhenAway::Deny,
    patience: Duration::from_secs(20),
    clock: bartizan_store::LimitsClock::Redis,
};

fn hour(key: &str, max: u64) -> Budget {
    Budget { window: Duration::from_secs(3600), ..budget(key, max) }
}

fn node(server: &RedisServer) -> RedisLimits {
    RedisLimits::open(&server.url(), PATIENT).expect("an address")
}

async fn reserve(limits: &RedisLimits, budget: &Budget, amount: u64) -> Reservation {
    limits.reserve(at(0), &[(budget.clone(), amount)]).await.expect("within")
}

async fn back(limits: &RedisLimits) {
    let until = Instant::now() + BACK_MAX;
    while let Err(error) = limits.check().await {
        assert!(Instant::now() < until, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn away(limits: &RedisLimits) -> Error {
    let until = Instant::now() + BACK_MAX;
    loop {
        match limits.check().await {
            Err(error) => return error,
            Ok(()) => assert!(Instant::now() < until, "still there"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_together_grant_exactly_the_budget_whatever_their_clocks_say() {
    let Some(server) = RedisServer::start() else { return };
    let nodes = [Arc::new(node(&server)), Arc::new(node(&server))];
    let tasks: Vec<_> = (0..64_i64)
        .map(|n| {
            let limits = nodes[usize::try_from(n % 2).expect("small")].clone();
            // Half of the nodes are a year ahead.
            let now = at((n % 2) * 365 * 24 * 60 * 60 * 1000);
            tokio::spawn(async move {
                let mut passed = 0;
                for _ in 0..50 {
                    let wants = [(hour("all", 1000), 1), (hour("own", 1001), 1)];
                    match limits.reserve(now, &wants).await {
                        Ok(held) => passed += u32::from(held.counted),
                        Err(refused) => assert_eq!(refused.reason, Reason::UsedUp),
                    }
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
    take(&*nodes[1], at(0), &hour("own", 1001), 1).await.expect("all or nothing");
    take(&*nodes[0], at(0), &hour("own", 1001), 1).await.expect_err("used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_settles_the_other_may_use() {
    let Some(server) = RedisServer::start() else { return };
    let (one, other) = (node(&server), node(&server));
    let b = hour("tokens", 100);
    let held = reserve(&one, &b, 90).await;
    assert_ne!(held.at, at(0), "the time is Redis' own");
    let refused = take(&other, at(0), &b, 20).await.expect_err("reserved");
    assert_eq!((refused.limit, refused.reason), (100, Reason::UsedUp));
    one.settle(held, &[10]).await;
    let held = reserve(&other, &b, 90).await;
    other.settle(held, &[500]).await;
    take(&one, at(0), &b, 1).await.expect_err("the overdraft counts");
}

/// 64 tasks over two nodes reserve and settle; at the end exactly what was used is counted.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_settlements_over_two_nodes_add_up() {
    let Some(server) = RedisServer::start() else { return };
    let nodes = [Arc::new(node(&server)), Arc::new(node(&server))];
    let b = hour("tokens", 1_000_000);
    let tasks: Vec<_> = (0..64_u64)
        .map(|n| {
            let limits = nodes[usize::try_from(n % 2).expect("small")].clone();
            let b = b.clone();
            tokio::spawn(async move {
                for used in 0..20 {
                    let held = reserve(&limits, &b, 10).await;
                    limits.settle(held, &[used]).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ran");
    }
    let used = 64 * (0..20).sum::<u64>();
    take(&*nodes[0], at(0), &b, 1_000_000 - used + 1).await.expect_err("one too many");
    take(&*nodes[1], at(0), &b, 1_000_000 - used).await.expect("exactly the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_denies_at_once_and_comes_back_without_a_restart() {
    let Some(mut server) = RedisServer::start() else { return };
    let limits = node(&server);
    let b = hour("k", 10);
    let old = reserve(&limits, &b, 4).await;
    server.kill();
    let refused = take(&limits, at(0), &b, 1).await.expect_err("denied");
    assert_eq!((refused.reason, refused.limit), (Reason::Unavailable, 10));
    assert!(refused.retry_after > Duration::ZERO);
    let since = Instant::now();
    for _ in 0..100 {
        take(&limits, at(0), &b, 1).await.expect_err("denied");
    }
    assert!(since.elapsed() < Duration::from_secs(5), "nobody waits: {:?}", since.elapsed());
    let said = limits.check().await.expect_err("away").to_string();
    assert!(
        said.contains(&format!("Redis at `127.0.0.1:{}` cannot be reached", server.port)),
        "{said}"
    );
    drop(limits.reserve(at(0), &[]).await.expect("what has no limit passes"));

    server.restart();
    back(&limits).await;
    let new = reserve(&limits, &b, 10).await;
    // The old reservation was lost with the data: settling it gives back nothing of the new one.
    limits.settle(old, &[0]).await;
    take(&limits, at(0), &b, 1).await.expect_err("used up");
    limits.settle(new, &[9]).await;
    take(&limits, at(0), &b, 1).await.expect("settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_kept_its_data_goes_on_and_takes_what_was_owed() {
    let Some(mut server) = RedisServer::start() else { return };
    let limits = node(&server);
    let b = hour("k", 100);
    let less = reserve(&limits, &b, 50).await;
    let more = reserve(&limits, &b, 10).await;
    server.ask(&["SAVE"]);
    server.kill();
    // It is lost before anything is sent, so that both may be sent later.
    take(&limits, at(0), &b, 0).await.expect_err("away");
    limits.settle(less, &[20]).await;
    limits.settle(more, &[15]).await;
    server.restart();
    back(&limits).await;
    let until = Instant::now() + BACK_MAX;
    while take(&limits, at(0), &b, 65).await.is_err() {
        assert!(Instant::now() < until, "what was owed was not paid");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    take(&limits, at(0), &b, 1).await.expect_err("and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stops_is_waited_for_no_longer_than_the_patience() {
    let Some(server) = RedisServer::start() else { return };
    let limits = RedisLimits::open(&server.url(), RedisOptions::default()).expect("an address");
    back(&limits).await;
    let b = hour("k", 10);
    let held = reserve(&limits, &b, 1).await;
    server.signal("STOP");
    let since = Instant::now();
    let tasks = (0..64).map(|_| take(&limits, at(0), &b, 1));
    for refused in futures_util::future::join_all(tasks).await {
        assert_eq!(refused.expect_err("denied").reason, Reason::Unavailable);
    }
    limits.settle(held, &[5]).await;
    // Half a second is generous to a busy machine; without a bound it were for ever.
    assert!(since.elapsed() < Duration::from_millis(750), "{:?}", since.elapsed());
    server.signal("CONT");
    back(&limits).await;
    let mut passed = 0;
    for _ in 0..20 {
        passed += u32::from(take(&limits, at(0), &b, 1).await.is_ok());
    }
    assert!(passed <= 9, "what may have run stays counted: {passed}");
}

/// A settlement that was sent and not answered may have run. Done twice, one that gives back
/// would give away what others have.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_without_an_answer_is_never_counted_too_low() {
    let Some(server) = RedisServer::start() else { return };
    let limits = RedisLimits::open(&server.url(), RedisOptions::default()).expect("an address");
    back(&limits).await;
    // A script that Redis does not know does not run, and one that it knows does.
    for (known, counted_max) in [(false, 65), (true, 40)] {
        let key = format!("{known}");
        let (b, marker) = (hour(&key, 100), hour(&format!("last/{key}"), 10));
        let less = reserve(&limits, &b, 50).await;
        let more = reserve(&limits, &b, 10).await;
        let last = reserve(&limits, &marker, 10).await;
        server.signal("STOP");
        tokio::join!(limits.settle(less, &[20]), limits.settle(more, &[15]));
        // Known to be away, so that this waits its turn behind the others.
        limits.settle(last, &[9]).await;
        server.signal("CONT");
        let until = Instant::now() + BACK_MAX;
        while take(&limits, at(0), &marker, 1).await.is_err() {
            assert!(Instant::now() < until, "what was owed was not paid");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let used = if known { 35 } else { 65 };
        take(&limits, at(0), &b, 100 - used + 1).await.expect_err("too low");
        take(&limits, at(0), &b, 100 - counted_max).await.expect("too high");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_redis_forgot_are_sent_again() {
    let Some(server) = RedisServer::start() else { return };
    let limits = node(&server);
    let b = hour("k", 10);
    let held = reserve(&limits, &b, 10).await;
    server.ask(&["SCRIPT FLUSH"]);
    limits.settle(held, &[1]).await;
    server.ask(&["SCRIPT FLUSH"]);
    take(&limits, at(0), &b, 9).await.expect("settled and counted");
    take(&limits, at(0), &b, 1).await.expect_err("used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_denies_until_it_is_right_and_is_never_shown() {
    let Some(server) = RedisServer::with(&["--requirepass", "right"]) else { return };
    let url = format!("redis://:pass-of-test@127.0.0.1:{}", server.port);
    for url in [server.url(), url] {
        let limits = RedisLimits::open(&url, PATIENT).expect("an address");
        let refused = take(&limits, at(0), &budget("k", 1), 1).await.expect_err("denied");
        assert_eq!(refused.reason, Reason::Unavailable);
        let said = limits.check().await.expect_err("locked").to_string();
        assert!(!said.contains("pass-of-test"), "{said}");
        assert!(!format!("{limits:?}").contains("pass-of-test"), "{limits:?}");
    }
    let url = format!("redis://:pass-of-test@127.0.0.1:{}", server.port);
    let limits = RedisLimits::open(&url, PATIENT).expect("an address");
    away(&limits).await;
    server.ask(&["AUTH right", "CONFIG SET requirepass pass-of-test"]);
    back(&limits).await;
    take(&limits, at(0), &budget("k", 1), 1).await.expect("let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_cannot_write_is_away() {
    let Some(server) = RedisServer::start() else { return };
    let limits = node(&server);
    back(&limits).await;
    server.ask(&["CONFIG SET maxmemory 1"]);
    let refused = take(&limits, at(0), &budget("k", 1), 1).await.expect_err("full");
    assert_eq!(refused.reason, Reason::Unavailable);
    assert!(matches!(away(&limits).await, Error::Away { .. }));
    server.ask(&["CONFIG SET maxmemory 0"]);
    back(&limits).await;
    server.ask(&["REPLICAOF 127.0.0.1 1"]);
    let said = away(&limits).await.to_string();
    assert!(said.to_lowercase().contains("read"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_uncounted_where_the_operator_says_so() {
    let Some(mut server) = RedisServer::start() else { return };
    let options = RedisOptions { when_away: WhenAway::Allow, ..PATIENT };
    let limits = RedisLimits::open(&server.url(), options).expect("an address");
    let b = hour("k", 10);
    assert!(reserve(&limits, &b, 4).await.counted);
    server.kill();
    let uncounted = reserve(&limits, &b, 500).await;
    assert!(!uncounted.counted);
    server.restart();
    back(&limits).await;
    limits.settle(uncounted, &[1000]).await;
    assert!(reserve(&limits, &b, 10).await.counted, "nothing was counted meanwhile");
    take(&limits, at(0), &b, 1).await.expect_err("and now it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_learns_no_names_and_keeps_nothing_beyond_the_window() {
    let Some(server) = RedisServer::start() else { return };
    let limits = node(&server);
    let wants = [(budget("requests:default/chat/user/ann@example.org", 5), 1)];
    let held = limits.reserve(at(0), &wants).await.expect("within");
    limits.settle(held, &[2]).await;
    let all = server.ask(&["KEYS *"]);
    assert!(!all.contains("ann") && !all.contains("chat"), "{all}");
    let key = all.lines().find(|line| line.starts_with("bartizan:") && line.len() > 80);
    let key = key.expect("an account");
    let rests = server.ask(&[&format!("PTTL {key}")]);
    let rests = rests.trim_start_matches(':').lines().next().and_then(|n| n.parse::<i64>().ok());
    assert!((1..=18_000).contains(&rests.expect("a number")), "{rests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_that_redis_cannot_count_exactly_are_refused() {
    let Some(server) = RedisServer::start() else { return };
    let limits = node(&server);
    let vast = hour("vast", u64::MAX);
    let refused = take(&limits, at(0), &vast, 1 << 54).await.expect_err("never");
    assert_eq!(refused.reason, Reason::TooLarge);
    let held = reserve(&limits, &vast, 1 << 53).await;
    let refused = take(&limits, at(0), &vast, 1).await.expect_err("used up");
    assert_eq!(refused.reason, Reason::UsedUp);
    limits.settle(held, &[(1 << 53) - 1]).await;
    take(&limits, at(0), &vast, 1).await.expect("exactly");
    take(&limits, at(0), &vast, 1).await.expect_err("used up");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_without_its_password() {
    for url in ["http://:pass-of-test@h", "redis://:pass-of-test@h:port", "", "redis://h/x"] {
        let error = RedisLimits::open(url, PATIENT).expect_err(url);
        let said = format!("{error} {error:?}");
        assert!(said.contains("`store.redis_url` is no address of Redis"), "{said}");
        assert!(!said.contains("pass-of-test"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_redis_is_away_opens_and_denies_what_has_a_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let (cx, _) = sim::cx(1);
    // Nobody listens on port 1; nothing of TLS may panic either.
    for url in ["redis://127.0.0.1:1", "rediss://127.0.0.1:1"] {
        let settings = StoreSettings { redis_url: Some(url.to_owned()), ..Default::default() };
        let store = Store::open(&settings, dir.path(), CLASSES, &cx).await.expect("opened");
        let limits = store.limits();
        let refused = take(&*limits, at(0), &budget("k", 1), 1).await.expect_err("denied");
        assert_eq!(refused.reason, Reason::Unavailable);
        assert!(matches!(limits.check().await, Err(Error::Away { .. })));
        store.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_of_one_redis_share_their_limits() {
    let Some(server) = RedisServer::start() else { return };
    let settings = StoreSettings { redis_url: Some(server.url()), ..Default::default() };
    let (cx, _) = sim::cx(1);
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another")];
    let mut stores = Vec::new();
    for dir in &dirs {
        let store = Store::open(&settings, dir.path(), CLASSES, &cx).await.expect("opened");
        // The patience of a gateway is short; here the machine may be busy.
        while store.limits().check().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stores.push(store);
    }
    take(&*stores[0].limits(), at(0), &hour("k", 1), 1).await.expect("within");
    let refused = take(&*stores[1].limits(), at(0), &hour("k", 1), 1).await.expect_err("shared");
    assert_eq!(refused.reason, Reason::UsedUp);
}
