//! OpenAI's `completions`: a text goes on.
//!
//! Source: OpenAI API reference, completions (legacy).

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage,
    openai_chat::{CHOICES_MAX, walk_choices},
    openai_chunks,
    parts::{self, openai_usage},
    walk::Walk,
};

#[derive(Debug)]
pub(super) struct OpenAiCompletions;

impl Protocol for OpenAiCompletions {
    fn meta(&self) -> Meta {
        Meta {
            name: "openai-completions",
            provider: Provider::OpenAi,
            path: "/v1/completions",
            operation: "text_completion",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        parts::text_or_list(body, "prompt")?;
        parts::whole(body, "n", 1, CHOICES_MAX)?;
        parts::whole(body, "best_of", 1, CHOICES_MAX)?;
        parts::whole(body, "max_tokens", 0, u64::MAX)
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.fields(body, "", Channel::User, |walk, key, value, at| {
            match key {
                "prompt" => parts::prompt(value, at, Channel::User, walk),
                key if parts::PROVIDER_RUN.contains(&key) && *value != Value::Bool(false) => {
                    walk.reference(value, at, "provider_tool", Channel::User);
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
        parts::number(body, &["max_tokens"])
    }

    fn stream(&self, call: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(openai_chunks::Reader::new(openai_chunks::Form::Text, call.wants_usage)))
    }
}
