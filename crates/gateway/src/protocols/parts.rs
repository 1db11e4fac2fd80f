//! What several protocols share: checks of fields, parts of messages, tools.

use bartizan_guard::Channel;
use serde_json::{Map, Value};

use super::{Refusal, refusal, walk::Walk};

/// A string field.
pub(super) fn text<'a>(body: &'a Value, field: &str, required: bool) -> Result<&'a str, Refusal> {
    match body.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null) if !required => Ok(""),
        None | Some(Value::Null) => {
            Err(refusal(field, format!("`{field}` is missing: expected a string")))
        }
        Some(other) => Err(refusal(
            field,
            format!("`{field}` is {}: expected a string that is not empty", kind(other)),
        )),
    }
}

/// A field that is true, false, or not there.
pub(super) fn boolean(body: &Value, field: &str) -> Result<(), Refusal> {
    match body.get(field) {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(other) => {
            Err(refusal(field, format!("`{field}` is {}: expected true or false", kind(other))))
        }
    }
}

/// A list of messages, each an object with a role.
pub(super) fn messages(body: &Value, roles: &[&str]) -> Result<(), Refusal> {
    let list = match body.get("messages") {
        Some(Value::Array(list)) => list,
        None | Some(Value::Null) => {
            return Err(refusal("messages", "`messages` is missing: expected a list"));
        }
        Some(other) => {
            return Err(refusal(
                "messages",
                format!("`messages` is {}: expected a list", kind(other)),
            ));
        }
    };
    if list.is_empty() {
        return Err(refusal("messages", "`messages` is empty: expected at least one message"));
    }
    for (i, message) in list.iter().enumerate() {
        let at = format!("messages[{i}]");
        let Value::Object(map) = message else {
            return Err(refusal(&at, format!("`{at}` is {}: expected an object", kind(message))));
        };
        let role = map.get("role").and_then(Value::as_str).unwrap_or_default();
        if !roles.contains(&role) {
            let role = bartizan_core::json::clip(role, 32);
            return Err(refusal(
                &format!("{at}.role"),
                format!("`{at}.role` is `{role}`: expected one of {}", roles.join(", ")),
            ));
        }
        if let Some(content @ (Value::Number(_) | Value::Bool(_) | Value::Object(_))) =
            map.get("content")
        {
            return Err(refusal(
                &format!("{at}.content"),
                format!(
                    "`{at}.content` is {}: expected a string or a list of parts",
                    kind(content)
                ),
            ));
        }
    }
    Ok(())
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Text, lists of texts, or numbers of tokens, which only the provider can read.
pub(super) fn prompt(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    let numbers = |items: &[Value]| items.first().is_some_and(Value::is_number);
    let is_tokens = match &*value {
        Value::Array(items) => {
            numbers(items)
                || items.first().and_then(Value::as_array).is_some_and(|inner| numbers(inner))
        }
        _ => false,
    };
    if is_tokens {
        walk.opaque(at, "file_id");
    }
    walk.all(value, at, Channel::User);
}

/// The tools of OpenAI's protocols: those that are no functions run at the provider.
pub(super) fn openai_tools(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    if let Value::Array(tools) = &*value {
        for (i, tool) in tools.iter().enumerate() {
            let kind = tool.get("type").and_then(Value::as_str).unwrap_or("function");
            if !["function", "custom"].contains(&kind) {
                walk.opaque(&format!("{at}/{i}"), "provider_tool");
            }
        }
    }
    walk.all(value, at, Channel::ToolDescription);
}

/// Parts of a message in OpenAI's protocols.
pub(super) fn openai_content(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    let Value::Array(parts) = value else { return walk.all(value, at, channel) };
    for (i, part) in parts.iter_mut().enumerate() {
        let at = format!("{at}/{i}");
        match part {
            Value::Object(map) => openai_part(map, &at, channel, walk),
            other => walk.all(other, &at, channel),
        }
    }
}

fn openai_part(map: &mut Map<String, Value>, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    const SPECIAL: &[&str] =
        &["image_url", "input_audio", "file", "file_data", "file_id", "file_url", "audio"];
    walk.rest(map, at, channel, SPECIAL);
    for name in SPECIAL {
        let Some(value) = map.get_mut(*name) else { continue };
        let at = format!("{at}/{name}");
        match (*name, value) {
            ("image_url", Value::Object(image)) => {
                walk.rest(image, &at, channel, &["url"]);
                if let Some(url) = image.get_mut("url") {
                    walk.url(url, &format!("{at}/url"), "image", channel);
                }
            }
            ("image_url" | "file_url", value) => walk.url(value, &at, "image", channel),
            ("file_id", Value::String(id)) => {
                walk.opaque(&at, "file_id");
                walk.text(id, &at, channel);
            }
            ("file_data", Value::String(data)) => walk.binary(&at, "file", data.len()),
            ("file", Value::Object(file)) => {
                walk.rest(file, &at, channel, &["file_id", "file_data"]);
                if let Some(Value::String(id)) = file.get_mut("file_id") {
                    walk.opaque(&at, "file_id");
                    walk.text(id, &at, channel);
                }
                if let Some(Value::String(data)) = file.get("file_data") {
                    walk.binary(&at, "file", data.len());
                }
            }
            ("input_audio", Value::Object(audio)) => {
                walk.rest(audio, &at, channel, &["data"]);
                let bytes = audio.get("data").and_then(Value::as_str).map_or(0, str::len);
                walk.binary(&at, "audio", bytes);
            }
            ("audio", value) => {
                walk.opaque(&at, "file_id");
                walk.all(value, &at, channel);
            }
            (_, value) => walk.all(value, &at, channel),
        }
    }
}

/// The calls of a message, in the form of chat completions.
pub(super) fn tool_calls(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    let Value::Array(calls) = value else { return walk.all(value, at, Channel::ToolCall) };
    for (i, call) in calls.iter_mut().enumerate() {
        let at = format!("{at}/{i}");
        let Value::Object(map) = call else {
            walk.all(call, &at, Channel::ToolCall);
            continue;
        };
        walk.rest(map, &at, Channel::ToolCall, &["function"]);
        match map.get_mut("function") {
            Some(Value::Object(function)) => {
                walk.rest(function, &format!("{at}/function"), Channel::ToolCall, &["arguments"]);
                if let Some(arguments) = function.get_mut("arguments") {
                    walk.json(arguments, &format!("{at}/function/arguments"), Channel::ToolCall);
                }
            }
            Some(other) => walk.all(other, &format!("{at}/function"), Channel::ToolCall),
            None => {}
        }
    }
}

/// The usage object of OpenAI's protocols, old names and new.
pub(super) fn openai_usage(usage: &Value) -> Option<super::Usage> {
    let number = |names: [&str; 2]| names.into_iter().find_map(|name| usage.get(name)?.as_u64());
    let input = number(["prompt_tokens", "input_tokens"]);
    let output = number(["completion_tokens", "output_tokens"]);
    (input.is_some() || output.is_some())
        .then(|| super::Usage { input: input.unwrap_or(0), output: output.unwrap_or(0) })
}
