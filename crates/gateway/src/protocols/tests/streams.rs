//! Streams: what clients put together from them, however they were cut.

use bartizan_guard::Guard;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CARD, REDACTED, fixtures, relay, relay::Relay};
use crate::{
    protocols::{Failure, Usage, error_body},
    sse::Event,
};

fn fixture(name: &str) -> Vec<Value> {
    fixtures::streams().into_iter().find(|(own, _)| *own == name).expect("it streams").1
}

fn play(guard: &Guard, name: &str, events: &[Value]) -> Relay {
    Relay::new(guard, name, true).play(&relay::events(name, events)).expect("it is a stream")
}

/// What an SDK of OpenAI puts together from chunks.
fn assemble(out: &[Value]) -> Value {
    let mut choices = serde_json::Map::new();
    for choice in out.iter().flat_map(|body| body["choices"].as_array().expect("a list")) {
        let entry = choices.entry(choice["index"].to_string()).or_insert_with(|| json!({}));
        let entry = entry.as_object_mut().expect("an object");
        super::super::stream::merge(
            entry,
            choice["delta"].as_object().cloned().unwrap_or_default(),
        );
        if let Some(text) = choice.get("text") {
            let before = entry.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
            entry.insert(
                "text".to_owned(),
                format!("{before}{}", text.as_str().expect("text")).into(),
            );
        }
        if !choice["finish_reason"].is_null() {
            entry.insert("finish_reason".to_owned(), choice["finish_reason"].clone());
        }
    }
    Value::Object(choices)
}

#[test]
fn chunks_of_chat_give_what_the_provider_said() {
    let relay = play(&Guard::new(), "openai-chat", &fixture("openai-chat"));
    let out = relay::bodies(&relay.out);
    assert_eq!(
        assemble(&out),
        json!({
            "0": {"role": "assistant", "content": "It is an oak.", "reasoning_content": "Let me see.", "finish_reason": "tool_calls",
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{\"word\":\"oak\"}"}},
                    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "stop", "arguments": "{}"}}],
                "note": "by the way", "details": [{"index": 0, "type": "detail.text", "text": "so"}]},
            "1": {"role": "assistant", "content": "I'd say so.", "refusal": "No.", "finish_reason": "stop"},
        })
    );
    assert_eq!(relay.usage, Some(Usage { input: 10, output: 5 }));
    assert_eq!(relay.out.last(), Some(&Event::data("[DONE]".into())));
    assert!(out.iter().all(|body| body["id"] == "chatcmpl-1" && body["created"] == 1_700_000_000));
    // The reason comes after everything that it ends.
    let last = out.iter().rposition(|body| body["choices"][0]["index"] == 0);
    assert_eq!(out[last.expect("a choice")]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(out[last.expect("a choice")]["choices"][0]["stop_reason"], "eos");
}

#[test]
fn usage_is_passed_on_to_those_who_asked() {
    let events = relay::events("openai-chat", &fixture("openai-chat"));
    for (asked, expected) in [(true, 1), (false, 0)] {
        let relay =
            Relay::new(&Guard::new(), "openai-chat", asked).play(&events).expect("a stream");
        let told =
            relay::bodies(&relay.out).iter().filter(|body| body.get("usage").is_some()).count();
        assert_eq!(told, expected);
        assert_eq!(relay.usage, Some(Usage { input: 10, output: 5 }));
    }
}

#[test]
fn chunks_of_completions_give_what_the_provider_said() {
    let relay = play(&Guard::new(), "openai-completions", &fixture("openai-completions"));
    assert_eq!(
        assemble(&relay::bodies(&relay.out)),
        json!({"0": {"text": "It is so.", "finish_reason": "stop"}})
    );
}

