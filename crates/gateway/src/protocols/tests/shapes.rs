//! What is honest comes through value for value; what is no request is refused, with
//! the field and what was expected; any JSON at all ends in one or the other.

use bartizan_guard::{Carrier, Guard};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

use super::{ALL, Call, Reply, call, cover, fixtures, protocol, reply, screened};

#[test]
fn what_is_honest_is_not_changed() {
    let guard = Guard::new();
    for (name, body) in fixtures::requests() {
        let after = screened(&guard, call(name, &body), |call: Call| call.body().clone());
        assert_eq!(after.to_string(), body.to_string(), "{name}");
    }
    for (name, body) in fixtures::replies() {
        let after = screened(&guard, reply(name, &body), Reply::into_body);
        assert_eq!(after.to_string(), body.to_string(), "{name}");
    }
}

#[test]
fn every_protocol_has_its_fixtures() {
    for one in ALL {
        let name = one.meta().name;
        assert!(fixtures::requests().iter().any(|(own, _)| *own == name), "{name}");
        assert!(fixtures::replies().iter().any(|(own, _)| *own == name), "{name}");
        let streams = fixtures::streams().iter().any(|(own, _)| *own == name);
        let read = one.stream(&call(name, &requests_of(name))).is_some();
        assert_eq!(streams, read, "{name}");
    }
}

fn requests_of(name: &str) -> Value {
    let requests = fixtures::requests();
    requests.into_iter().find(|(own, _)| *own == name).expect("a request").1
}

#[test]
fn a_wrong_type_is_refused_by_its_field() {
    let cases = [
        ("openai-chat", "/model", json!(4), "model"),
        ("openai-chat", "/model", Value::Null, "model"),
        ("openai-chat", "/model", json!(""), "model"),
        ("openai-chat", "/messages", json!("hi"), "messages"),
        ("openai-chat", "/messages", json!([]), "messages"),
        ("openai-chat", "/messages/0", json!("hi"), "messages[0]"),
        ("openai-chat", "/messages/1/role", json!("root"), "messages[1].role"),
        ("openai-chat", "/messages/2/content", json!(7), "messages[2].content"),
        ("openai-chat", "/tools", json!("hammer"), "tools"),
        ("openai-chat", "/n", json!(0), "n"),
        ("openai-chat", "/n", json!(129), "n"),
        ("openai-chat", "/n", json!("2"), "n"),
        ("openai-chat", "/max_tokens", json!(-1), "max_tokens"),
        ("openai-chat", "/max_tokens", json!(1.5), "max_tokens"),
        ("openai-responses", "/input", json!({"a": 1}), "input"),
        ("openai-responses", "/instructions", json!(1), "instructions"),
        ("openai-completions", "/prompt", json!({"a": 1}), "prompt"),
        ("openai-embeddings", "/input", Value::Null, "input"),
        ("openai-moderations", "/input", json!(true), "input"),
        ("anthropic-messages", "/max_tokens", Value::Null, "max_tokens"),
        ("anthropic-messages", "/max_tokens", json!("100"), "max_tokens"),
        ("anthropic-messages", "/messages/0/role", json!("tool"), "messages[0].role"),
        ("anthropic-messages", "/system", json!(1), "system"),
        ("anthropic-count-tokens", "/messages", Value::Null, "messages"),
    ];
    for (name, at, value, param) in cases {
        let mut body = requests_of(name);
        *body.pointer_mut(at).expect("it is there") = value.clone();
        let refusal = protocol(name).read(body).expect_err(at);
        assert_eq!(refusal.param, param, "{name} {at} {value}");
        assert!(refusal.message.contains("expected"), "{name} {at}: {}", refusal.message);
    }
    for name in ["openai-chat", "openai-embeddings"] {
        for (field, value) in [("stream", json!("yes")), ("stream_options", json!([1]))] {
            let mut body = requests_of(name);
            body[field] = value;
            assert_eq!(protocol(name).read(body).expect_err(field).param, field);
        }
    }
    for name in ["openai-embeddings", "openai-moderations", "anthropic-count-tokens"] {
        let mut body = requests_of(name);
        body["stream"] = true.into();
        assert_eq!(protocol(name).read(body).expect_err("whole").param, "stream");
    }
    for one in ALL {
        for body in [json!([]), json!("x"), Value::Null, json!(1)] {
            assert!(one.read(body.clone()).is_err());
            assert!(one.reply(body).is_err());
        }
    }
}

