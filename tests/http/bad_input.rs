//! What bad input gets: a distinct message, the provider's status, nothing lost.

use std::collections::HashMap;

use serde_json::json;

use crate::common::{self, Home, model::Model};

/// Sends a body as it is; status, code and message.
fn send(home: &Home, key: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, String) {
    let bearer = format!("Bearer {key}");
    let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
    all.extend(headers);
    let reply =
        common::request(home.data_port, "POST", "/v1/chat/completions", &all, body).unwrap();
    let error = &reply.json()["error"];
    let text = |field: &str| error[field].as_str().unwrap_or("").to_owned();
    (reply.status, text("code"), text("message"))
}

/// A key that has expired, by the real clock: one that was never valid is refused.
fn expired_key(home: &Home) -> serde_json::Value {
    #[expect(clippy::disallowed_methods, reason = "the server goes by the real clock")]
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let until = now() + std::time::Duration::from_secs(3);
    let at = bartizan_core::Timestamp::from_millis(i64::try_from(until.as_millis()).unwrap());
    let made = home.json(&["keys", "create", "expired", "--expires-at", &at.to_string()]);
    std::thread::sleep(until.saturating_sub(now()));
    made
}

#[test]
fn each_kind_of_bad_input_gets_a_message_of_its_own() {
    let model = Model::saying("hello");
    let home = Home::new(
        &model.url(),
        "[routes.few]\nmodels = [\"few\"]\nper_key = { requests = 1, window_s = 3600 }\n[[routes.few.targets]]\nurl = \"http://127.0.0.1:1\"\n",
    );
    let key = home.key("one");
    let revoked = home.json(&["keys", "create", "revoked"]);
    home.json(&["keys", "revoke", revoked["key"]["id"].as_str().unwrap()]);
    let expired = expired_key(&home);
    let narrow = home.json(&["keys", "create", "narrow", "--model", "other-*"]);
    let secret = |made: &serde_json::Value| made["secret"].as_str().unwrap().to_owned();
    let server = home.serve();
    let good = common::chat("hi").to_string();
    let few = json!({"model": "few", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    send(&home, &key, &[], few.as_bytes());
    let nested = format!(r#"{{"model":"m","messages":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let twice = r#"{"model":"m","model":"n","messages":[]}"#;
    let unknown = format!("bz_default_{}", "x".repeat(43));
    type Case<'a> = (&'a str, u16, String, &'a [(&'a str, &'a str)], Vec<u8>);
    let cases: Vec<Case<'_>> = vec![
        ("malformed", 400, key.clone(), &[], b"{\"model\": ".to_vec()),
        (
            "no role",
            400,
            key.clone(),
            &[],
            br#"{"model": "m", "messages": [{"content": "hi"}]}"#.to_vec(),
        ),
        ("wrong type", 400, key.clone(), &[], br#"{"model": 7, "messages": []}"#.to_vec()),
        ("200 levels", 400, key.clone(), &[], nested.into_bytes()),
        ("invalid UTF-8", 400, key.clone(), &[], b"{\"model\": \"\xff\"}".to_vec()),
        ("duplicate key", 400, key.clone(), &[], twice.as_bytes().to_vec()),
        ("bad gzip", 400, key.clone(), &[("content-encoding", "gzip")], b"nope".to_vec()),
        (
            "unknown encoding",
            415,
            key.clone(),
            &[("content-encoding", "br")],
            good.clone().into_bytes(),
        ),
        ("revoked", 401, secret(&revoked), &[], good.clone().into_bytes()),
        ("expired", 401, secret(&expired), &[], good.clone().into_bytes()),
        ("unknown key", 401, unknown, &[], good.clone().into_bytes()),
        ("other model", 403, secret(&narrow), &[], good.clone().into_bytes()),
        ("over budget", 429, key.clone(), &[], few.into_bytes()),
    ];
    let mut messages = HashMap::new();
    for (what, status, key, headers, body) in cases {
        let (got, code, message) = send(&home, &key, headers, &body);
        assert_eq!(got, status, "{what}: {code} {message}");
        assert!(message.len() > 20, "{what}: {message}");
        assert!(!message.contains(&key), "{what}: the key is repeated in {message}");
        let before = messages.insert(message.clone(), what);
        assert_eq!(before, None, "`{what}` says the same as another: {message}");
    }
    // Nothing was lost: the server still answers, and the ledger still verifies.
    assert_eq!(server.chat(&key, "hi").status, 200);
    assert!(home.run(&["ledger", "verify"]).status.success());
}

#[test]
fn a_body_of_100_mb_is_refused_before_it_is_read() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let key = home.key("big");
    let server = home.serve();
    let body = vec![b' '; 100 << 20];
    let (status, code, message) = send(&home, &key, &[], &body);
    assert_eq!((status, code.as_str()), (413, "body_too_large"), "{message}");
    assert_eq!(server.chat(&key, "hi").status, 200);
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "pass_paths = [\"/v1/audio/speech\"]\n");
    // `pass_paths` above would belong to the target: the configuration is refused, and says so.
    let refused = home.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("pass_paths"),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );

    home.configure(&model.url(), "");
    let key = home.key("paths");
    let server = home.serve();
    let unknown = server.post("/v1/audio/speech", &key, &json!({}));
    assert_eq!(
        (unknown.status, unknown.json()["error"]["code"].as_str()),
        (404, Some("unknown_path"))
    );
    let bearer = format!("Bearer {key}");
    let method = common::request(
        home.data_port,
        "DELETE",
        "/v1/chat/completions",
        &[("authorization", &bearer)],
        b"",
    )
    .unwrap();
    assert_eq!(method.status, 405);
    assert!(model.seen().is_empty());
}

#[test]
fn what_the_gateway_cannot_see_is_refused_unless_the_route_allows_it() {
    let model = Model::saying("hello");
    let home = Home::new(
        &model.url(),
        &format!(
            "[routes.open]\nmodels = [\"open\"]\nallow_opaque = [\"file_id\"]\n[[routes.open.targets]]\nurl = \"{}\"\n",
            model.url()
        ),
    );
    let key = home.key("opaque");
    let server = home.serve();
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]});
    let refused = server.post("/v1/chat/completions", &key, &body("closed"));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["code"], "not_inspectable", "{}", refused.text());
    assert!(model.seen().is_empty());
    assert_eq!(server.post("/v1/chat/completions", &key, &body("open")).status, 200);
    let entries = home.run(&["ledger", "entries", "--format", "json"]);
    assert!(
        String::from_utf8_lossy(&entries.stdout).contains("file_id"),
        "the pass is not on record"
    );
}

#[test]
fn a_token_is_never_part_of_a_query() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let key = home.key("one");
    let server = home.serve();
    for token in [
        "' OR 1=1; --",
        "bz_default_' OR '1'='1",
        "bz_default_x' UNION SELECT * FROM records --",
        "bz_default'--_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "bz_default_%",
        "bz_%_%",
    ] {
        let reply = server.chat(token, "hi");
        assert_eq!(reply.status, 401, "{token}: {}", reply.text());
    }
    assert!(model.seen().is_empty(), "the model was asked");
    assert_eq!(server.chat(&key, "hi").status, 200);
}

#[test]
fn a_body_whose_chunks_cannot_be_read_is_not_said_to_have_ended() {
    use std::io::{Read, Write};
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "");
    let key = home.key("framing");
    let _server = home.serve();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", home.data_port)).unwrap();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0x3e\r\n{{}}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("misframed_body") && !answer.contains("ended before"), "{answer}");
}
