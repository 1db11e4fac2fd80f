//! OpenAI's `moderations`: text in, scores out.
//!
//! Source: OpenAI API reference, moderations.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage,
    parts::{self, openai_content},
    refusal,
    walk::Walk,
};

/// Attacks are what a moderation endpoint is asked about, so its input is not read
/// as anybody's instructions. Secrets and personal data are found all the same.
const ASKED_ABOUT: Channel = Channel::ToolCall;

#[derive(Debug)]
pub(super) struct OpenAiModerations;

impl Protocol for OpenAiModerations {
    fn meta(&self) -> Meta {
        Meta {
            name: "openai-moderations",
            provider: Provider::OpenAi,
            path: "/v1/moderations",
            operation: "moderation",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        parts::no_stream(body)?;
        match body.get("input") {
            None | Some(Value::Null) => {
                Err(refusal("input", "`input` is missing: expected a string or a list"))
            }
            Some(_) => parts::text_or_list(body, "input"),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.fields(body, "", Channel::Content, |walk, key, value, at| {
            let is_input = key == "input";
            if is_input {
                openai_content(value, at, ASKED_ABOUT, walk);
            }
            is_input
        });
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.all(body, "", Channel::Output);
    }

    fn usage(&self, _: &Value) -> Option<Usage> {
        None
    }

    fn tokens_out_max(&self, _: &Value) -> Option<u64> {
        Some(0)
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        None
    }
}
