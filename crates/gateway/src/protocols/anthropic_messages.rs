//! Anthropic's `messages`.
//!
//! Source: Anthropic API reference, messages and streaming messages.

use std::collections::BTreeMap;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Call, Envelope, Failure, Garbage, Lane, Meta, Piece, Protocol, Provider, Refusal, StreamReader,
    Usage, error_body,
    openai_chat::object,
    parts::{self, kind},
    refusal,
    walk::Walk,
};
use crate::sse::Event;

#[derive(Debug)]
pub(super) struct AnthropicMessages;

impl Protocol for AnthropicMessages {
    fn meta(&self) -> Meta {
        Meta {
            name: "anthropic-messages",
            provider: Provider::Anthropic,
            path: "/v1/messages",
            operation: "chat",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        parts::messages(body, &["user", "assistant", "system"])?;
        match body.get("max_tokens") {
            Some(Value::Number(_)) => {}
            None => {
                return Err(refusal(
                    "max_tokens",
                    "`max_tokens` is missing: expected a whole number",
                ));
            }
            Some(other) => {
                return Err(refusal(
                    "max_tokens",
                    format!("`max_tokens` is {}: expected a whole number", kind(other)),
                ));
            }
        }
        match body.get("system") {
            None | Some(Value::Null | Value::String(_) | Value::Array(_)) => Ok(()),
            Some(other) => Err(refusal(
                "system",
                format!("`system` is {}: expected a string or a list of blocks", kind(other)),
            )),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        walk.rest(
            map,
            "",
            Channel::Content,
            &["model", "system", "messages", "tools", "mcp_servers", "container"],
        );
        for (name, value) in map.iter_mut() {
            let at = format!("/{name}");
            match name.as_str() {
                "system" => blocks(value, &at, Channel::System, walk),
                "messages" => messages(value, &at, walk),
                "tools" => tools(value, &at, walk),
                "mcp_servers" | "container" if !value.is_null() => {
                    walk.opaque(&at, "provider_tool");
                    walk.all(value, &at, Channel::Content);
                }
                _ => {}
            }
        }
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_message(body, walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        body.get("max_tokens").and_then(Value::as_u64)
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(Reader::default()))
    }
}

fn usage(usage: &Value) -> Option<Usage> {
    let number = |name: &str| usage.get(name).and_then(Value::as_u64);
    let cached = number("cache_creation_input_tokens")
        .unwrap_or(0)
        .saturating_add(number("cache_read_input_tokens").unwrap_or(0));
    let (input, output) = (number("input_tokens"), number("output_tokens"));
    (input.is_some() || output.is_some()).then(|| Usage {
        input: input.unwrap_or(0).saturating_add(cached),
        output: output.unwrap_or(0),
    })
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
            Some("assistant") => Channel::Assistant,
            Some("system") => Channel::System,
            _ => Channel::User,
        };
        walk.rest(map, &at, channel, &["role", "content"]);
        if let Some(content) = map.get_mut("content") {
            blocks(content, &format!("{at}/content"), channel, walk);
        }
    }
}

/// Content blocks, or a string.
fn blocks(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    let Value::Array(list) = value else { return walk.all(value, at, channel) };
    for (i, block) in list.iter_mut().enumerate() {
        let at = format!("{at}/{i}");
        match block {
            Value::Object(map) => self::block(map, &at, channel, walk),
            other => walk.all(other, &at, channel),
        }
    }
}

fn block(map: &mut Map<String, Value>, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let channel = match kind.as_str() {
        "tool_use" | "server_tool_use" | "mcp_tool_use" => Channel::ToolCall,
        _ if channel.is_outbound() && kind.contains("thinking") => Channel::Reasoning,
        _ if channel.is_outbound() => channel,
        "document" | "search_result" => Channel::Content,
        kind if kind.ends_with("tool_result") => Channel::ToolResult,
        _ => channel,
    };
    walk.rest(map, at, channel, &["type", "source", "content", "data", "signature"]);
    if let Some(content) = map.get_mut("content") {
        blocks(content, &format!("{at}/content"), channel, walk);
    }
    if let Some(Value::String(data)) = map.get("data") {
        walk.binary(&format!("{at}/data"), "redacted thinking", data.len());
    }
    if let Some(Value::String(signature)) = map.get("signature") {
        walk.binary(&format!("{at}/signature"), "signature", signature.len());
    }
    match map.get_mut("source") {
        Some(Value::Object(source)) => {
            self::source(source, &format!("{at}/source"), &kind, channel, walk)
        }
        Some(other) => walk.all(other, &format!("{at}/source"), channel),
        None => {}
    }
}

