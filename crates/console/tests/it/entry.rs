//! Who gets in, and what a wrong request is told.

use bartizan_console::{Trust, document};

use crate::house::{House, read};

/// Every operation of the document, with its path filled in.
fn operations() -> Vec<(String, String)> {
    let document = document();
    let mut out = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "019b76da-a800-715c-8289-ec2d0a9167ec");
        let path = path.replace("{index}", "0");
        for method in item.as_object().unwrap().keys() {
            out.push((method.to_uppercase(), path.clone()));
        }
    }
    out
}

#[tokio::test]
async fn without_the_token_no_operation_is_answered() {
    let house = House::new().await;
    let operations = operations();
    assert!(operations.len() >= 20, "{operations:?}");
    // All but the last digit is right.
    let mut near = house.token.clone();
    let last = near.pop();
    near.push(if last == Some('0') { '1' } else { '0' });
    let before = house.size();
    for (method, path) in &operations {
        for token in [None, Some(""), Some("bza_"), Some(near.as_str()), Some("bz_default_x")] {
            let answer = house.call_as(token, method, path, "{}").await;
            assert_eq!(answer.refused(), (401, "not_administrator".to_owned()), "{method} {path}");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
    }
    // Refusals are counted, not recorded one by one: nobody fills the ledger that way.
    assert!(house.size() - before <= 2, "{} entries", house.size() - before);
}

#[tokio::test]
async fn with_the_token_every_operation_is_served() {
    let house = House::new().await;
    for (method, path) in operations() {
        let answer = house.call(&method, &path, "{}").await;
        assert!(![401, 403, 405].contains(&answer.status), "{method} {path}: {}", answer.body);
        if answer.status == 404 {
            assert!(answer.message().contains("there is no"), "{method} {path}: {}", answer.body);
        }
        // The operation that makes another token ends this one.
        if path.ends_with("admin-token") {
            assert_eq!(house.get("/api/v1/status").await.status, 401);
            return;
        }
    }
}

#[tokio::test]
async fn the_socket_needs_no_token_and_health_and_the_document_neither() {
    let house = House::new().await;
    for (trust, path, status) in [
        (Trust::Local, "/api/v1/keys", 200),
        (Trust::Token, "/api/v1/keys", 401),
        (Trust::Token, "/api/v1/openapi.json", 200),
        (Trust::Token, "/healthz", 200),
        (Trust::Token, "/readyz", 200),
        (Trust::Token, "/metrics", 200),
    ] {
        let request = axum::http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(house.router(trust), request).await.unwrap();
        let answer = read(response).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn a_scheme_may_be_written_in_any_case_but_the_token_not_elsewhere() {
    let house = House::new().await;
    for (header, value, status) in [
        ("authorization", format!("bearer {}", house.token), 200),
        ("authorization", format!("Basic {}", house.token), 401),
        ("authorization", house.token.clone(), 401),
        ("x-api-key", house.token.clone(), 401),
    ] {
        let request = axum::http::Request::get("/api/v1/status").header(header, value);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let router = house.router(Trust::Token);
        let answer = read(tower::ServiceExt::oneshot(router, request).await.unwrap()).await;
        assert_eq!(answer.status, status, "{header}");
    }
}

#[tokio::test]
async fn a_new_token_ends_the_old_one_and_is_made_once() {
    let mut house = House::new().await;
    assert!(house.admin.ensure_token().await.unwrap().is_none(), "there is one already");
    house.clock.advance_ms(1);
    let renewed = house.call("POST", "/api/v1/admin-token", "").await.ok();
    let new = renewed["token"].as_str().unwrap().to_owned();
    assert_eq!(house.get("/api/v1/status").await.status, 401);
    house.token = new;
    assert_eq!(house.get("/api/v1/status").await.status, 200);
}

#[tokio::test]
async fn each_mistake_is_told_apart() {
    let house = House::new().await;
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000));
    let deep = format!(r#"{{"name":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for (method, path, body, status, code, says) in [
        ("GET", "/api/v1/kees", "", 404, "not_found", "there is no `/api/v1/kees`"),
        ("DELETE", "/api/v1/keys", "", 405, "method_not_allowed", "`DELETE` is not served"),
        ("GET", "/api/v1/keys?tenant=Acme", "", 400, "invalid", "`Acme` cannot name a tenant"),
        ("GET", "/api/v1/keys?tenant=a&tenant=b", "", 400, "invalid", "more than once"),
        ("GET", "/api/v1/keys?tenat=a", "", 400, "invalid", "`tenat` is no parameter"),
        ("POST", "/api/v1/keys?tenat=a", "{}", 400, "invalid", "`tenat` is no parameter"),
        ("GET", "/api/v1/decisions?tenat=a", "", 400, "invalid", "unknown field `tenat`"),
        ("GET", "/api/v1/decisions?verdct=block", "", 400, "invalid", "unknown field `verdct`"),
        ("GET", "/api/v1/decisions?limit=many", "", 400, "invalid", "the query: limit: invalid"),
        ("GET", "/api/v1/decisions?limit=501", "", 400, "invalid", "expected 1 to 500"),
        ("GET", "/api/v1/decisions?after=made-up", "", 400, "invalid", "no cursor of this query"),
        ("GET", "/api/v1/approvals?state=waiting", "", 400, "invalid", "unknown variant `waiting`"),
        ("GET", "/api/v1/decisions/17", "", 400, "invalid", "`17` is not an id"),
        ("GET", "/api/v1/ledger/entries/first/proof", "", 400, "invalid", "`first` is no index"),
        ("GET", "/api/v1/ledger/entries/999/proof", "", 404, "not_found", "there is no entry 999"),
        ("GET", "/api/v1/ledger/consistency?old=9&new=3", "", 400, "invalid", "from size 9 to 3"),
        ("POST", "/api/v1/keys", "{", 400, "invalid", "the body cannot be read"),
        ("POST", "/api/v1/keys", r#"{"name":"a","name":"b"}"#, 400, "invalid", "stands twice"),
        ("POST", "/api/v1/keys", &deep, 400, "invalid", "nested deeper"),
        ("POST", "/api/v1/keys", r#"{"nam":"a"}"#, 400, "invalid", "unknown field `nam`"),
        ("POST", "/api/v1/keys", r#"{"name":7}"#, 400, "invalid", "`name` in the body"),
        ("POST", "/api/v1/keys", r#"{"name":""}"#, 400, "invalid", "1 to 128 bytes"),
        ("POST", "/api/v1/keys", &big, 413, "too_large", "larger than"),
        (
            "POST",
            "/api/v1/database",
            r#"{"work":"backup","to":"/x"}"#,
            400,
            "invalid",
            "backups go into",
        ),
        ("POST", "/api/v1/database", r#"{"work":"dance"}"#, 400, "invalid", "unknown variant"),
    ] {
        let answer = house.call(method, path, body).await;
        assert_eq!(answer.refused(), (status, code.to_owned()), "{method} {path}: {}", answer.body);
        assert!(answer.message().contains(says), "{method} {path}: {}", answer.message());
        let id = answer.json()["error"]["request_id"].clone();
        assert_eq!(Some(answer.headers["x-bartizan-request-id"].to_str().unwrap()), id.as_str());
    }
}
