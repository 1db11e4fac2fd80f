//! OpenAI's `responses`: items in, items out, and a stream that repeats itself.
//!
//! Source: OpenAI API reference, responses and streaming events. The events that
//! close an item repeat its text whole; they are inspected whole, which gives the
//! same text that the stream released.

use std::collections::BTreeSet;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Call, Envelope, Failure, Garbage, Lane, Meta, Piece, Protocol, Provider, Refusal, StreamReader,
    Usage,
    openai_chat::object,
    parts::{kind, openai_content, openai_tools, openai_usage},
    refusal,
    walk::Walk,
};
use crate::sse::Event;

#[derive(Debug)]
pub(super) struct OpenAiResponses;

impl Protocol for OpenAiResponses {
    fn meta(&self) -> Meta {
        Meta {
            name: "openai-responses",
            provider: Provider::OpenAi,
            path: "/v1/responses",
            operation: "chat",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        match body.get("input") {
            None | Some(Value::Null | Value::String(_) | Value::Array(_)) => {}
            Some(other) => {
                return Err(refusal(
                    "input",
                    format!("`input` is {}: expected a string or a list", kind(other)),
                ));
            }
        }
        match body.get("instructions") {
            None | Some(Value::Null | Value::String(_) | Value::Array(_)) => Ok(()),
            Some(other) => Err(refusal(
                "instructions",
                format!("`instructions` is {}: expected a string", kind(other)),
            )),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        const OPAQUE: &[&str] = &["previous_response_id", "conversation", "prompt"];
        walk.rest(
            map,
            "",
            Channel::Content,
            &[
                "model",
                "input",
                "instructions",
                "tools",
                "text",
                "previous_response_id",
                "conversation",
                "prompt",
            ],
        );
        if map.get("background") == Some(&Value::Bool(true)) {
            walk.opaque("/background", "batch");
        }
        for (name, value) in map.iter_mut() {
            let at = format!("/{name}");
            match name.as_str() {
                "input" => items(value, &at, Channel::User, walk),
                "instructions" => walk.all(value, &at, Channel::System),
                "text" => walk.all(value, &at, Channel::System),
                "tools" => openai_tools(value, &at, walk),
                name if OPAQUE.contains(&name) && !value.is_null() => {
                    walk.opaque(&at, "previous_response_id");
                    walk.all(value, &at, Channel::Content);
                }
                _ => {}
            }
        }
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_response(body, walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        body.get("max_output_tokens").and_then(Value::as_u64)
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(Reader::default()))
    }
}

/// Items of a conversation, in a request or an answer. `own` is the channel of what
/// has no role.
fn items(value: &mut Value, at: &str, own: Channel, walk: &mut Walk<'_>) {
    let Value::Array(list) = value else { return walk.all(value, at, own) };
    for (i, one) in list.iter_mut().enumerate() {
        let at = format!("{at}/{i}");
        match one {
            Value::Object(map) => item(map, &at, own, walk),
            other => walk.all(other, &at, own),
        }
    }
}

fn item(map: &mut Map<String, Value>, at: &str, own: Channel, walk: &mut Walk<'_>) {
    let is_answer = own.is_outbound();
    let kind = map.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let role = map.get("role").and_then(Value::as_str).unwrap_or_default();
    let channel = match (kind.as_str(), role) {
        ("reasoning", _) if is_answer => Channel::Reasoning,
        (
            "function_call" | "custom_tool_call" | "mcp_call" | "computer_call"
            | "local_shell_call",
            _,
        ) => Channel::ToolCall,
        (_, _) if is_answer => own,
        (kind, _) if kind.ends_with("_output") => Channel::ToolResult,
        (_, "system" | "developer") => Channel::System,
        (_, "assistant") | ("reasoning", _) => Channel::Assistant,
        _ => own,
    };
    if kind == "item_reference" {
        walk.opaque(at, "previous_response_id");
    }
    walk.rest(
        map,
        at,
        channel,
        &["role", "type", "content", "arguments", "encrypted_content", "result"],
    );
    if let Some(content) = map.get_mut("content") {
        openai_content(content, &format!("{at}/content"), channel, walk);
    }
    if let Some(arguments) = map.get_mut("arguments") {
        walk.json(arguments, &format!("{at}/arguments"), channel);
    }
    if let Some(Value::String(sealed)) = map.get("encrypted_content") {
        walk.binary(&format!("{at}/encrypted_content"), "encrypted reasoning", sealed.len());
    }
    match map.get_mut("result") {
        Some(Value::String(image)) if kind == "image_generation_call" => {
            walk.binary(&format!("{at}/result"), "image", image.len())
        }
        Some(other) => walk.all(other, &format!("{at}/result"), channel),
        None => {}
    }
}

fn walk_response(body: &mut Value, walk: &mut Walk<'_>) {
    let Value::Object(map) = body else { return };
    response(map, "", walk);
}

/// A response object: what it echoes of the request is the request's, and was
/// inspected; it is inspected again as what it now is, an answer.
fn response(map: &mut Map<String, Value>, at: &str, walk: &mut Walk<'_>) {
    walk.rest(map, at, Channel::Output, &["output", "instructions", "tools", "text"]);
    if let Some(output) = map.get_mut("output") {
        items(output, &format!("{at}/output"), Channel::Output, walk);
    }
    for echoed in ["instructions", "tools", "text"] {
        if let Some(value) = map.get_mut(echoed) {
            walk.all(value, &format!("{at}/{echoed}"), Channel::System);
        }
    }
}

/// An event: an item, a part or a response stands in it, or plain fields.
fn walk_event(body: &mut Value, walk: &mut Walk<'_>) {
    let Value::Object(map) = body else { return };
    let is_reasoning =
        map.get("type").and_then(Value::as_str).is_some_and(|name| name.contains("reasoning"));
    let own = if is_reasoning { Channel::Reasoning } else { Channel::Output };
    walk.rest(map, "", own, &["item", "response", "arguments"]);
    if let Some(Value::Object(one)) = map.get_mut("item") {
        item(one, "/item", Channel::Output, walk);
    }
    if let Some(Value::Object(one)) = map.get_mut("response") {
        response(one, "/response", walk);
    }
    if let Some(arguments) = map.get_mut("arguments") {
        walk.json(arguments, "/arguments", Channel::ToolCall);
    }
}

#[derive(Debug, Default)]
struct Reader {
    open: BTreeSet<Lane>,
    /// The last delta's event of each lane, to write further ones in its form.
    frames: std::collections::BTreeMap<Lane, Map<String, Value>>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        if event.data.trim() == "[DONE]" {
            return Ok(vec![Piece::Done(Event::data("[DONE]".to_owned()))]);
        }
        let mut body = object(&event.data)?;
        let name = body.get("type").and_then(Value::as_str).unwrap_or(&event.name).to_owned();
        if let (Some(stem), Some(Value::String(text))) =
            (name.strip_suffix(".delta"), body.get_mut("delta"))
        {
            let text = std::mem::take(text);
            return Ok(self.delta(stem, body, text));
        }
        let mut pieces = Vec::new();
        if let Some(stem) = name.strip_suffix(".done") {
            let lane = lane(stem, &body);
            if self.open.remove(&lane) {
                pieces.push(Piece::End(lane));
            }
        }
        let is_end = ["response.completed", "response.incomplete", "response.failed", "error"]
            .contains(&name.as_str());
        if is_end {
            pieces.extend(std::mem::take(&mut self.open).into_iter().map(Piece::End));
        }
        let usage =
            body.get("response").and_then(|response| response.get("usage")).and_then(openai_usage);
        pieces.extend(usage.map(Piece::Usage));
        if body.contains_key("logprobs") {
            body.insert("logprobs".to_owned(), json!([]));
        }
        pieces.push(Piece::Pass(Envelope::new(&event.name, Value::Object(body), walk_event)));
        if is_end {
            // There is no event after it: the connection ends.
            pieces.push(Piece::Done(Event::default()));
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let mut body = self.frames.get(lane).cloned().unwrap_or_default();
        body.insert("delta".to_owned(), text.into());
        let name = format!("{}.delta", lane.field);
        Event { name, data: Value::Object(body).to_string() }
    }

    fn error(&self, failure: &Failure, _: &str) -> Event {
        let body = json!({"type": "error", "code": failure.code, "message": failure.message, "param": failure.param, "sequence_number": 0});
        Event { name: "error".to_owned(), data: body.to_string() }
    }
}

impl Reader {
    fn delta(&mut self, stem: &str, mut body: Map<String, Value>, text: String) -> Vec<Piece> {
        let lane = lane(stem, &body);
        if body.contains_key("logprobs") {
            body.insert("logprobs".to_owned(), json!([]));
        }
        body.shift_remove("obfuscation");
        self.frames.insert(lane.clone(), body);
        self.open.insert(lane.clone());
        let is_arguments =
            stem.contains("arguments") || stem.contains("input") || stem.contains("code");
        if is_arguments {
            return vec![Piece::Whole { lane, text }];
        }
        if stem.contains("audio") && !stem.contains("transcript") {
            // Sound holds no text; it is passed on as it is.
            self.open.remove(&lane);
            let mut body = self.frames.get(&lane).cloned().unwrap_or_default();
            body.insert("delta".to_owned(), text.into());
            return vec![Piece::Pass(Envelope::new(
                &format!("{stem}.delta"),
                Value::Object(body),
                walk_event,
            ))];
        }
        let channel = if stem.contains("reasoning") { Channel::Reasoning } else { Channel::Output };
        vec![Piece::Text { lane, channel, text }]
    }
}

fn lane(stem: &str, body: &Map<String, Value>) -> Lane {
    let number = |name: &str| body.get(name).and_then(Value::as_u64);
    let part = number("content_index").or_else(|| number("summary_index")).unwrap_or(0);
    Lane { index: number("output_index").unwrap_or(0), part, field: stem.to_owned() }
}
