//! OpenAI's `responses`: items in, items out, and a stream that repeats itself.
//!
//! Source: OpenAI API reference, responses and streaming events.

use bartizan_guard::Channel;
use serde_json::{Value, json};

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage, logprobs, openai_events,
    parts::{self, field, openai_part, openai_tools, openai_usage, seams},
    walk::Walk,
};

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
        parts::text_or_list(body, "input")?;
        parts::text_or_list(body, "instructions")?;
        parts::list(body, "tools")?;
        parts::boolean(body, "background")?;
        parts::whole(body, "max_output_tokens", 0, u64::MAX)
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.fields(body, "", Channel::Content, |walk, key, value, at| {
            match key {
                "input" => items(value, at, Channel::User, walk),
                "instructions" => items(value, at, Channel::System, walk),
                "tools" => openai_tools(value, at, walk),
                "text" => walk.all(value, at, Channel::ToolDescription),
                "background" if *value == Value::Bool(true) => walk.opaque(at, "batch"),
                "background_options" => walk.reference(value, at, "batch", Channel::Content),
                // A template at the provider: it may say anything.
                "previous_response_id" | "conversation" | "prompt" => {
                    walk.reference(value, at, "previous_response_id", Channel::Content);
                }
                key if parts::PROVIDER_RUN.contains(&key) && *value != Value::Bool(false) => {
                    walk.reference(value, at, "provider_tool", Channel::Content);
                }
                _ => return false,
            }
            true
        });
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_response(body, "", walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        parts::number(body, &["max_output_tokens"])
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(openai_events::Reader::default()))
    }
}

/// Items of a conversation. `own` is the channel of what has no role.
fn items(value: &mut Value, at: &str, own: Channel, walk: &mut Walk<'_>) {
    walk.each(value, at, own, |walk, one, at| item(one, at, own, walk));
    // SDKs join the messages of an answer, whatever stands between them.
    parts::turns(value, at, own.is_outbound(), walk, |item| {
        let kind = field(item, "type");
        let is_message = ["", "message"].contains(&kind);
        is_message.then(|| channel(kind, field(item, "role"), own))
    });
}

/// One item, of a request or of an answer.
fn item(value: &mut Value, at: &str, own: Channel, walk: &mut Walk<'_>) {
    let kind = field(value, "type").to_owned();
    let channel = channel(&kind, field(value, "role"), own);
    // What the provider keeps, or has packed so that only it can read it.
    if ["item_reference", "compaction"].contains(&kind.as_str()) {
        walk.opaque(at, "previous_response_id");
    }
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "content" | "summary" | "output" => content(value, at, channel, walk),
            "arguments" | "input" => walk.json(value, at, channel),
            "encrypted_content" => walk.binary(value, at, "encrypted", channel),
            "tools" => openai_tools(value, at, walk),
            "result" if kind == "image_generation_call" => walk.binary(value, at, "image", channel),
            "file_id" => walk.reference(value, at, "file_id", channel),
            "image_url" => walk.url(value, at, channel),
            _ => return false,
        }
        true
    });
}

/// Whose words an item is.
fn channel(kind: &str, role: &str, own: Channel) -> Channel {
    let is_answer = own.is_outbound();
    match (kind, role) {
        ("reasoning", _) if is_answer => Channel::Reasoning,
        (kind, _) if kind.ends_with("_call") => Channel::ToolCall,
        _ if is_answer => own,
        (kind, _) if kind.ends_with("_output") => Channel::ToolResult,
        (_, "system" | "developer") => Channel::System,
        (_, "assistant") | ("reasoning", _) => Channel::Assistant,
        (_, "user") => Channel::User,
        _ => own,
    }
}

/// The parts of an item, or its text; a tool's output may be one part alone.
fn content(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    if value.is_object() {
        return part(value, at, channel, walk);
    }
    walk.each(value, at, channel, |walk, one, at| part(one, at, channel, walk));
    seams(value, at, channel, walk);
}

fn part(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    let mut tokens = value.get_mut("logprobs").map(Value::take);
    let before = field(value, "text").to_owned();
    openai_part(value, at, channel, walk);
    let now = field(value, "text").to_owned();
    if let Some(tokens) = &mut tokens {
        match now == before {
            true => logprobs::visit(tokens, &[now], &format!("{at}/logprobs"), walk),
            false => *tokens = Value::Null,
        }
    }
    if let (Some(tokens), Some(place)) = (tokens, value.get_mut("logprobs")) {
        // SDKs expect a list here, if an empty one.
        *place = if tokens.is_null() { json!([]) } else { tokens };
    }
}

/// A response object: what it echoes of the request is shown as the request's.
fn walk_response(body: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.fields(body, at, Channel::Output, |walk, key, value, at| {
        match key {
            "output" => items(value, at, Channel::Output, walk),
            "instructions" => items(value, at, Channel::System, walk),
            "tools" => openai_tools(value, at, walk),
            "text" => walk.all(value, at, Channel::ToolDescription),
            _ => return false,
        }
        true
    });
}

/// An event: an item, a part or a response stands in it, or plain fields.
pub(super) fn walk_event(body: &mut Value, walk: &mut Walk<'_>) {
    let kind = field(body, "type").to_owned();
    let own = if kind.contains("reasoning") { Channel::Reasoning } else { Channel::Output };
    walk.fields(body, "", own, |walk, key, value, at| {
        match key {
            "item" => item(value, at, Channel::Output, walk),
            "part" => part(value, at, own, walk),
            "response" => walk_response(value, at, walk),
            "arguments" | "input" | "code" | "command" => walk.json(value, at, Channel::ToolCall),
            "delta" if kind.contains("audio") => walk.binary(value, at, "audio", own),
            "partial_image_b64" => walk.binary(value, at, "image", own),
            _ => return false,
        }
        true
    });
}
