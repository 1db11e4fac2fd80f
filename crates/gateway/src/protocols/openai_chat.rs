//! OpenAI's `chat/completions`, which most other servers speak too.
//!
//! Source: OpenAI API reference, chat completions.

use std::collections::BTreeSet;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Call, Envelope, Failure, Garbage, Lane, Meta, Piece, Protocol, Provider, Refusal, StreamReader,
    Usage, error_body,
    parts::{self, openai_content, openai_tools, openai_usage, tool_calls},
    walk::Walk,
};
use crate::sse::Event;

#[derive(Debug)]
pub(super) struct OpenAiChat;

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];
/// The texts of a message or a delta, and whose they are.
const TEXTS: &[(&str, Channel)] = &[
    ("content", Channel::Output),
    ("refusal", Channel::Output),
    ("reasoning_content", Channel::Reasoning),
    ("reasoning", Channel::Reasoning),
    ("thinking", Channel::Reasoning),
];

impl Protocol for OpenAiChat {
    fn meta(&self) -> Meta {
        Meta {
            name: "openai-chat",
            provider: Provider::OpenAi,
            path: "/v1/chat/completions",
            operation: "chat",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        parts::messages(body, ROLES)
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        walk.rest(
            map,
            "",
            Channel::Content,
            &[
                "model",
                "messages",
                "tools",
                "functions",
                "web_search_options",
                "prediction",
                "response_format",
            ],
        );
        for (name, value) in map.iter_mut() {
            let at = format!("/{name}");
            match name.as_str() {
                "messages" => messages(value, &at, walk),
                "tools" | "functions" => openai_tools(value, &at, walk),
                "response_format" => walk.all(value, &at, Channel::System),
                "prediction" => walk.all(value, &at, Channel::Assistant),
                "web_search_options" => {
                    walk.opaque(&at, "provider_tool");
                    walk.all(value, &at, Channel::Content);
                }
                _ => {}
            }
        }
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_choices(body, walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        body.get("max_completion_tokens").or_else(|| body.get("max_tokens")).and_then(Value::as_u64)
    }

    fn stream(&self, call: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(Reader { wants_usage: call.wants_usage, ..Reader::default() }))
    }
}

fn messages(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    let Value::Array(list) = value else { return walk.all(value, at, Channel::User) };
    for (i, message) in list.iter_mut().enumerate() {
        let at = format!("{at}/{i}");
        let Value::Object(map) = message else {
            walk.all(message, &at, Channel::User);
            continue;
        };
        let channel = match map.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => Channel::System,
            Some("assistant") => Channel::Assistant,
            Some("tool" | "function") => Channel::ToolResult,
            _ => Channel::User,
        };
        walk.rest(map, &at, channel, &["role", "content", "tool_calls", "audio"]);
        if let Some(content) = map.get_mut("content") {
            openai_content(content, &format!("{at}/content"), channel, walk);
        }
        if let Some(calls) = map.get_mut("tool_calls") {
            tool_calls(calls, &format!("{at}/tool_calls"), walk);
        }
        if let Some(audio) = map.get_mut("audio").filter(|audio| !audio.is_null()) {
            walk.opaque(&format!("{at}/audio"), "file_id");
            walk.all(audio, &format!("{at}/audio"), channel);
        }
    }
}

/// The choices of an answer or of an event of a stream.
pub(super) fn walk_choices(body: &mut Value, walk: &mut Walk<'_>) {
    let Value::Object(map) = body else { return };
    walk.rest(map, "", Channel::Output, &["choices"]);
    let Some(Value::Array(choices)) = map.get_mut("choices") else { return };
    for (i, choice) in choices.iter_mut().enumerate() {
        let Value::Object(choice) = choice else { continue };
        let at = format!("/choices/{i}");
        let before = texts_of(choice);
        walk.rest(choice, &at, Channel::Output, &["message", "delta"]);
        for part in ["message", "delta"] {
            if let Some(Value::Object(message)) = choice.get_mut(part) {
                walk_message(message, &format!("{at}/{part}"), walk);
            }
        }
        // What the tokens spell must not outlive the text that was rewritten.
        if texts_of(choice) != before
            && let Some(logprobs) = choice.get_mut("logprobs")
        {
            *logprobs = Value::Null;
        }
    }
}

fn texts_of(choice: &Map<String, Value>) -> Vec<Value> {
    ["message", "delta", "text"].iter().filter_map(|name| choice.get(*name)).cloned().collect()
}

fn walk_message(map: &mut Map<String, Value>, at: &str, walk: &mut Walk<'_>) {
    let mut except = vec!["tool_calls", "audio"];
    except.extend(TEXTS.iter().map(|(name, _)| *name));
    walk.rest(map, at, Channel::Output, &except);
    for (name, channel) in TEXTS {
        if let Some(text) = map.get_mut(*name) {
            walk.all(text, &format!("{at}/{name}"), *channel);
        }
    }
    if let Some(calls) = map.get_mut("tool_calls") {
        tool_calls(calls, &format!("{at}/tool_calls"), walk);
    }
    if let Some(Value::Object(audio)) = map.get_mut("audio") {
        walk.rest(audio, &format!("{at}/audio"), Channel::Output, &["data"]);
        let bytes = audio.get("data").and_then(Value::as_str).map_or(0, str::len);
        walk.binary(&format!("{at}/audio"), "audio", bytes);
    }
}

