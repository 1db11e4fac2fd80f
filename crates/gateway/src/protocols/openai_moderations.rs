//! OpenAI's `moderations`: text in, scores out.
//!
//! Source: OpenAI API reference, moderations.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage, parts::openai_content, refusal,
    walk::Walk,
};

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
        match body.get("input") {
            Some(Value::String(_) | Value::Array(_)) => Ok(()),
            _ => Err(refusal("input", "`input` must be a string or a list")),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        walk.rest(map, "", Channel::Content, &["model", "input"]);
        if let Some(input) = map.get_mut("input") {
            // Attacks are what a moderation endpoint is asked about: this is data.
            openai_content(input, "/input", Channel::ToolCall, walk);
        }
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