#[test]
fn a_call_knows_what_limits_need() {
    let mut body = requests_of("openai-chat");
    let known = call("openai-chat", &body);
    assert_eq!(known.model, "gpt-4o");
    assert_eq!((known.choices, known.tokens_out_max), (2, Some(100)));
    assert_eq!(known.end_user.as_deref(), Some("u-1"));
    assert_eq!(known.system_texts(), ["Be kind.", "house", "Be brief."]);
    body["max_completion_tokens"] = json!(7);
    assert_eq!(call("openai-chat", &body).tokens_out_max, Some(7));
    body["max_completion_tokens"] = Value::Null;
    assert_eq!(call("openai-chat", &body).tokens_out_max, Some(100));
    let known = call("openai-completions", &json!({"model": "m", "n": 2, "best_of": 5}));
    assert_eq!(known.choices, 5);
    let known = call("anthropic-messages", &requests_of("anthropic-messages"));
    assert_eq!(known.system_texts(), ["Be kind.", "Be brief."]);
    assert_eq!(known.end_user.as_deref(), Some("u-1"));
    assert_eq!(
        call("openai-responses", &requests_of("openai-responses")).system_texts(),
        ["Be kind.", "Be brief."]
    );
}

#[test]
fn answers_tell_what_was_used() {
    let used = |name: &str| {
        let replies = fixtures::replies();
        let (_, body) = replies.iter().find(|(own, _)| *own == name).expect("an answer");
        reply(name, body).usage().map(|usage| (usage.input, usage.output))
    };
    assert_eq!(used("openai-chat"), Some((10, 5)));
    assert_eq!(used("openai-responses"), Some((10, 5)));
    assert_eq!(used("openai-completions"), Some((10, 5)));
    assert_eq!(used("openai-embeddings"), Some((8, 0)));
    assert_eq!(used("openai-moderations"), None);
    assert_eq!(used("anthropic-messages"), Some((13, 5)));
}

#[test]
fn pictures_and_sounds_are_counted() {
    let counted = |name: &str| {
        let call = call(name, &requests_of(name));
        let unseen = call.unseen().into_iter().map(|one| format!("{} {}", one.what, one.bytes));
        unseen.collect::<Vec<_>>()
    };
    assert_eq!(counted("openai-chat"), ["image 33", "audio 12", "application 15"]);
    assert_eq!(counted("openai-moderations"), ["image 33"]);
    let messages = counted("anthropic-messages");
    assert!(
        messages.contains(&"image 33".to_owned()) && messages.contains(&"document 15".to_owned()),
        "{messages:?}"
    );
}

#[test]
fn the_text_of_an_answer_is_taken_once() {
    let body = json!({"id": "m", "role": "assistant", "content": [{"type": "text", "text": "An oak"}, {"type": "text", "text": " is tall."}]});
    let text = reply("anthropic-messages", &body).text().0;
    assert_eq!(text.matches("An oak").count(), 1, "{text}");
}

#[test]
fn tokens_go_with_the_text_that_they_spell() {
    let guard = Guard::new();
    for (name, text, tokens) in [
        ("openai-chat", "/choices/0/message/content", "/choices/0/logprobs"),
        ("openai-completions", "/choices/0/text", "/choices/0/logprobs"),
        ("openai-responses", "/output/1/content/0/text", "/output/1/content/0/logprobs"),
    ] {
        let replies = fixtures::replies();
        let mut body = replies.into_iter().find(|(own, _)| *own == name).expect("an answer").1;
        *body.pointer_mut(text).expect("it is there") = format!("so {}.", super::CARD).into();
        let after = screened(&guard, reply(name, &body), Reply::into_body);
        assert_eq!(after.pointer(text), Some(&json!(format!("so {}.", super::REDACTED))));
        let left = after.pointer(tokens).expect("the field stays");
        assert!(left.is_null() || *left == json!([]), "{name}: {left}");
    }
}