/// Reads the chunks of a stream.
#[derive(Debug, Default)]
struct Reader {
    wants_usage: bool,
    /// What each chunk repeats: id, model, time.
    frame: Map<String, Value>,
    open: BTreeSet<Lane>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        if event.data.trim() == "[DONE]" {
            let mut pieces: Vec<Piece> =
                std::mem::take(&mut self.open).into_iter().map(Piece::End).collect();
            pieces.push(Piece::Done(Event::data("[DONE]".to_owned())));
            return Ok(pieces);
        }
        let mut body = object(&event.data)?;
        self.remember(&body);
        let mut pieces = Vec::new();
        let usage = body.get("usage").and_then(openai_usage);
        pieces.extend(usage.map(Piece::Usage));
        let mut says = usage.is_some() && self.wants_usage || body.get("error").is_some();
        if let Some(Value::Array(choices)) = body.get_mut("choices") {
            for choice in choices {
                let Value::Object(choice) = choice else {
                    return Err(Garbage("a choice is no object".to_owned()));
                };
                says |= self.choice(choice, &mut pieces);
            }
        }
        if says {
            let reply = |body: &mut Value, walk: &mut Walk<'_>| walk_choices(body, walk);
            pieces.push(Piece::Pass(Envelope::new(&event.name, Value::Object(body), reply)));
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let delta = if lane.field == "arguments" {
            json!({"tool_calls": [{"index": lane.part, "function": {"arguments": text}}]})
        } else {
            json!({lane.field.as_str(): text})
        };
        let mut body = self.frame.clone();
        body.insert(
            "choices".to_owned(),
            json!([{"index": lane.index, "delta": delta, "finish_reason": null}]),
        );
        Event::data(Value::Object(body).to_string())
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        Event::data(error_body(Provider::OpenAi, failure, request).to_string())
    }
}

impl Reader {
    fn remember(&mut self, body: &Map<String, Value>) {
        if self.frame.is_empty() {
            let framing = |(name, _): &(&String, &Value)| {
                !["choices", "usage", "error"].contains(&name.as_str())
            };
            self.frame = body
                .iter()
                .filter(framing)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
        }
    }

    /// Takes the texts out of a choice; says whether something is left to pass on.
    fn choice(&mut self, choice: &mut Map<String, Value>, pieces: &mut Vec<Piece>) -> bool {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let mut says = false;
        if let Some(Value::Object(delta)) = choice.get_mut("delta") {
            for (name, channel) in TEXTS {
                let Some(Value::String(text)) = delta.get_mut(*name) else { continue };
                let text = std::mem::take(text);
                if text.is_empty() {
                    continue;
                }
                let lane = Lane { index, part: 0, field: (*name).to_owned() };
                self.open.insert(lane.clone());
                pieces.push(Piece::Text { lane, channel: *channel, text });
            }
            if let Some(Value::Array(calls)) = delta.get_mut("tool_calls") {
                self.calls(index, calls, pieces);
            }
            says = delta.values().any(|value| !matches!(value, Value::Null) && value != "");
        }
        // Tokens would tell what is held: they do not outrun the text that they spell.
        let spelled = choice.get("logprobs").is_some_and(|logprobs| !logprobs.is_null());
        if spelled {
            choice.insert("logprobs".to_owned(), Value::Null);
        }
        if choice.get("finish_reason").is_some_and(|reason| !reason.is_null()) {
            let ended: Vec<Lane> =
                self.open.iter().filter(|lane| lane.index == index).cloned().collect();
            for lane in ended {
                self.open.remove(&lane);
                pieces.push(Piece::End(lane));
            }
            says = true;
        }
        says
    }

    fn calls(&mut self, index: u64, calls: &mut [Value], pieces: &mut Vec<Piece>) {
        for call in calls {
            let part = call.get("index").and_then(Value::as_u64).unwrap_or(0);
            if let Some(Value::String(text)) = call.pointer_mut("/function/arguments") {
                let text = std::mem::take(text);
                let lane = Lane { index, part, field: "arguments".to_owned() };
                self.open.insert(lane.clone());
                pieces.push(Piece::Whole { lane, text });
            }
        }
    }
}

/// An event's data as an object.
pub(super) fn object(data: &str) -> Result<Map<String, Value>, Garbage> {
    match bartizan_core::json::parse(data.as_bytes(), usize::MAX) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Garbage("an event is no object".to_owned())),
        Err(problem) => Err(Garbage(format!("an event is no JSON: {problem}"))),
    }
}
