//! OpenAI's `completions`: a text goes on.
//!
//! Source: OpenAI API reference, completions (legacy).

use std::collections::BTreeSet;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Call, Envelope, Failure, Garbage, Lane, Meta, Piece, Protocol, Provider, Refusal, StreamReader,
    Usage, error_body,
    openai_chat::{object, walk_choices},
    parts::{openai_usage, prompt},
    refusal,
    walk::Walk,
};
use crate::sse::Event;

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
        match body.get("prompt") {
            None | Some(Value::String(_) | Value::Array(_) | Value::Null) => Ok(()),
            Some(_) => Err(refusal("prompt", "`prompt` must be a string or a list")),
        }
    }

    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>) {
        let Value::Object(map) = body else { return };
        walk.rest(map, "", Channel::User, &["model", "prompt"]);
        if let Some(value) = map.get_mut("prompt") {
            prompt(value, "/prompt", walk);
        }
    }

    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>) {
        walk_choices(body, walk);
    }

    fn usage(&self, body: &Value) -> Option<Usage> {
        openai_usage(body.get("usage")?)
    }

    fn tokens_out_max(&self, body: &Value) -> Option<u64> {
        body.get("max_tokens").and_then(Value::as_u64)
    }

    fn stream(&self, call: &Call) -> Option<Box<dyn StreamReader>> {
        Some(Box::new(Reader { wants_usage: call.wants_usage, ..Reader::default() }))
    }
}

#[derive(Debug, Default)]
struct Reader {
    wants_usage: bool,
    frame: Map<String, Value>,
    open: BTreeSet<Lane>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        let mut pieces = Vec::new();
        if event.data.trim() == "[DONE]" {
            pieces.extend(std::mem::take(&mut self.open).into_iter().map(Piece::End));
            pieces.push(Piece::Done(Event::data("[DONE]".to_owned())));
            return Ok(pieces);
        }
        let mut body = object(&event.data)?;
        if self.frame.is_empty() {
            self.frame = body.clone();
            for changing in ["choices", "usage", "error"] {
                self.frame.shift_remove(changing);
            }
        }
        let usage = body.get("usage").and_then(openai_usage);
        pieces.extend(usage.map(Piece::Usage));
        let mut says = usage.is_some() && self.wants_usage || body.get("error").is_some();
        if let Some(Value::Array(choices)) = body.get_mut("choices") {
            for choice in choices.iter_mut().filter_map(Value::as_object_mut) {
                says |= self.choice(choice, &mut pieces);
            }
        }
        if says {
            let reply = |body: &mut Value, walk: &mut Walk<'_>| walk_choices(body, walk);
            pieces.push(Piece::Pass(Envelope::new(&event.name, Value::Object(body), reply)));
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let mut body = self.frame.clone();
        let choice =
            json!({"index": lane.index, "text": text, "logprobs": null, "finish_reason": null});
        body.insert("choices".to_owned(), json!([choice]));
        Event::data(Value::Object(body).to_string())
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        Event::data(error_body(Provider::OpenAi, failure, request).to_string())
    }
}

impl Reader {
    fn choice(&mut self, choice: &mut Map<String, Value>, pieces: &mut Vec<Piece>) -> bool {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let lane = Lane { index, part: 0, field: "text".to_owned() };
        if let Some(Value::String(text)) = choice.get_mut("text") {
            let text = std::mem::take(text);
            if !text.is_empty() {
                self.open.insert(lane.clone());
                pieces.push(Piece::Text { lane: lane.clone(), channel: Channel::Output, text });
            }
        }
        choice.insert("logprobs".to_owned(), Value::Null);
        let ended = choice.get("finish_reason").is_some_and(|reason| !reason.is_null());
        if ended && self.open.remove(&lane) {
            pieces.push(Piece::End(lane));
        }
        ended
    }
}