/// Where an image or a document comes from.
fn source(
    map: &mut Map<String, Value>,
    at: &str,
    what: &str,
    channel: Channel,
    walk: &mut Walk<'_>,
) {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    walk.rest(map, at, channel, &["type", "data", "content", "url"]);
    if let Some(url) = map.get_mut("url") {
        walk.url(url, &format!("{at}/url"), what, channel);
    }
    if let Some(content) = map.get_mut("content") {
        blocks(content, &format!("{at}/content"), channel, walk);
    }
    if kind == "file" {
        walk.opaque(at, "file_id");
    }
    match map.get_mut("data") {
        Some(Value::String(data)) if kind == "base64" => {
            walk.binary(&format!("{at}/data"), what, data.len())
        }
        Some(data) => walk.all(data, &format!("{at}/data"), channel),
        None => {}
    }
}

/// Tools with a type of their own run at the provider.
fn tools(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    if let Value::Array(list) = &*value {
        for (i, tool) in list.iter().enumerate() {
            // Those that the client runs itself, under a schema that the provider knows.
            const CLIENTS: &[&str] = &["custom", "bash_", "text_editor_", "computer_", "memory_"];
            let kind = tool.get("type").and_then(Value::as_str).unwrap_or("custom");
            if !CLIENTS.iter().any(|known| kind.starts_with(known)) {
                walk.opaque(&format!("{at}/{i}"), "provider_tool");
            }
        }
    }
    walk.all(value, at, Channel::ToolDescription);
}

fn walk_message(body: &mut Value, walk: &mut Walk<'_>) {
    let Value::Object(map) = body else { return };
    walk.rest(map, "", Channel::Output, &["content"]);
    if let Some(content) = map.get_mut("content") {
        blocks(content, "/content", Channel::Output, walk);
    }
}

/// An event: a message, a block or a delta stands in it.
fn walk_event(body: &mut Value, walk: &mut Walk<'_>) {
    let Value::Object(map) = body else { return };
    walk.rest(map, "", Channel::Output, &["message", "content_block", "delta"]);
    if let Some(message) = map.get_mut("message") {
        walk_message(message, walk);
    }
    for name in ["content_block", "delta"] {
        if let Some(Value::Object(one)) = map.get_mut(name) {
            block(one, &format!("/{name}"), Channel::Output, walk);
        }
    }
}

#[derive(Debug, Default)]
struct Reader {
    /// The lanes of each block that is open.
    open: BTreeMap<u64, Vec<Lane>>,
    usage: Usage,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        let mut body = object(&event.data)?;
        let kind = body.get("type").and_then(Value::as_str).unwrap_or(&event.name).to_owned();
        let index = body.get("index").and_then(Value::as_u64).unwrap_or(0);
        let mut pieces = Vec::new();
        match kind.as_str() {
            "content_block_delta" => {
                if let Some(piece) = self.delta(index, &mut body) {
                    return Ok(vec![piece]);
                }
            }
            "content_block_stop" => {
                pieces.extend(self.open.remove(&index).into_iter().flatten().map(Piece::End))
            }
            "message_start" => {
                self.count(body.get("message").and_then(|message| message.get("usage")))
            }
            "message_delta" => {
                self.count(body.get("usage"));
                pieces.push(Piece::Usage(self.usage));
            }
            "message_stop" | "error" => {
                let open = std::mem::take(&mut self.open).into_values().flatten();
                pieces.extend(open.map(Piece::End));
            }
            _ => {}
        }
        let is_end = kind == "message_stop" || kind == "error";
        pieces.push(Piece::Pass(Envelope::new(&event.name, Value::Object(body), walk_event)));
        if is_end {
            pieces.push(Piece::Done(Event::default()));
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let delta = match lane.field.as_str() {
            "partial_json" => json!({"type": "input_json_delta", "partial_json": text}),
            "thinking" => json!({"type": "thinking_delta", "thinking": text}),
            _ => json!({"type": "text_delta", "text": text}),
        };
        let body = json!({"type": "content_block_delta", "index": lane.index, "delta": delta});
        Event { name: "content_block_delta".to_owned(), data: body.to_string() }
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        Event {
            name: "error".to_owned(),
            data: error_body(Provider::Anthropic, failure, request).to_string(),
        }
    }
}

impl Reader {
    /// The text of a delta; none where it holds no text.
    fn delta(&mut self, index: u64, body: &mut Map<String, Value>) -> Option<Piece> {
        let Some(Value::Object(delta)) = body.get_mut("delta") else { return None };
        for (field, channel) in [
            ("text", Channel::Output),
            ("thinking", Channel::Reasoning),
            ("partial_json", Channel::ToolCall),
        ] {
            let Some(Value::String(text)) = delta.get_mut(field) else { continue };
            let text = std::mem::take(text);
            let lane = Lane { index, part: 0, field: field.to_owned() };
            let lanes = self.open.entry(index).or_default();
            if !lanes.contains(&lane) {
                lanes.push(lane.clone());
            }
            return Some(match channel {
                Channel::ToolCall => Piece::Whole { lane, text },
                channel => Piece::Text { lane, channel, text },
            });
        }
        None
    }

    fn count(&mut self, said: Option<&Value>) {
        if let Some(said) = said.and_then(usage) {
            self.usage.input = self.usage.input.max(said.input);
            self.usage.output = self.usage.output.max(said.output);
        }
    }
}