#[test]
fn events_of_responses_say_the_same_everywhere() {
    let mut events = fixture("openai-responses");
    let answer = format!("It is {CARD}, an oak.");
    for event in &mut events {
        let text = event.to_string().replace("It is an oak.", &answer);
        *event = serde_json::from_str(&text).expect("JSON");
        if event["delta"] == "It is" {
            event["delta"] = "It is 5555 55".into();
        } else if event["delta"] == " an oak." {
            event["delta"] = "55 5555 4444, an oak.".into();
        }
    }
    let relay = play(&Guard::new(), "openai-responses", &events);
    let out = relay::bodies(&relay.out);
    let all = Value::from(out.clone()).to_string();
    let expected = format!("It is {REDACTED}, an oak.");
    let deltas: String = out
        .iter()
        .filter(|body| body["type"] == "response.output_text.delta")
        .filter_map(|body| body["delta"].as_str())
        .collect();
    assert_eq!(deltas, expected);
    // Done, part done, item done, completed.
    assert_eq!(
        all.matches(&expected).count(),
        5 - usize::from(!all.contains(&format!("\"delta\":\"{expected}\""))),
        "{all}"
    );
    assert!(!all.contains("5555"), "{all}");
    assert!(!all.contains("\"token\""), "no tokens of a text that was rewritten: {all}");
    // It was one finding, not one for each time that it was said.
    assert_eq!(relay.report.redactions, 1);
    assert_eq!(relay.usage, Some(Usage { input: 10, output: 5 }));
}

#[test]
fn events_of_responses_are_whole_and_numbered() {
    let relay = play(&Guard::new(), "openai-responses", &fixture("openai-responses"));
    let out = relay::bodies(&relay.out);
    for (body, number) in out.iter().zip(0_u64..) {
        assert_eq!(body["sequence_number"], number, "{body}");
    }
    for (event, body) in relay.out.iter().zip(&out) {
        assert_eq!(event.name, body["type"].as_str().expect("a type"));
    }
    let kinds: Vec<&str> = out
        .iter()
        .filter_map(|body| body["type"].as_str())
        .map(|kind| kind.trim_start_matches("response."))
        .collect();
    assert_eq!(
        kinds,
        [
            "created",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.annotation.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "shell_call_output_content.delta",
            "shell_call_output_content.done",
            "completed",
        ]
    );
    let delta =
        out.iter().find(|body| body["type"] == "response.output_text.delta").expect("a delta");
    assert_eq!(delta["item_id"], "msg_1");
    assert_eq!(
        (&delta["output_index"], &delta["content_index"], &delta["logprobs"]),
        (&json!(1), &json!(0), &json!([]))
    );
    let gathered = out
        .iter()
        .find(|body| body["type"] == "response.shell_call_output_content.delta")
        .expect("a delta");
    assert_eq!(gathered["delta"]["stdout"], "some");
}

#[test]
fn events_of_messages_give_what_the_provider_said() {
    let relay = play(&Guard::new(), "anthropic-messages", &fixture("anthropic-messages"));
    let out = relay::bodies(&relay.out);
    let of = |index: u64, field: &str| -> String {
        let deltas = out
            .iter()
            .filter(|body| body["type"] == "content_block_delta" && body["index"] == index);
        deltas.filter_map(|body| body["delta"][field].as_str()).collect()
    };
    assert_eq!(of(0, "thinking"), "Let me see.");
    assert_eq!(of(0, "signature"), "EqQBCkYIBxgCKkDm");
    assert_eq!(of(1, "text"), "It is an oak.");
    assert_eq!(of(1, "novelty"), "a new thing");
    assert_eq!(of(2, "partial_json"), "{\"word\": \"oak\"}");
    // The signature comes in one piece: SDKs do not join it.
    assert_eq!(out.iter().filter(|body| body["delta"]["type"] == "signature_delta").count(), 1);
    for event in &relay.out {
        let body: Value = serde_json::from_str(&event.data).expect("JSON");
        assert_eq!(event.name, body["type"].as_str().expect("a type"));
    }
    // Each block stops once, after its deltas.
    for index in 0..4_u64 {
        let own: Vec<&Value> = out.iter().filter(|body| body["index"] == index).collect();
        assert_eq!(own.first().expect("a start")["type"], "content_block_start");
        assert_eq!(own.last().expect("a stop")["type"], "content_block_stop");
    }
    assert_eq!(out.last().expect("an end")["type"], "message_stop");
    assert_eq!(relay.usage, Some(Usage { input: 10, output: 25 }));
    assert!(relay.is_done);
}

