//! The official SDKs against the gateway, in front of a model that speaks both
//! protocols. `BARTIZAN_TEST_PYTHON` names a Python that has the packages;
//! `tests/run.sh` makes one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::process::Command;

use common::{
    Home, Server, free_port,
    model::{Answer, Model, say, stream_of},
};
use serde_json::{Value, json};

const BREAD: &str = "Mix flour, water, salt and yeast.";

/// An access key of the right form, made here so that it stands nowhere in one piece.
fn leak() -> String {
    format!("Here is the key: {}{}. Keep it safe.", "AKIA", "Z7Q3M5XKLP2WN4RT")
}

fn events(list: Vec<(&str, Value)>) -> Answer {
    let event = |(name, data): (&str, Value)| match name {
        "" => format!("data: {data}\n\n"),
        name => format!("event: {name}\ndata: {data}\n\n"),
    };
    Answer::Events(list.into_iter().map(event).collect())
}

fn openai_tools(body: &Value) -> Answer {
    let call = |arguments: &str| json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}});
    if body["stream"] != true {
        return Answer::Json(
            200,
            json!({
                "id": "c1", "object": "chat.completion", "created": 1, "model": "tools",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [call("{\"city\":\"Ghent\"}")]}, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            }),
        );
    }
    let chunk = |delta: Value, finish: Value| {
        (
            "",
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tools", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let more =
        |piece: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
    let Answer::Events(mut list) = events(vec![
        chunk(json!({"role": "assistant", "content": null, "tool_calls": [call("")]}), Value::Null),
        chunk(more("{\"ci"), Value::Null),
        chunk(more("ty\":\"Gh"), Value::Null),
        chunk(more("ent\"}"), Value::Null),
        chunk(json!({}), json!("tool_calls")),
    ]) else {
        unreachable!()
    };
    list.push("data: [DONE]\n\n".to_owned());
    Answer::Events(list)
}

fn openai_chat(body: &Value) -> Answer {
    match body["model"].as_str() {
        Some("tools") => openai_tools(body),
        Some("leaky") => {
            let text = leak();
            let pieces: Vec<String> =
                text.chars().collect::<Vec<_>>().chunks(3).map(|c| c.iter().collect()).collect();
            Answer::Events(stream_of(&pieces.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => {
            let answer = say(BREAD, body);
            let Answer::Events(mut list) = answer else { return answer };
            if body["stream_options"]["include_usage"] == true {
                let usage = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}});
                list.insert(list.len() - 1, format!("data: {usage}\n\n"));
            }
            Answer::Events(list)
        }
    }
}

fn openai_responses(body: &Value) -> Answer {
    let message = |status: &str, content: Value| json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content});
    let part = json!({"type": "output_text", "text": BREAD, "annotations": []});
    let response = |status: &str, output: Value| {
        json!({
            "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "chat", "output": output,
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12},
        })
    };
    let whole = response("completed", json!([message("completed", json!([part.clone()]))]));
    if body["stream"] != true {
        return Answer::Json(200, whole);
    }
    let empty = json!({"type": "output_text", "text": "", "annotations": []});
    let mut list = vec![
        (
            "response.created",
            json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress", json!([]))}),
        ),
        (
            "response.output_item.added",
            json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": message("in_progress", json!([]))}),
        ),
        (
            "response.content_part.added",
            json!({"type": "response.content_part.added", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": empty}),
        ),
    ];
    for (i, piece) in BREAD.split_inclusive(' ').enumerate() {
        list.push(("response.output_text.delta", json!({"type": "response.output_text.delta", "sequence_number": 3 + i, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": piece, "logprobs": []})));
    }
    list.extend([
        ("response.output_text.done", json!({"type": "response.output_text.done", "sequence_number": 20, "item_id": "msg_1", "output_index": 0, "content_index": 0, "text": BREAD, "logprobs": []})),
        ("response.content_part.done", json!({"type": "response.content_part.done", "sequence_number": 21, "item_id": "msg_1", "output_index": 0, "content_index": 0, "part": part})),
        ("response.output_item.done", json!({"type": "response.output_item.done", "sequence_number": 22, "output_index": 0, "item": message("completed", json!([part]))})),
        ("response.completed", json!({"type": "response.completed", "sequence_number": 23, "response": whole})),
    ]);
    events(list)
}

fn anthropic(body: &Value) -> Answer {
    let model = body["model"].as_str().unwrap_or("");
    let (block, pieces, stop): (Value, Vec<String>, &str) = match model {
        "claude-tools" => (
            json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Ghent"}}),
            ["", "{\"ci", "ty\": \"Gh", "ent\"}"].map(str::to_owned).to_vec(),
            "tool_use",
        ),
        _ => {
            let text = if model == "claude-leaky" { leak() } else { BREAD.to_owned() };
            let pieces =
                text.chars().collect::<Vec<_>>().chunks(3).map(|c| c.iter().collect()).collect();
            (json!({"type": "text", "text": text}), pieces, "end_turn")
        }
    };
    let message = |content: Value, stop: Value| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": 7},
        })
    };
    if body["stream"] != true {
        return Answer::Json(200, message(json!([block]), json!(stop)));
    }
    let tool = stop == "tool_use";
    let opening = if tool {
        json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}})
    } else {
        json!({"type": "text", "text": ""})
    };
    let mut list = vec![
        (
            "message_start",
            json!({"type": "message_start", "message": message(json!([]), Value::Null)}),
        ),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": opening}),
        ),
        ("ping", json!({"type": "ping"})),
    ];
    for piece in pieces {
        let delta = if tool {
            json!({"type": "input_json_delta", "partial_json": piece})
        } else {
            json!({"type": "text_delta", "text": piece})
        };
        list.push((
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        ));
    }
    list.extend([
        ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        ("message_delta", json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 7}})),
        ("message_stop", json!({"type": "message_stop"})),
    ]);
    events(list)
}

