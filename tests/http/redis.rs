//! Limits that gateways share through Redis, and what happens while it is away.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    common::{Home, Reply, Server, model::Model, request},
    servers::RedisServer,
};

/// How long Redis may take to be found again.
const BACK_MAX: Duration = Duration::from_secs(30);

/// A gateway whose end users share budgets in this Redis; every other model has no limit.
fn home(model: &Model, redis: &str, more: &str) -> Home {
    Home::new(
        &model.url(),
        &format!(
            "[store]\nredis_url = \"{redis}\"\n{more}\n[routes.limited]\nmodels = [\"limited\"]\nend_user_header = \"x-user\"\n\
             per_end_user = {{ requests = 50, window_s = 3600 }}\n[[routes.limited.targets]]\nurl = \"{}\"\n",
            model.url()
        ),
    )
}

fn ask(server: &Server<'_>, key: &str, user: &str) -> Reply {
    let body = json!({"model": "limited", "messages": [{"role": "user", "content": "hi"}]});
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("x-user", user)];
    let body = body.to_string();
    let port = server.home.data_port;
    request(port, "POST", "/v1/chat/completions", &headers, body.as_bytes()).unwrap()
}

/// Asks until Redis is known to be back.
fn ask_until_counted(server: &Server<'_>, key: &str, user: &str) -> Reply {
    let until = Instant::now() + BACK_MAX;
    loop {
        let reply = ask(server, key, user);
        if reply.status != 503 {
            return reply;
        }
        assert!(Instant::now() < until, "{}\n{}", reply.text(), server.home.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn times(log: &str, said: &str) -> usize {
    log.matches(said).count()
}

#[test]
fn two_gateways_let_no_more_pass_than_one_budget_under_64_clients() {
    let Some(redis) = RedisServer::start() else { return };
    let model = Model::saying("hello");
    let homes = [home(&model, &redis.url(), ""), home(&model, &redis.url(), "")];
    let keys = homes.each_ref().map(|home| home.key("many"));
    let servers = homes.each_ref().map(Home::serve);
    for (server, key) in servers.iter().zip(&keys) {
        assert_eq!(ask_until_counted(server, key, "somebody else").status, 200);
    }
    let (passed, unknown) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (server, key) = (&servers[n % 2], &keys[n % 2]);
            let (passed, unknown) = (&passed, &unknown);
            scope.spawn(move || {
                for _ in 0..3 {
                    let reply = ask(server, key, "ann");
                    match reply.status {
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        429 => 0,
                        // A busy machine: the answer came too late, and may have been a grant.
                        503 => unknown.fetch_add(1, Ordering::SeqCst),
                        other => panic!("{other}: {}", reply.text()),
                    };
                }
            });
        }
    });
    let (passed, unknown) = (passed.into_inner(), unknown.into_inner());
    assert!(passed <= 50 && passed + unknown >= 50, "{passed} passed, {unknown} unknown");
    for (server, key) in servers.iter().zip(&keys) {
        let refused = ask_until_counted(server, key, "ann");
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (429, &json!("over_limit")));
    }
}

#[test]
fn while_redis_is_away_what_has_a_limit_is_denied_and_it_is_said() {
    let Some(mut redis) = RedisServer::start() else { return };
    let model = Model::saying("hello");
    let home = home(&model, &redis.url(), "");
    let key = home.key("k");
    let server = home.serve();
    assert_eq!(ask_until_counted(&server, &key, "ann").status, 200);
    let said = times(&home.log(), "Redis is away");
    redis.kill();
    let seen = model.seen().len();
    for _ in 0..10 {
        let denied = ask(&server, &key, "ann");
        assert_eq!(denied.status, 503, "{}", denied.text());
        assert_eq!(denied.header("retry-after"), Some("1"));
        let error = &denied.json()["error"];
        assert_eq!(error["code"], "limits_unavailable");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("cannot be counted now"), "{message}");
    }
    assert_eq!(model.seen().len(), seen, "nothing went upstream");
    assert_eq!(server.chat(&key, "hi").status, 200, "what has no limit passes");
    let log = home.log();
    let denied = times(&log, "Redis is away: requests with a limit are denied");
    assert_eq!(denied - said, 1, "{log}");

    redis.restart();
    assert_eq!(ask_until_counted(&server, &key, "ann").status, 200);
    assert!(times(&home.log(), "Redis is back") > said, "{}", home.log());
    // The refusals are in the ledger.
    let entries = home.run(&["ledger", "entries", "--format", "json"]).stdout;
    assert!(String::from_utf8_lossy(&entries).contains("limits_unavailable"));
}

#[test]
fn an_operator_may_let_requests_go_on_uncounted_and_the_ledger_says_so() {
    let Some(mut redis) = RedisServer::start() else { return };
    let model = Model::saying("hello");
    let home = home(&model, &redis.url(), "limits_when_away = \"allow\"");
    let key = home.key("k");
    let uncounted = || {
        let entries = home.run(&["ledger", "entries", "--format", "json"]).stdout;
        times(&String::from_utf8(entries).unwrap(), "\"limits\":\"uncounted\"")
    };
    let server = home.serve();
    let until = Instant::now() + BACK_MAX;
    while times(&home.log(), "Redis counts the limits") == 0 {
        assert!(Instant::now() < until, "{}", home.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(ask(&server, &key, "ann").status, 200);
    let (before, said) = (uncounted(), times(&home.log(), "Redis is away"));
    redis.kill();
    for _ in 0..3 {
        assert_eq!(ask(&server, &key, "ann").status, 200);
    }
    assert_eq!(server.chat(&key, "hi").status, 200, "what has no limit passes");
    assert_eq!(uncounted() - before, 3);
    let log = home.log();
    assert_eq!(times(&log, "Redis is away: requests go on UNCOUNTED") - said, 1, "{log}");
}

#[test]
fn a_gateway_starts_without_its_redis_says_so_and_finds_it_later() {
    let Some(mut redis) = RedisServer::start() else { return };
    redis.kill();
    let model = Model::saying("hello");
    let url = redis.url().replace("redis://", "redis://:pass-of-test@");
    let home = home(&model, &url, "");
    let key = home.key("k");
    let server = home.serve();
    assert_eq!(ask(&server, &key, "ann").status, 503);
    assert_eq!(server.chat(&key, "hi").status, 200, "what has no limit passes");
    let log = home.log();
    assert_eq!(times(&log, "Redis is away"), 1, "{log}");
    redis.restart();
    redis.ask(&["CONFIG SET requirepass pass-of-test"]);
    assert_eq!(ask_until_counted(&server, &key, "ann").status, 200);
    assert!(!home.log().contains("pass-of-test"));
}
