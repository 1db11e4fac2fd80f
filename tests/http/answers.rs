//! What an upstream may do: die, stall, send garbage or too much. The client gets
//! a whole answer or an error, never an unscreened byte, never a hang.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{
    self, Home, Reply,
    model::{Answer, Model, say, stream_of},
};

const BOUNDS: &str = "connect_ms_max = 500\nfirst_byte_ms_max = 1500\nidle_ms_max = 1500\n";

fn ask(answer: impl Fn() -> Answer + Send + Sync + 'static, stream: bool) -> Reply {
    let model = Model::new(move |_, _| answer());
    let home = Home::new(&model.url(), BOUNDS);
    let key = home.key("k");
    let server = home.serve();
    let mut body = common::chat("hi");
    body["stream"] = stream.into();
    let started = Instant::now();
    let reply = server.post("/v1/chat/completions", &key, &body);
    assert!(started.elapsed() < Duration::from_secs(30), "it hung for {:?}", started.elapsed());
    assert_eq!(server.home.run(&["ledger", "verify"]).status.code(), Some(0));
    reply
}

fn raw(text: &str) -> Answer {
    Answer::Raw(text.as_bytes().to_vec())
}

#[test]
fn garbage_and_cuts_are_errors_in_the_providers_form() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (what, answer) in [
        ("no HTTP", "what?\r\n\r\n".to_owned()),
        ("nothing", String::new()),
        ("no JSON", format!("{head}content-length: 5\r\n\r\nhello")),
        ("cut JSON", format!("{head}content-length: 500\r\n\r\n{{\"choices\":")),
        ("another shape", format!("{head}content-length: 14\r\n\r\n{{\"choices\": 7}}")),
        (
            "an encoding that was not asked for",
            format!("{head}content-encoding: br\r\ncontent-length: 2\r\n\r\n{{}}"),
        ),
    ] {
        let reply = ask(move || raw(&answer), false);
        assert!((500..600).contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
        assert!(reply.json()["error"]["message"].is_string(), "{what}: {}", reply.text());
    }
}

#[test]
fn an_upstream_that_does_not_stream_is_said() {
    let reply = ask(|| say("hello", &json!({"model": "m"})), true);
    assert_eq!(reply.status, 502);
    assert_eq!(reply.json()["error"]["code"], "upstream_does_not_stream", "{}", reply.text());
}

#[test]
fn a_stalled_stream_ends_with_an_error_event() {
    let stalled = || {
        let events: String = stream_of(&["One. ", "Two. "]).drain(..2).collect();
        let chunk = format!("{:x}\r\n{events}\r\n", events.len());
        raw(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
        ))
    };
    let reply = ask(stalled, true);
    assert_eq!(reply.status, 200);
    let text = reply.text();
    assert!(text.contains("\"error\""), "{text}");
    assert!(!text.contains("[DONE]"), "a cut stream looks whole: {text}");
}

#[test]
fn garbage_in_a_stream_ends_it_with_an_error_event() {
    let reply = ask(
        || Answer::Events(vec!["data: {not json}\n\n".to_owned(), "data: [DONE]\n\n".to_owned()]),
        true,
    );
    assert!(reply.text().contains("\"error\""), "{}", reply.text());
    assert!(!reply.text().contains("not json"), "{}", reply.text());
}

#[test]
fn an_answer_without_end_is_cut_at_the_bound() {
    let model = Model::new(|_, _| {
        let body = vec![b'x'; 2 << 20];
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            1_u64 << 30
        )
        .into_bytes();
        bytes.extend(body);
        Answer::Raw(bytes)
    });
    let home = Home::new(&model.url(), BOUNDS);
    let text = std::fs::read_to_string(home.config())
        .unwrap()
        .replace("[admin]", "answer_bytes_max = 1048576\n[admin]");
    std::fs::write(home.config(), text).unwrap();
    let key = home.key("k");
    let server = home.serve();
    let reply = server.chat(&key, "hi");
    assert_eq!(reply.status, 502, "{}", reply.text());
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
        let reply = ask(answer, false);
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
