//! The built-in model: an endpoint on loopback that speaks the OpenAI chat protocol,
//! streaming and not, with tools, and gullibly follows whatever it reads.
//!
//! It is an interpreter of instructions in plain language, not a list of answers: it
//! reads every text it is shown (`read`), finds the orders in it (`parse`), and carries
//! them out (`think`). Invariant: it knows nothing of the story that is played, and
//! keeps nothing between requests but the count of them.

mod parse;
mod prompt;
mod read;
mod think;
mod words;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bartizan_core::{Cx, json};
use bytes::Bytes;
use serde_json::{Value, json};

use prompt::{Complaint, Prompt, Reply};
use think::think;

// LIMIT: a request of the demonstration is a few kilobytes; a flood of large ones must not hurt.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the built-in model is made.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The name that it answers to.
    pub(crate) name: String,
    /// The key that it asks for.
    pub(crate) key: String,
    /// What it has learnt by heart, as models do with their training data.
    pub(crate) memory: Vec<String>,
    /// How many characters one chunk of a stream carries.
    pub(crate) chunk_chars: usize,
}

/// Serves the model until the task is dropped.
pub(crate) async fn start(
    settings: Settings,
    count: Arc<AtomicU64>,
    cx: &Cx,
) -> std::io::Result<super::Served> {
    let endpoint = Arc::new(Endpoint { settings, count, cx: cx.clone() });
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .fallback(unknown)
        .with_state(endpoint);
    super::Served::start(router).await
}

struct Endpoint {
    settings: Settings,
    count: Arc<AtomicU64>,
    cx: Cx,
}

async fn chat(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    endpoint.count.fetch_add(1, Ordering::SeqCst);
    let expected = format!("Bearer {}", endpoint.settings.key);
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given != Some(expected.as_str()) {
        return failure(
            StatusCode::UNAUTHORIZED,
            "invalid_api_key",
            None,
            "incorrect API key provided",
        );
    }
    match read(request.into_body()).await {
        Ok(prompt) if prompt.model != endpoint.settings.name => {
            let message = format!(
                "the model `{}` does not exist: expected `{}`",
                prompt.model, endpoint.settings.name
            );
            failure(StatusCode::NOT_FOUND, "model_not_found", Some("model"), &message)
        }
        Ok(prompt) => endpoint.answer(&prompt),
        Err(Complaint(param, message)) => {
            failure(StatusCode::BAD_REQUEST, "invalid_request_error", Some(param), &message)
        }
    }
}

async fn read(body: Body) -> Result<Prompt, Complaint> {
    let wrong = |e: String| Complaint("body", e);
    let bytes =
        axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|e| wrong(e.to_string()))?;
    Prompt::parse(&json::parse(&bytes, BODY_BYTES_MAX).map_err(|e| wrong(e.to_string()))?)
}

async fn models(State(endpoint): State<Arc<Endpoint>>) -> Json<Value> {
    let created = endpoint.created();
    Json(json!({"object": "list", "data": [
        {"id": endpoint.settings.name, "object": "model", "created": created, "owned_by": "bartizan-demo"}
    ]}))
}

async fn unknown(request: Request) -> Response {
    let message = format!("there is no `{} {}` here", request.method(), request.uri().path());
    failure(StatusCode::NOT_FOUND, "unknown_url", None, &message)
}

fn failure(status: StatusCode, code: &str, param: Option<&str>, message: &str) -> Response {
    let kind = if status == StatusCode::UNAUTHORIZED {
        "authentication_error"
    } else {
        "invalid_request_error"
    };
    let body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
    (status, Json(body)).into_response()
}

impl Endpoint {
    fn answer(&self, prompt: &Prompt) -> Response {
        let (reply, finish) = self.reply(prompt);
        if prompt.stream {
            self.stream(prompt, &reply, finish)
        } else {
            Json(self.whole(prompt, &reply, finish)).into_response()
        }
    }

    /// What it says, cut to the length asked for, and why it stopped.
    fn reply(&self, prompt: &Prompt) -> (Reply, &'static str) {
        match think(prompt, &self.settings.memory) {
            Reply::Use(call) => (Reply::Use(call), "tool_calls"),
            Reply::Say(text) => {
                let chars = prompt.tokens_max.map_or(usize::MAX, |tokens| tokens.saturating_mul(4));
                let short: String = text.chars().take(chars).collect();
                let finish = if short.len() < text.len() { "length" } else { "stop" };
                (Reply::Say(short), finish)
            }
        }
    }

    fn whole(&self, prompt: &Prompt, reply: &Reply, finish: &str) -> Value {
        let message = match reply {
            Reply::Say(text) => json!({"role": "assistant", "content": text, "refusal": null}),
            Reply::Use(call) => {
                json!({"role": "assistant", "content": null, "tool_calls": [call.to_json()], "refusal": null})
            }
        };
        json!({
            "id": self.id(), "object": "chat.completion", "created": self.created(), "model": prompt.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
            "usage": usage(prompt, reply),
        })
    }

    fn stream(&self, prompt: &Prompt, reply: &Reply, finish: &str) -> Response {
        let (id, created) = (self.id(), self.created());
        let event = |choices: Value, usage: Option<Value>| {
            let mut event = json!({
                "id": id, "object": "chat.completion.chunk", "created": created, "model": prompt.model, "choices": choices,
            });
            if let (Some(usage), Some(map)) = (usage, event.as_object_mut()) {
                map.insert("usage".to_owned(), usage);
            }
            format!("data: {event}\n\n")
        };
        let delta = |delta: Value, finish: Option<&str>| {
            event(
                json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
                None,
            )
        };
        let mut events = vec![delta(json!({"role": "assistant", "content": ""}), None)];
        events.extend(self.deltas(reply).into_iter().map(|part| delta(part, None)));
        events.push(delta(json!({}), Some(finish)));
        if prompt.include_usage {
            events.push(event(json!([]), Some(usage(prompt, reply))));
        }
        events.push("data: [DONE]\n\n".to_owned());
        stream_of(events)
    }

    /// The pieces of an answer, a few characters each, tool arguments alike.
    fn deltas(&self, reply: &Reply) -> Vec<Value> {
        match reply {
            Reply::Say(text) => {
                self.chunks(text).into_iter().map(|chunk| json!({"content": chunk})).collect()
            }
            Reply::Use(call) => {
                let first = json!({"tool_calls": [{"index": 0, "id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": ""}}]});
                let rest = self.chunks(&call.arguments.to_string()).into_iter();
                let rest = rest.map(
                    |chunk| json!({"tool_calls": [{"index": 0, "function": {"arguments": chunk}}]}),
                );
                std::iter::once(first).chain(rest).collect()
            }
        }
    }

    fn chunks(&self, text: &str) -> Vec<String> {
        let chars: Vec<char> = text.chars().collect();
        chars.chunks(self.settings.chunk_chars.max(1)).map(|chunk| chunk.iter().collect()).collect()
    }

    fn id(&self) -> String {
        format!("chatcmpl-{}", bartizan_core::Id::new(&self.cx))
    }

    fn created(&self) -> i64 {
        self.cx.now().millis() / 1000
    }
}

/// Each event as a chunk of its own, so that it travels as one.
fn stream_of(events: Vec<String>) -> Response {
    let chunks = futures_util::stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::task::yield_now().await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(event)), events))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(chunks)).into_response()
}

fn usage(prompt: &Prompt, reply: &Reply) -> Value {
    let input = prompt.tokens();
    let output = match reply {
        Reply::Say(text) => text.chars().count(),
        Reply::Use(call) => call.arguments.to_string().len(),
    };
    let output = output.div_ceil(4);
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}
