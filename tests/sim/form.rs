//! The protocols that stream, as a model speaks them and a client hears them.

use serde_json::{Value, json};

use crate::common::{
    self, Reply,
    model::{Answer, say, stream_of},
};

/// One protocol.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// Where the text of a whole answer stands.
    whole: &'static str,
    /// Where the text of an event stands.
    delta: &'static str,
}

pub(crate) const ALL: [Form; 4] = [
    Form {
        name: "chat",
        path: "/v1/chat/completions",
        whole: "/choices/0/message/content",
        delta: "/choices/0/delta/content",
    },
    Form {
        name: "completions",
        path: "/v1/completions",
        whole: "/choices/0/text",
        delta: "/choices/0/text",
    },
    Form {
        name: "responses",
        path: "/v1/responses",
        whole: "/output/0/content/0/text",
        delta: "/delta",
    },
    Form { name: "messages", path: "/v1/messages", whole: "/content/0/text", delta: "/delta/text" },
];

impl Form {
    /// A request to the model of this name.
    pub(crate) fn request(&self, model: &str, stream: bool) -> Value {
        let mut body = match self.name {
            "completions" => json!({"prompt": "How do I bake bread?"}),
            "responses" => json!({"input": "How do I bake bread?"}),
            _ => common::chat("How do I bake bread?"),
        };
        if self.name == "messages" {
            body["max_tokens"] = 100.into();
        }
        body["model"] = model.into();
        body["stream"] = stream.into();
        body
    }

    /// The body of a whole answer.
    pub(crate) fn whole(&self, text: &str) -> Value {
        let usage = json!({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12});
        match self.name {
            "chat" => match say(text, &json!({"model": "m"})) {
                Answer::Json(_, body) => body,
                _ => unreachable!("it was not asked to stream"),
            },
            "completions" => {
                json!({"id": "c-1", "object": "text_completion", "created": 1, "model": "m",
                    "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}]})
            }
            "responses" => {
                json!({"id": "r-1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
                    "output": [message(text)], "usage": usage})
            }
            _ => {
                json!({"id": "m-1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": text}], "usage": usage})
            }
        }
    }

    /// The events of a streamed answer: one or more before the text, one a piece, and
    /// those after it.
    pub(crate) fn stream(&self, pieces: &[&str]) -> Vec<String> {
        let delta = |text: &&str| match self.name {
            "completions" => {
                json!({"id": "c-1", "choices": [{"index": 0, "text": text, "finish_reason": null}]})
            }
            "responses" => {
                json!({"type": "response.output_text.delta", "item_id": "i-1", "output_index": 0, "content_index": 0, "delta": text})
            }
            _ => {
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
            }
        };
        let deltas = pieces.iter().map(delta);
        let said = pieces.concat();
        let events: Vec<Value> = match self.name {
            "chat" => return stream_of(pieces),
            "completions" => deltas.collect(),
            "responses" => {
                let begun = json!({"type": "response.created", "response": {"id": "r-1", "object": "response", "output": []}});
                let done = json!({"type": "response.output_text.done", "item_id": "i-1", "output_index": 0, "content_index": 0, "text": said});
                let end = json!({"type": "response.completed", "response": self.whole(&said)});
                [begun].into_iter().chain(deltas).chain([done, end]).collect()
            }
            _ => {
                let begun = json!({"type": "message_start", "message": {"id": "m-1", "type": "message", "role": "assistant", "model": "m", "content": []}});
                let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
                let ends = [
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({"type": "message_stop"}),
                ];
                [begun, block].into_iter().chain(deltas).chain(ends).collect()
            }
        };
        let mut events: Vec<String> = events.iter().map(|event| self.event(event)).collect();
        if self.name == "completions" {
            events.push("data: [DONE]\n\n".to_owned());
        }
        events
    }

    /// An event on the wire.
    pub(crate) fn event(&self, body: &Value) -> String {
        match body["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {body}\n\n"),
            None => format!("data: {body}\n\n"),
        }
    }

    /// The text that a client gets.
    pub(crate) fn heard(&self, reply: &Reply, stream: bool) -> String {
        let text =
            |body: &Value, at: &str| body.pointer(at).and_then(Value::as_str).map(str::to_owned);
        if !stream {
            return text(&reply.json(), self.whole).unwrap_or_default();
        }
        events(&reply.text()).iter().filter_map(|body| text(body, self.delta)).collect()
    }
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "i-1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

/// The objects that a stream carried.
pub(crate) fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// The code of the error that an answer is, or that a stream ended with.
pub(crate) fn code(reply: &Reply) -> Option<String> {
    let body = serde_json::from_slice(&reply.body).ok();
    let body = body.or_else(|| events(&reply.text()).pop())?;
    let error = body.get("error")?;
    assert!(error["message"].as_str().is_some_and(|said| said.len() > 20), "{body}");
    assert!(error["type"].is_string(), "{body}");
    Some(error["code"].as_str()?.to_owned())
}