fn behave(path: &str, body: &Value) -> Answer {
    match path {
        "/v1/chat/completions" => openai_chat(body),
        "/v1/responses" => openai_responses(body),
        "/v1/messages" => anthropic(body),
        "/v1/completions" => Answer::Json(
            200,
            json!({
                "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "chat",
                "choices": [{"index": 0, "text": BREAD, "finish_reason": "stop", "logprobs": null}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            }),
        ),
        // A number each for three dimensions, as the SDK asks for them: base64 of little-endian floats.
        "/v1/embeddings" => {
            let base64 = body["encoding_format"] == "base64";
            let vector = if base64 { json!("AACAPwAAAEAAAEBA") } else { json!([1.0, 2.0, 3.0]) };
            let data: Vec<Value> = (0..2)
                .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}))
                .collect();
            Answer::Json(
                200,
                json!({"object": "list", "model": "embed", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
            )
        }
        "/v1/moderations" => Answer::Json(
            200,
            json!({
                "id": "modr-1", "model": "moderate",
                "results": [{"flagged": false, "categories": {}, "category_scores": {}, "category_applied_input_types": {}}],
            }),
        ),
        _ => Answer::Json(
            404,
            json!({"error": {"message": "no such path", "type": "invalid_request_error"}}),
        ),
    }
}

fn with_server(script: &str) {
    let Ok(python) = std::env::var("BARTIZAN_TEST_PYTHON") else {
        eprintln!(
            "!! SKIPPED: {script}: BARTIZAN_TEST_PYTHON names no Python with the SDKs; tests/run.sh makes one"
        );
        return;
    };
    let model = Model::new(behave);
    let (url, dead) = (model.url(), free_port());
    let home = Home::new(
        &url,
        &format!(
            "[routes.more]\nmodels = [\"chat\", \"tools\", \"embed\", \"moderate\"]\n[[routes.more.targets]]\nurl = \"{url}\"\n\
         [routes.broken]\nmodels = [\"broken\"]\n[[routes.broken.targets]]\nurl = \"http://127.0.0.1:{dead}\"\n\
         [routes.scarce]\nmodels = [\"scarce\"]\nper_key = {{ requests = 2, window_s = 3600 }}\n[[routes.scarce.targets]]\nurl = \"{url}\"\n"
        ),
    );
    // Only listed models have a route: another one is not found.
    let text = std::fs::read_to_string(home.config())
        .unwrap()
        .replace("models = [\"*\"]", "models = [\"leaky\", \"claude*\"]");
    std::fs::write(home.config(), text).unwrap();
    let key = home.json(&["keys", "create", "sdk"]);
    let revoked = home.json(&["keys", "create", "old"]);
    home.json(&["keys", "revoke", revoked["key"]["id"].as_str().unwrap()]);
    let server = home.serve();
    run(
        &python,
        script,
        &server,
        key["secret"].as_str().unwrap(),
        revoked["secret"].as_str().unwrap(),
    );
}

fn run(python: &str, script: &str, server: &Server<'_>, key: &str, revoked: &str) {
    let script = format!("{}/../../tests/peers/{script}", env!("CARGO_MANIFEST_DIR"));
    let base = format!("http://127.0.0.1:{}", server.home.data_port);
    let output = Command::new(python).args([&script, &base, key, revoked]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{script}:\n{said}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        server.home.log()
    );
}

#[test]
fn the_openai_sdk_works_unchanged() {
    with_server("sdk_openai.py");
}

#[test]
fn the_anthropic_sdk_works_unchanged() {
    with_server("sdk_anthropic.py");
}
