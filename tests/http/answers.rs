//! What comes of an upstream's own errors, of its absence, and of its key. Faults beyond
//! these stand in `tests/sim`.

use serde_json::json;

use crate::common::{
    self, Home, Reply,
    model::{Answer, Model},
};

fn ask(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Reply {
    let model = Model::new(move |_, _| answer());
    let home = Home::new(&model.url(), "");
    let key = home.key("k");
    home.serve().chat(&key, "hi")
}

#[test]
fn the_providers_own_errors_pass_on_and_its_key_never_shows() {
    for (status, expected) in [(400, 400), (404, 404), (429, 429), (500, 502), (401, 502)] {
        let answer = move || {
            Answer::Json(
                status,
                json!({"error": {"message": "the provider says no", "type": "x", "code": "y"}}),
            )
        };
        let reply = ask(answer);
        assert_eq!(reply.status, expected, "{status}: {}", reply.text());
        assert!(reply.json()["error"]["message"].is_string());
    }
}

#[test]
fn another_target_takes_over_when_the_first_is_down() {
    let model = Model::saying("hello");
    let dead = common::free_port();
    let home = Home::new(
        &format!("http://127.0.0.1:{dead}"),
        &format!("[[routes.chat.targets]]\nurl = \"{}\"\npriority = 2\n", model.url()),
    );
    let key = home.key("k");
    let server = home.serve();
    for _ in 0..5 {
        assert_eq!(server.chat(&key, "hi").status, 200);
    }
    assert_eq!(model.seen().len(), 5);
}

#[test]
fn the_provider_gets_its_own_key_and_never_the_clients() {
    let model = Model::saying("hello");
    let home = Home::new(&model.url(), "key_file = \"provider.key\"\n");
    std::fs::write(home.dir.path().join("provider.key"), "sk-of-the-provider\n").unwrap();
    let key = home.key("k");
    let server = home.serve();
    assert_eq!(server.chat(&key, "hi").status, 200);
    let wire: String = model.seen().iter().map(|(path, body)| format!("{path} {body}")).collect();
    assert!(!wire.contains(&key));
    assert!(!home.log().contains("sk-of-the-provider"), "the provider's key is in the log");
    for file in std::fs::read_dir(home.data()).unwrap().flatten().filter(|f| f.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        let holds = |what: &str| bytes.windows(what.len()).any(|w| w == what.as_bytes());
        assert!(
            !holds("sk-of-the-provider") && !holds(&key),
            "a key stands in {}",
            file.path().display()
        );
    }
}

#[test]
fn the_log_says_of_which_request_an_upstream_failed() {
    let model = Model::new(|_, _| Answer::Json(200, json!(["no answer of this protocol"])));
    let home = Home::new(&model.url(), "");
    let key = home.key("k");
    let server = home.serve();
    let reply = server.chat(&key, "hi");
    assert_eq!(reply.json()["error"]["code"], "upstream_garbage", "{}", reply.text());
    let id = reply.header("x-bartizan-request-id").unwrap();
    let log = home.log();
    let line = log.lines().find(|line| line.contains("an upstream failed"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    let target = format!("127.0.0.1:{}", model.port);
    for said in [id, "chat", &target, "the answer is no object"] {
        assert!(line.contains(said), "no {said} in {line}");
    }
}
