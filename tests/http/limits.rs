//! Limits hold exactly, however many ask at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::common::{Home, model::Model};

fn with(limits: &str) -> (Model, Home) {
    let model = Model::saying("hello");
    let home = Home::new(
        &model.url(),
        &format!(
            "[routes.limited]\nmodels = [\"limited\"]\nend_user_header = \"x-user\"\n{limits}\n[[routes.limited.targets]]\nurl = \"{}\"\n[prices.limited]\ninput_micros = 1000000\noutput_micros = 1000000\n",
            model.url()
        ),
    );
    (model, home)
}

fn ask(server: &crate::common::Server<'_>, key: &str, user: &str) -> crate::common::Reply {
    let body = json!({"model": "limited", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("x-user", user)];
    crate::common::request(
        server.home.data_port,
        "POST",
        "/v1/chat/completions",
        &headers,
        body.as_bytes(),
    )
    .unwrap()
}

#[test]
fn no_more_requests_pass_than_the_budget_under_64_clients() {
    let (model, home) = with("per_key = { requests = 50, window_s = 3600 }");
    let key = home.key("many");
    let server = home.serve();
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let reply = ask(&server, &key, "ann");
                    match reply.status {
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        429 => {
                            assert!(reply.header("retry-after").is_some());
                            0
                        }
                        other => panic!("{other}: {}", reply.text()),
                    };
                }
            });
        }
    });
    assert_eq!(passed.load(Ordering::SeqCst), 50);
    assert_eq!(model.seen().len(), 50);
}

#[test]
fn tokens_are_reserved_then_settled_by_what_was_used() {
    // A request reserves about 30 tokens (its body's and 10 of the answer) and uses 12.
    let (_model, home) = with("per_key = { tokens = 100, window_s = 3600 }");
    let key = home.key("tokens");
    let server = home.serve();
    let passed = (0..20).filter(|_| ask(&server, &key, "ann").status == 200).count();
    assert!((6..=8).contains(&passed), "{passed} requests of 12 tokens passed a budget of 100");
}

#[test]
fn cost_counts_by_the_price_table() {
    // Used: 12 tokens at 1 a token, in millionths.
    let (_model, home) = with("per_key = { cost_micros = 100, window_s = 3600 }");
    let key = home.key("cost");
    let server = home.serve();
    let passed = (0..20).filter(|_| ask(&server, &key, "ann").status == 200).count();
    assert!((6..=8).contains(&passed), "{passed}");
}

#[test]
fn each_end_user_has_a_budget_of_their_own() {
    let (_model, home) = with("per_end_user = { requests = 2, window_s = 3600 }");
    let key = home.key("users");
    let server = home.serve();
    let passed = |user: &str| (0..5).filter(|_| ask(&server, &key, user).status == 200).count();
    assert_eq!((passed("ann"), passed("bob")), (2, 2));
}

#[test]
fn a_limit_that_one_request_may_exceed_alone_says_so() {
    for (limits, says) in [
        ("per_key = { tokens = 20 }", "tokens, and the limit is 20"),
        ("per_key = { cost_micros = 1 }", "millionths of cost, and the limit is 1"),
        ("per_key = { requests = 0 }", "1 requests, and the limit is 0"),
    ] {
        let (model, home) = with(limits);
        let key = home.key("small");
        let server = home.serve();
        let reply = ask(&server, &key, "ann");
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["code"]), (400, &json!("limit_too_small")), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("may need up to") && message.contains(says), "{message}");
        assert_eq!(reply.header("retry-after"), None);
        assert!(model.seen().is_empty());
    }
}

#[test]
fn nobody_is_told_to_wait_for_longer_than_the_window() {
    let (_model, home) = with("per_key = { requests = 1, window_s = 60 }");
    let key = home.key("wait");
    let server = home.serve();
    assert_eq!(ask(&server, &key, "ann").status, 200);
    let reply = ask(&server, &key, "ann");
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(reply.status == 429 && (50..=60).contains(&wait), "{wait}");
}
