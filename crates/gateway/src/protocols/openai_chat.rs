//! OpenAI's `chat/completions`, which most other servers speak too.
//!
//! Source: OpenAI API reference, chat completions.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage, logprobs, openai_chunks,
    parts::{self, field, openai_content, openai_tools, openai_usage, tool_calls},
    walk::Walk,
};

/// The most choices that one request may ask for, as the provider has it.
pub(super) const CHOICES_MAX: u64 = 128;

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];

/// The texts of a message or a delta, and whose they are. Reasoning is not OpenAI's:
/// servers call it differently.
pub(super) const TEXTS: &[(&str, Channel)] = &[
    ("content", Channel::Output),
    ("refusal", Channel::Output),
    ("reasoning_content", Channel::Reasoning),
    ("reasoning", Channel::Reasoning),
    ("thinking", Channel::Reasoning),
];

#[derive(Debug)]
pub(super) struct OpenAiChat;

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
        parts::messages(body, ROLES)?;
        parts::list(body, "tools")?;
        parts::whole(body, "n", 1, CHOICES_MAX)?;
        parts::whole(body, "max_tokens", 0, u64::MAX)?;
        parts::whole(body, "max_completion_tokens", 0, u64::MAX)
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.fields(body, "", Channel::Content, |walk, key, value, at| {
            match key {
                "messages" => {
                    walk.each(value, at, Channel::User, |walk, one, at| message(one, at, walk));
                    parts::turns(value, at, false, walk, |message| Some(channel(message)));
                }
                "tools" | "functions" => openai_tools(value, at, walk),
                "response_format" => walk.all(value, at, Channel::ToolDescription),
                "prediction" => prediction(value, at, walk),
                key if parts::PROVIDER_RUN.contains(&key) && *value != Value::Bool(false) => {
                    walk.reference(value, at, "provider_tool", Channel::Content);
                }
                _ => return false,
            }
            true
        });
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_choices(body, walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        parts::number(body, &["max_completion_tokens", "max_tokens"])
    }

    fn stream(&self, call: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(openai_chunks::Reader::new(openai_chunks::Form::Chat, call.wants_usage)))
    }
}

/// Whose words a message is.
fn channel(message: &Value) -> Channel {
    match field(message, "role") {
        "system" | "developer" => Channel::System,
        "assistant" => Channel::Assistant,
        "tool" | "function" => Channel::ToolResult,
        _ => Channel::User,
    }
}

fn message(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    let channel = channel(value);
    walk.fields(value, at, channel, |walk, key, value, at| {
        match key {
            "content" => openai_content(value, at, channel, walk),
            "tool_calls" => tool_calls(value, at, walk),
            "function_call" => parts::function(value, at, walk),
            // An answer's sound, which the provider keeps under this name.
            "audio" => walk.fields(value, at, channel, |walk, key, value, at| {
                let is_name = key == "id";
                if is_name {
                    walk.reference(value, at, "file_id", channel);
                }
                is_name
            }),
            _ => return false,
        }
        true
    });
}

fn prediction(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.fields(value, at, Channel::Assistant, |walk, key, value, at| {
        let is_content = key == "content";
        if is_content {
            openai_content(value, at, Channel::Assistant, walk);
        }
        is_content
    });
}

/// An answer, or a chunk of one, in either of OpenAI's older protocols.
pub(super) fn walk_choices(body: &mut Value, walk: &mut Walk<'_>) {
    walk.fields(body, "", Channel::Output, |walk, key, value, at| {
        let is_choices = key == "choices";
        if is_choices {
            walk.each(value, at, Channel::Output, |walk, one, at| choice(one, at, walk));
        }
        is_choices
    });
}

fn choice(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    // The tokens come last: they may say no more than the texts do then.
    let mut tokens = value.get_mut("logprobs").map(Value::take).unwrap_or_default();
    let before = said(value);
    walk.fields(value, at, Channel::Output, |walk, key, value, at| {
        let is_message = ["message", "delta"].contains(&key);
        if is_message {
            answer(value, at, walk);
        }
        is_message
    });
    let now = said(value);
    if now == before {
        logprobs::visit(&mut tokens, &now, &format!("{at}/logprobs"), walk);
    } else {
        tokens = Value::Null;
    }
    if let Some(place) = value.get_mut("logprobs") {
        *place = tokens;
    }
}

/// The texts of a choice whose tokens may be listed.
fn said(choice: &Value) -> Vec<String> {
    let texts =
        ["/text", "/message/content", "/message/refusal", "/delta/content", "/delta/refusal"];
    texts.iter().filter_map(|at| choice.pointer(at)?.as_str()).map(str::to_owned).collect()
}

fn answer(value: &mut Value, at: &str, walk: &mut Walk<'_>) {
    walk.fields(value, at, Channel::Output, |walk, key, value, at| {
        if let Some((_, channel)) = TEXTS.iter().find(|(name, _)| *name == key) {
            openai_content(value, at, *channel, walk);
            return true;
        }
        match key {
            "tool_calls" => tool_calls(value, at, walk),
            "function_call" => parts::function(value, at, walk),
            "images" => openai_content(value, at, Channel::Output, walk),
            "audio" => walk.fields(value, at, Channel::Output, |walk, key, value, at| {
                let is_sound = key == "data";
                if is_sound {
                    walk.binary(value, at, "audio", Channel::Output);
                }
                is_sound
            }),
            _ => return false,
        }
        true
    });
}
