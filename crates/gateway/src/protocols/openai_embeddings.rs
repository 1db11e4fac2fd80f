//! OpenAI's `embeddings`: text in, numbers out.
//!
//! Source: OpenAI API reference, embeddings.

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    Call, Meta, Protocol, Provider, Refusal, StreamReader, Usage,
    parts::{self, openai_usage, prompt},
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
                // What is embedded is what is looked up later: data.
                prompt(value, at, Channel::Content, walk);
            }
            is_input
        });
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk.fields(body, "", Channel::Output, |walk, key, value, at| {
            let is_data = key == "data";
            if is_data {
                walk.each(value, at, Channel::Output, embedding);
            }
            is_data
        });
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

/// Numbers, or numbers in base64.
fn embedding(walk: &mut Walk<'_>, value: &mut Value, at: &str) {
    walk.fields(value, at, Channel::Output, |walk, key, value, at| {
        let is_embedding = key == "embedding";
        if is_embedding {
            walk.binary(value, at, "embedding", Channel::Output);
        }
        is_embedding
    });
}