#[test]
fn a_stream_is_asked_for_its_usage() {
    for options in
        [Value::Null, json!({"include_obfuscation": false}), json!({"include_usage": false})]
    {
        let mut body = requests_of("openai-chat");
        body["stream"] = true.into();
        body["stream_options"] = options;
        let mut call = call("openai-chat", &body);
        assert!(!call.wants_usage);
        call.ask_for_usage();
        assert_eq!(call.body().pointer("/stream_options/include_usage"), Some(&json!(true)));
    }
    let mut call = call("anthropic-messages", &requests_of("anthropic-messages"));
    call.ask_for_usage();
    assert_eq!(call.body(), &requests_of("anthropic-messages"));
}

/// JSON of any shape, with the protocols' own words often among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("content"),
        Just("messages"),
        Just("role"),
        Just("type"),
        Just("text"),
        Just("tool_calls"),
        Just("function"),
        Just("arguments"),
        Just("source"),
        Just("data"),
        Just("file"),
        Just("image_url"),
        Just("input"),
        Just("output"),
        Just("choices"),
        Just("delta"),
        Just("logprobs"),
        Just("item"),
        Just("response"),
        Just("part"),
        Just("summary"),
        Just("custom"),
        Just("index"),
        Just("user"),
        Just("audio"),
        Just("embedding"),
    ]
    .prop_map(str::to_owned);
    let key = prop_oneof![4 => word.clone(), 1 => "[a-z]{1,6}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::Number)),
        word.prop_map(Value::from),
        "[ -~é]{0,12}".prop_map(Value::from),
        Just(json!("planted words")),
        Just(json!("data:text/plain,planted words")),
        Just(json!("{\"a\": \"planted words\"}")),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

/// How often the planted words stand in a body.
fn count(value: &Value) -> usize {
    value.to_string().matches("planted words").count()
}

proptest! {
    /// A vector from an embedding comes through to the last bit.
    #[test]
    fn no_number_is_changed_on_the_way(number in any::<f64>().prop_filter("JSON has no others", |n| n.is_finite())) {
        let wire = format!(r#"{{"object":"list","data":[{{"embedding":[{number:e}]}}]}}"#);
        let body = bartizan_core::json::parse(wire.as_bytes(), 1000).expect("it is JSON");
        let out = reply("openai-embeddings", &body).into_body().to_string();
        let again: Value = serde_json::from_str(&out).expect("it is JSON");
        let after = again["data"][0]["embedding"][0].as_f64();
        prop_assert_eq!(after.map(f64::to_bits), Some(number.to_bits()));
    }

    #[test]
    fn any_shape_is_shown_in_full(name in prop_oneof![Just("openai-chat"), Just("openai-responses"), Just("anthropic-messages"), Just("openai-completions"), Just("openai-moderations"), Just("openai-embeddings")], value in any_json(), at in any::<prop::sample::Index>()) {
        let mut erase = |_: &bartizan_guard::Slot, text: &mut String| *text = text.replace("planted words", "");
        // In any place of a request, and as a whole answer.
        let mut body = requests_of(name);
        let mut places = Vec::new();
        cover::pointers(&body, "", &mut places);
        *body.pointer_mut(at.get(&places).as_str()).expect("it is there") = value.clone();
        if let Ok(mut call) = protocol(name).read(body) {
            call.visit(&mut erase);
            prop_assert_eq!(count(call.body()), 0, "{}", call.body());
        }
        if let Ok(mut reply) = protocol(name).reply(value) {
            reply.visit(&mut erase);
            let body = reply.into_body();
            prop_assert_eq!(count(&body), 0, "{}", body);
        }
    }

    #[test]
    fn what_nobody_rewrites_stays(name in prop_oneof![Just("openai-chat"), Just("openai-responses"), Just("anthropic-messages"), Just("openai-completions")], value in any_json()) {
        let before = value.to_string();
        if let Ok(mut reply) = protocol(name).reply(value) {
            reply.visit(&mut |_, _| {});
            prop_assert_eq!(reply.into_body().to_string(), before);
        }
    }
}
