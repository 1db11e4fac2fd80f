//! Anthropic's `messages`.
//!
//! Source: Anthropic API reference, messages.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage, anthropic_events,
    parts::{self, field, seams},
    refusal,
    walk::Walk,
};

/// The roles of messages. The newest models take instructions between turns, too.
pub(super) const ROLES: &[&str] = &["user", "assistant", "system"];

/// Fields that hold what only the provider can read: it packed them itself.
const SEALED: &[&str] = &["encrypted_content", "encrypted_index", "encrypted_stdout", "signature"];

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
        parts::messages(body, ROLES)?;
        parts::text_or_list(body, "system")?;
        parts::list(body, "tools")?;
        match body.get("max_tokens") {
            None | Some(Value::Null) => {
                Err(refusal("max_tokens", "`max_tokens` is missing: expected a whole number"))
            }
            // Zero warms the provider's cache.
            Some(_) => parts::whole(body, "max_tokens", 0, u64::MAX),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_request(body, walk);
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_message(body, "", walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        parts::number(body, &["max_tokens"])
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(anthropic_events::Reader::default()))
    }
}

/// Tokens in and out; what came from the provider's cache went in, too.
pub(super) fn usage(usage: &Value) -> Option<Usage> {
    let number = |name: &str| parts::number(usage, &[name]);
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"]
        .into_iter()
        .filter_map(number)
        .fold(0, u64::saturating_add);
    let (input, output) = (number("input_tokens"), number("output_tokens"));
    (input.is_some() || output.is_some()).then(|| Usage {
        input: input.unwrap_or(0).saturating_add(cached),
        output: output.unwrap_or(0),
    })
}

/// The body of a request, or of a question for its tokens.
pub(super) fn walk_request(body: &mut Value, walk: &mut Walk<'_>) {
    walk.fields(body, "", Channel::Content, |walk, key, value, at| {
        match key {
            "system" => blocks(value, at, Channel::System, walk),
            "messages" => {
                walk.each(value, at, Channel::User, |walk, one, at| message(one, at, walk));
                // The provider itself makes one turn of those of one role.
                parts::turns(value, at, false, walk, |message| Some(channel(message)));
            }
            "tools" => tools(value, at, walk),
            "output_config" | "output_format" => walk.all(value, at, Channel::ToolDescription),
            // Tools and files that rest with the provider.
            "mcp_servers" | "container" => {
                walk.reference(value, at, "provider_tool", Channel::Content);
            }
            _ => return false,
        }
        true
    });
}

/// Whose words a message is.
fn channel(message: &Value) -> Channel {
    match field(message, "role") {
        "assistant" => Channel::Assistant,
        "system" => Channel::System,
        _ => Channel::User,
    }
}

fn message(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    let channel = channel(value);
    walk.fields(value, at, channel, |walk, key, value, at| {
        let is_content = key == "content";
        if is_content {
            blocks(value, at, channel, walk);
        }
        is_content
    });
}

/// Content blocks, one alone, or a string.
fn blocks(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    if value.is_object() {
        return block(value, at, channel, walk);
    }
    walk.each(value, at, channel, |walk, one, at| block(one, at, channel, walk));
    seams(value, at, channel, walk);
}

/// One block of content.
pub(super) fn block(value: &mut Value, at: &str, outer: Channel, walk: &mut Walk<'_>) {
    let kind = field(value, "type").to_owned();
    let channel = match kind.as_str() {
        kind if kind.ends_with("tool_use") => Channel::ToolCall,
        kind if outer.is_outbound() && kind.contains("thinking") => Channel::Reasoning,
        _ if outer.is_outbound() => outer,
        "document" | "search_result" => Channel::Content,
        kind if kind.ends_with("tool_result") => Channel::ToolResult,
        _ => outer,
    };
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "content" => blocks(value, at, channel, walk),
            "source" => source(value, at, &kind, channel, walk),
            "data" => walk.binary(value, at, "redacted thinking", channel),
            "file_id" => walk.reference(value, at, "file_id", channel),
            key if SEALED.contains(&key) => walk.binary(value, at, "sealed", channel),
            _ => return false,
        }
        true
    });
}

/// Where an image or a document comes from.
fn source(value: &mut Value, at: &str, what: &str, channel: Channel, walk: &mut Walk<'_>) {
    let kind = field(value, "type").to_owned();
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "url" => walk.url(value, at, channel),
            "file_id" => walk.reference(value, at, "file_id", channel),
            "content" => blocks(value, at, channel, walk),
            "data" if kind == "base64" => walk.binary(value, at, what, channel),
            _ => return false,
        }
        true
    });
}

/// Tools with a type of their own run at the provider, but for those that the client
/// runs itself under a schema that the model knows.
fn tools(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    const CLIENTS: &[&str] = &["bash_20", "text_editor_20", "computer_20", "memory_20"];
    for (i, tool) in value.as_array().into_iter().flatten().enumerate() {
        let kind = tool.get("type").map_or("custom", |kind| kind.as_str().unwrap_or_default());
        let is_clients = kind == "custom" || CLIENTS.iter().any(|known| kind.starts_with(known));
        if !is_clients {
            walk.opaque(&format!("{at}/{i}"), "provider_tool");
        }
    }
    walk.all(value, at, Channel::ToolDescription);
}

/// A message of the model.
pub(super) fn walk_message(body: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.fields(body, at, Channel::Output, |walk, key, value, at| {
        let is_content = key == "content";
        if is_content {
            blocks(value, at, Channel::Output, walk);
        }
        is_content
    });
}