#[test]
fn what_is_no_event_of_the_protocol_is_garbage() {
    let guard = Guard::new();
    for (name, bad) in [
        ("openai-chat", "{"),
        ("openai-chat", "[]"),
        ("openai-chat", r#"{"choices": 5}"#),
        ("openai-chat", r#"{"choices": ["x"]}"#),
        ("openai-chat", r#"{"choices": [{"index": "x"}]}"#),
        ("openai-chat", r#"{"choices": [{"delta": "x"}]}"#),
        ("openai-chat", r#"{"choices": [{"delta": {"tool_calls": "x"}}]}"#),
        ("openai-chat", r#"{"a": 1, "a": 2}"#),
        ("openai-completions", "null"),
        (
            "openai-responses",
            r#"{"type": "response.output_text.delta", "output_index": -1, "delta": "x"}"#,
        ),
        ("anthropic-messages", r#"{"type": "content_block_delta", "index": 0}"#),
        ("anthropic-messages", "so"),
    ] {
        let relay = Relay::new(&guard, name, true).play(&[Event::data(bad.to_owned())]);
        assert!(relay.is_err(), "{name}: {bad}");
    }
}

#[test]
fn an_error_of_the_provider_ends_the_stream() {
    let guard = Guard::new();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": format!("no {CARD} here")}});
    for name in ["openai-chat", "openai-completions", "openai-responses", "anthropic-messages"] {
        let relay = play(&guard, name, std::slice::from_ref(&error));
        let out = relay::bodies(&relay.out);
        assert_eq!(out[0]["error"]["message"], format!("no {REDACTED} here"), "{name}");
        assert!(relay.is_done, "{name}");
    }
}

#[test]
fn a_first_chunk_without_a_name_takes_the_next_ones() {
    let events = [
        json!({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
        json!({"id": "c-1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "An"}}]}),
        json!({"id": "c-1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": " oak."}, "finish_reason": "stop"}]}),
    ];
    let out = relay::bodies(&play(&Guard::new(), "openai-chat", &events).out);
    let told = out.iter().filter(|body| body.get("prompt_filter_results").is_some());
    let told: Vec<&Value> = told.map(|body| &body["prompt_filter_results"]).collect();
    assert_eq!(told, [&json!([{"prompt_index": 0}])]);
    assert_eq!(assemble(&out)["0"]["content"], "An oak.");
    assert!(
        out[1..].iter().all(|body| body["id"] == "c-1" && body["model"] == "gpt-4o"),
        "{out:?}"
    );
}

#[test]
fn an_error_within_a_stream_is_one_that_sdks_raise() {
    let failure = Failure::new(400, "answer_blocked", "stopped").param("input");
    for (name, at) in [
        ("openai-chat", "/error"),
        ("openai-completions", "/error"),
        ("openai-responses", "/error"),
        ("anthropic-messages", "/error"),
    ] {
        let event = Relay::new(&Guard::new(), name, true).error(&failure);
        let body: Value = serde_json::from_str(&event.data).expect("JSON");
        let error = body.pointer(at).expect("an error");
        assert_eq!(
            (&error["message"], &error["code"]),
            (&json!("stopped"), &json!("answer_blocked")),
            "{name}"
        );
        let is_named = ["openai-responses", "anthropic-messages"].contains(&name);
        assert_eq!(event.name, if is_named { "error" } else { "" });
        assert_eq!(body.get("type"), is_named.then_some(&json!("error")));
    }
}

#[test]
fn errors_have_the_providers_own_form() {
    let failure = Failure::new(429, "over_limit", "too much").param("model").retry_after(3);
    let openai = error_body(crate::protocols::Provider::OpenAi, &failure, "r-1");
    assert_eq!(
        openai,
        json!({"error": {"message": "too much", "type": "rate_limit_error", "param": "model", "code": "over_limit"}})
    );
    let anthropic = error_body(crate::protocols::Provider::Anthropic, &failure, "r-1");
    assert_eq!(
        (&anthropic["type"], &anthropic["error"]["type"], &anthropic["request_id"]),
        (&json!("error"), &json!("rate_limit_error"), &json!("r-1"))
    );
    assert_eq!(anthropic["error"]["details"]["error_code"], "over_limit");
}

/// Where the texts of a stream are cut, and what they say.
fn cut(said: &str, cuts: &[usize]) -> Vec<String> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| said.floor_char_boundary(*cut)).collect();
    cuts.extend([0, said.len()]);
    cuts.sort_unstable();
    cuts.windows(2).filter_map(|pair| said.get(pair[0]..pair[1])).map(str::to_owned).collect()
}

/// A stream that says this in these pieces.
fn saying(name: &str, pieces: &[String]) -> Vec<Value> {
    let (before, after): (Vec<Value>, Vec<Value>) = match name {
        "openai-chat" => (
            vec![json!({"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})],
            vec![
                json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            ],
        ),
        "openai-completions" => (
            vec![],
            vec![
                json!({"id": "c", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}),
            ],
        ),
        "openai-responses" => (
            vec![],
            vec![
                json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": pieces.concat()}),
                json!({"type": "response.completed", "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": pieces.concat()}]}]}}),
            ],
        ),
        _ => (
            vec![
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ],
            vec![
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_stop"}),
            ],
        ),
    };
    let piece = |text: &String| match name {
        "openai-chat" => json!({"id": "c", "choices": [{"index": 0, "delta": {"content": text}}]}),
        "openai-completions" => json!({"id": "c", "choices": [{"index": 0, "text": text}]}),
        "openai-responses" => {
            json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})
        }
        _ => {
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
        }
    };
    before.into_iter().chain(pieces.iter().map(piece)).chain(after).collect()
}

/// The text that a client gets.
fn heard(name: &str, out: &[Value]) -> String {
    let text = |body: &Value| match name {
        "openai-chat" => body["choices"][0]["delta"]["content"].as_str().map(str::to_owned),
        "openai-completions" => body["choices"][0]["text"].as_str().map(str::to_owned),
        "openai-responses" => body["delta"].as_str().map(str::to_owned),
        _ => body["delta"]["text"].as_str().map(str::to_owned),
    };
    out.iter().filter_map(text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_cut_of_a_text_changes_what_is_heard(before in "[a-z .,\n]{0,150}", after in "[a-z .,\n]{0,150}", cuts in proptest::collection::vec(0usize..350, 0..12)) {
        let guard = Guard::new();
        let said = format!("{before} {CARD}. {after}");
        let expected = format!("{before} {REDACTED}. {after}");
        for name in ["openai-chat", "openai-completions", "openai-responses", "anthropic-messages"] {
            let relay = play(&guard, name, &saying(name, &cut(&said, &cuts)));
            let out = relay::bodies(&relay.out);
            prop_assert_eq!(heard(name, &out), expected.as_str(), "{}", name);
            prop_assert!(!Value::from(out).to_string().contains("5555"));
        }
    }

    #[test]
    fn any_events_end_in_pieces_or_garbage(which in 0usize..4, texts in proptest::collection::vec("[ -~]{0,40}", 0..6)) {
        let guard = Guard::new();
        let (name, events) = &fixtures::streams()[which];
        let mut events = relay::events(name, events);
        events.truncate(4);
        events.extend(texts.into_iter().map(Event::data));
        let _outcome = Relay::new(&guard, name, false).play(&events).map(drop);
    }
}
