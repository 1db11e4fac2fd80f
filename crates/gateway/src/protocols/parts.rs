//! What several protocols share: checks of fields, parts of messages, tools.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{Refusal, refusal, seam::End, walk::Walk};

/// Fields by which providers are asked to look things up by themselves. All but the
/// first are other servers' additions to OpenAI's protocol.
pub(super) const PROVIDER_RUN: &[&str] =
    &["web_search_options", "data_sources", "enable_search", "plugins", "search_parameters"];

/// A string field that must be there.
pub(super) fn text<'a>(body: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    match body.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
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

/// A whole number from `least` to `most`, or not there.
pub(super) fn whole(body: &Value, field: &str, least: u64, most: u64) -> Result<(), Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_u64().is_some_and(|n| (least..=most).contains(&n)) => Ok(()),
        Some(Value::Number(number)) => Err(refusal(
            field,
            format!("`{field}` is {number}: expected a whole number from {least} to {most}"),
        )),
        Some(other) => {
            Err(refusal(field, format!("`{field}` is {}: expected a whole number", kind(other))))
        }
    }
}

/// A field that is a string, a list, or not there.
pub(super) fn text_or_list(body: &Value, field: &str) -> Result<(), Refusal> {
    match body.get(field) {
        None | Some(Value::Null | Value::String(_) | Value::Array(_)) => Ok(()),
        Some(other) => Err(refusal(
            field,
            format!("`{field}` is {}: expected a string or a list", kind(other)),
        )),
    }
}

/// A field that is a list, or not there.
pub(super) fn list(body: &Value, field: &str) -> Result<(), Refusal> {
    match body.get(field) {
        None | Some(Value::Null | Value::Array(_)) => Ok(()),
        Some(other) => {
            Err(refusal(field, format!("`{field}` is {}: expected a list", kind(other))))
        }
    }
}

/// A field that is an object, or not there.
pub(super) fn object(body: &Value, field: &str) -> Result<(), Refusal> {
    match body.get(field) {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(other) => {
            Err(refusal(field, format!("`{field}` is {}: expected an object", kind(other))))
        }
    }
}

/// A protocol that answers whole.
pub(super) fn no_stream(body: &Value) -> Result<(), Refusal> {
    match body.get("stream") {
        Some(Value::Bool(true)) => {
            Err(refusal("stream", "`stream` is true: this endpoint answers whole, ask without it"))
        }
        _ => Ok(()),
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
    list.iter().enumerate().try_for_each(|(i, one)| message(i, one, roles))
}

fn message(i: usize, message: &Value, roles: &[&str]) -> Result<(), Refusal> {
    let at = format!("messages[{i}]");
    let Value::Object(map) = message else {
        return Err(refusal(&at, format!("`{at}` is {}: expected an object", kind(message))));
    };
    let role = map.get("role").unwrap_or(&Value::Null);
    if !role.as_str().is_some_and(|role| roles.contains(&role)) {
        let is = match role {
            Value::Null => "missing".to_owned(),
            Value::String(role) => format!("`{}`", bartizan_core::json::clip(role, 32)),
            other => kind(other).to_owned(),
        };
        let expected = roles.join(", ");
        let message = format!("`{at}.role` is {is}: expected one of {expected}");
        return Err(refusal(&format!("{at}.role"), message));
    }
    match map.get("content") {
        Some(content @ (Value::Number(_) | Value::Bool(_) | Value::Object(_))) => {
            let at = format!("{at}.content");
            let kind = kind(content);
            Err(refusal(&at, format!("`{at}` is {kind}: expected a string or a list of parts")))
        }
        _ => Ok(()),
    }
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

/// A field's string.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The first of the fields that holds a whole number.
pub(super) fn number(body: &Value, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| body.get(*name)?.as_u64())
}

/// Text, lists of texts, or numbers of tokens, which spell a text that only the
/// provider can read.
pub(super) fn prompt(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    if holds_number(value) {
        walk.opaque(at, "token_ids");
    }
    walk.all(value, at, channel);
}

fn holds_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(holds_number),
        _ => false,
    }
}

/// The tools of OpenAI's protocols.
pub(super) fn openai_tools(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    mark_provider_tools(value, at, walk);
    walk.all(value, at, Channel::ToolDescription);
}

/// Names the tools that the client does not run itself: they run at the provider.
fn mark_provider_tools(value: &Value, at: &str, walk: &mut Walk<'_>) {
    const CLIENTS: &[&str] =
        &["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview"];
    for (i, tool) in value.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}/{i}");
        let kind = tool.get("type").map_or("function", |kind| kind.as_str().unwrap_or_default());
        match tool.get("tools") {
            // A namespace groups tools; theirs are the kinds that count.
            Some(inner) if kind == "namespace" => {
                mark_provider_tools(inner, &format!("{at}/tools"), walk);
            }
            _ if CLIENTS.contains(&kind) => {}
            _ => walk.opaque(&at, "provider_tool"),
        }
    }
}

/// The parts of a message in OpenAI's protocols, or its text.
pub(super) fn openai_content(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    walk.each(value, at, channel, |walk, part, at| openai_part(part, at, channel, walk));
    seams(value, at, channel, walk);
}

