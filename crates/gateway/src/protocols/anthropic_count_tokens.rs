//! Anthropic's `messages/count_tokens`: a request in, a number out.
//!
//! Source: Anthropic API reference, count tokens in a message.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage,
    anthropic_messages::{ROLES, walk_request},
    parts,
    walk::Walk,
};

#[derive(Debug)]
pub(super) struct AnthropicCountTokens;

impl Protocol for AnthropicCountTokens {
    fn meta(&self) -> Meta {
        Meta {
            name: "anthropic-count-tokens",
            provider: Provider::Anthropic,
            path: "/v1/messages/count_tokens",
            operation: "count_tokens",
        }
    }

    fn check(&self, body: &Value) -> Result<(), Refusal> {
        parts::no_stream(body)?;
        parts::messages(body, ROLES)?;
        parts::text_or_list(body, "system")?;
        parts::list(body, "tools")
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_request(body, walk);
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.all(body, "", Channel::Output);
    }

    /// Counting is free: the provider bills no tokens for it.
    fn usage(&self, _: &Value) -> Option<Usage> {
        Some(Usage::default())
    }

    fn tokens_out_max(&self, _: &Value) -> Option<u64> {
        Some(0)
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        None
    }
}
