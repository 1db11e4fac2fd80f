//! OpenAI's `embeddings`: text in, numbers out.
//!
//! Source: OpenAI API reference, embeddings.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage,
    parts::{openai_usage, prompt},
    refusal,
    walk::Walk,
};

#[derive(Debug)]
pub(super) struct OpenAiEmbeddings;

impl Protocol for OpenAiEmbeddings {
    fn meta(&self) -> Meta {
        Meta {
            name: "openai-embeddings",
            provider: Provider::OpenAi,
            path: "/v1/embeddings",
            operation: "embeddings",
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
            prompt(input, "/input", walk);
        }
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        walk.rest(map, "", Channel::Output, &["data"]);
        let Some(Value::Array(data)) = map.get_mut("data") else { return };
        for (i, one) in data.iter_mut().enumerate() {
            let at = format!("/data/{i}");
            let Value::Object(one) = one else { continue };
            walk.rest(one, &at, Channel::Output, &["embedding"]);
            // Numbers, or numbers in base64.
            let bytes = one.get("embedding").and_then(Value::as_str).map_or(0, str::len);
            walk.binary(&format!("{at}/embedding"), "embedding", bytes);
        }
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, _: &Value) -> Option<u64> {
        Some(0)
    }

    fn stream(&self, _: &Call) -> Option<Box<dyn StreamReader>> {
        None
    }
}