/// One part of a message.
pub(super) fn openai_part(part: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    walk.fields(part, at, channel, |walk, key, value, at| {
        match key {
            // Pictures, films, documents: servers add kinds as they learn them.
            "url" => walk.url(value, at, channel),
            "source" if value.is_object() => any_url(value, at, channel, walk),
            key if key.ends_with("_url") => any_url(value, at, channel, walk),
            "file_id" => walk.reference(value, at, "file_id", channel),
            "file_data" => file_data(value, at, channel, walk),
            "file" | "input_audio" | "audio" => file(value, at, channel, walk),
            "encrypted_content" => walk.binary(value, at, "encrypted", channel),
            _ => return false,
        }
        true
    });
}

/// A URL, or an object that has one.
fn any_url(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    if !value.is_object() {
        return walk.url(value, at, channel);
    }
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "url" => walk.url(value, at, channel),
            "data" => walk.binary(value, at, "file", channel),
            "file_id" => walk.reference(value, at, "file_id", channel),
            _ => return false,
        }
        true
    });
}

/// A file or a sound: its bytes, or the provider's name for it.
fn file(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "file_id" | "id" => walk.reference(value, at, "file_id", channel),
            "file_url" => walk.url(value, at, channel),
            "file_data" => file_data(value, at, channel, walk),
            "data" => walk.binary(value, at, "audio", channel),
            _ => return false,
        }
        true
    });
}

/// Bytes in base64, alone or in a data URL.
fn file_data(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    let is_url = value.as_str().is_some_and(|text| super::payload::data_url(text).is_some());
    match is_url {
        true => walk.all(value, at, channel),
        false => walk.binary(value, at, "file", channel),
    }
}

/// Shows what stands across the ends of the text parts of a list.
pub(super) fn seams(value: &mut Value, at: &str, channel: Channel, walk: &mut Walk<'_>) {
    if !value.is_array() {
        return;
    }
    let mut texts = Vec::new();
    said(value, &mut texts);
    let ends = vec![End::Seam; texts.len()];
    walk.seams(&mut texts, &ends, at, channel);
}

/// The texts of a content: itself, its own, or those of its parts.
fn said<'a>(value: &'a mut Value, texts: &mut Vec<&'a mut String>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(parts) => parts.iter_mut().for_each(|part| match part {
            Value::Array(_) => {}
            part => said(part, texts),
        }),
        Value::Object(part) => {
            if let Some(Value::String(text)) = part.get_mut("text") {
                texts.push(text);
            }
        }
        _ => {}
    }
}

/// Shows what stands across the ends of messages that the reader reads as one: those of
/// one channel that follow each other. `channel` says a message's, or that it is none;
/// `over` says whether such a one is read over. What stands across the parts of one
/// message was shown with it.
pub(super) fn turns(
    list: &mut Value,
    at: &str,
    over: bool,
    walk: &mut Walk<'_>,
    channel: impl Fn(&Value) -> Option<Channel>,
) {
    let Value::Array(messages) = list else { return };
    let mut run: Option<(Channel, usize)> = None;
    let (mut texts, mut ends) = (Vec::new(), Vec::new());
    let close = |walk: &mut Walk<'_>, run, texts: &mut Vec<&mut String>, ends: &mut Vec<End>| {
        if let Some((channel, first)) = run
            && ends.contains(&End::Seam)
        {
            walk.seams(texts, ends, &format!("{at}/{first}"), channel);
        }
        texts.clear();
        ends.clear();
    };
    for (i, message) in messages.iter_mut().enumerate() {
        let Some(own) = channel(message) else {
            if !over {
                close(walk, run.take(), &mut texts, &mut ends);
            }
            continue;
        };
        if run.is_none_or(|(channel, _)| channel != own) {
            close(walk, run.replace((own, i)), &mut texts, &mut ends);
        } else if let Some(last) = ends.last_mut() {
            *last = End::Seam;
        }
        if let Some(content) = message.get_mut("content") {
            said(content, &mut texts);
            ends.resize(texts.len(), End::Shown);
        }
    }
    close(walk, run, &mut texts, &mut ends);
}

/// The calls of a message, in the form of chat completions.
pub(super) fn tool_calls(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.each(value, at, Channel::ToolCall, |walk, call, at| {
        walk.fields(call, at, Channel::ToolCall, |walk, key, value, at| {
            let is_call = ["function", "custom"].contains(&key);
            if is_call {
                function(value, at, walk);
            }
            is_call
        });
    });
}

/// A call's name and its arguments.
pub(super) fn function(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.fields(value, at, Channel::ToolCall, |walk, key, value, at| {
        let is_json = ["arguments", "input"].contains(&key);
        if is_json {
            walk.json(value, at, Channel::ToolCall);
        }
        is_json
    });
}

/// The usage object of OpenAI's protocols, old names and new.
pub(super) fn openai_usage(usage: &Value) -> Option<super::Usage> {
    let input = number(usage, &["prompt_tokens", "input_tokens"]);
    let output = number(usage, &["completion_tokens", "output_tokens"]);
    (input.is_some() || output.is_some())
        .then(|| super::Usage { input: input.unwrap_or(0), output: output.unwrap_or(0) })
}
