//! The application: an assistant with tools, as many teams have built one. It sends the
//! conversation to a model over HTTP, runs the tools that the model asks for, and shows
//! the person what comes back. It has no defence of its own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use bartizan_core::json;
use bartizan_net::{Client, Limits, Request, Response, Settings};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Served,
    story::Story,
    world::{Mail, World},
};

// LIMIT: requests to the model for one turn; an assistant that needs more goes in circles.
const ROUNDS_MAX: usize = 16;
// LIMIT: an answer of the model. The longest honest one is a few kilobytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a model may be silent: a real one on a slow machine thinks for a while.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Where the application finds its model. It cannot tell a gateway from a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Up to and with `/v1`.
    pub(super) base_url: String,
    pub(super) key: String,
    pub(super) model: String,
}

/// The application, with a world of its own.
#[derive(Clone)]
pub(super) struct App {
    story: Arc<Story>,
    endpoint: Endpoint,
    client: Client,
    world: Arc<Mutex<World>>,
}

/// What the person in front of the application has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Seen {
    /// Everything that was on the screen, also what came before a failure.
    pub(super) text: String,
    /// What the application said when the model gave no answer.
    pub(super) failure: Option<String>,
}

/// Who says what, and how the answer is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk<'a> {
    pub(super) user: &'a str,
    pub(super) turns: &'a [String],
    pub(super) stream: bool,
}

impl App {
    pub(super) fn new(story: &Arc<Story>, endpoint: Endpoint) -> anyhow::Result<Self> {
        let settings = Settings { allow: vec!["127.0.0.1".to_owned()], ..Settings::default() };
        let client = Client::new(&settings).context("cannot make the application's HTTP client")?;
        Ok(Self {
            story: story.clone(),
            endpoint,
            client,
            world: Arc::new(Mutex::new(World::new(story))),
        })
    }

    /// Holds a conversation, one turn after the other, until one fails.
    pub(super) async fn converse(&self, talk: Talk<'_>) -> Seen {
        let mut messages = vec![json!({"role": "system", "content": self.story.assistant.system})];
        let mut seen = Seen::default();
        for turn in talk.turns {
            messages.push(json!({"role": "user", "content": turn}));
            if let Err(failure) = self.turn(&mut messages, talk, &mut seen.text).await {
                seen.failure = Some(format!("{failure:#}"));
                break;
            }
        }
        seen
    }

    /// What has been sent so far; the outbox is empty afterwards.
    pub(super) fn take_mails(&self) -> Vec<Mail> {
        std::mem::take(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner).outbox)
    }

    /// Asks the model and runs its tools until it has said what it wants to say.
    async fn turn(
        &self,
        messages: &mut Vec<Value>,
        talk: Talk<'_>,
        screen: &mut String,
    ) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            let message = self.ask(messages, talk, screen).await?;
            let calls =
                message.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
            messages.push(message);
            if calls.is_empty() {
                screen.push('\n');
                return Ok(());
            }
            messages.extend(calls.iter().map(|call| self.run(call)));
        }
        anyhow::bail!("the assistant asked for {ROUNDS_MAX} tools and came to no end")
    }

    fn run(&self, call: &Value) -> Value {
        let text = |at: &str| call.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let arguments = serde_json::from_str(text("/function/arguments")).unwrap_or(Value::Null);
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let result = world.call(text("/function/name"), &arguments);
        json!({"role": "tool", "tool_call_id": text("/id"), "content": result})
    }

    /// One request; the assistant's message, its text already on the screen.
    async fn ask(
        &self,
        messages: &[Value],
        talk: Talk<'_>,
        screen: &mut String,
    ) -> anyhow::Result<Value> {
        let response =
            self.post(messages, talk).await.context("the assistant cannot be reached")?;
        if !response.status.is_success() {
            return Err(refusal(response).await);
        }
        if talk.stream {
            return streamed(response, screen).await;
        }
        let answer = json::parse(&whole(response).await?, ANSWER_BYTES_MAX)
            .context("the answer is not JSON")?;
        let message = answer.pointer("/choices/0/message").context("the answer has no message")?;
        screen.push_str(message.get("content").and_then(Value::as_str).unwrap_or_default());
        Ok(message.clone())
    }

    async fn post(&self, messages: &[Value], talk: Talk<'_>) -> anyhow::Result<Response> {
        let body = json!({
            "model": self.endpoint.model, "user": talk.user, "stream": talk.stream,
            "messages": messages, "tools": World::tools(),
        });
        let url: Uri = format!("{}/chat/completions", self.endpoint.base_url).parse()?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", self.endpoint.key).parse()?);
        let limits = Limits {
            first_byte: SILENCE_MAX,
            idle: SILENCE_MAX,
            body_bytes_max: ANSWER_BYTES_MAX as u64,
            ..Limits::default()
        };
        let request = Request {
            headers,
            body: Bytes::from(body.to_string()),
            limits,
            ..Request::new(Method::POST, url)
        };
        Ok(self.client.send(request).await?)
    }
}

async fn whole(response: Response) -> anyhow::Result<Bytes> {
    response.body.all().await.context("the answer broke off")
}

/// The error of a request that was refused, as applications show it.
async fn refusal(response: Response) -> anyhow::Error {
    let status = response.status.as_u16();
    let body = whole(response).await.unwrap_or_default();
    let body = json::parse(&body, ANSWER_BYTES_MAX).unwrap_or_default();
    anyhow::anyhow!("{status}: {}", complaint(&body).unwrap_or("no reason given"))
}

fn complaint(body: &Value) -> Option<&str> {
    body.pointer("/error/message").and_then(Value::as_str)
}

/// Reads a stream of deltas, puts text on the screen as it comes, and gathers the message.
async fn streamed(mut response: Response, screen: &mut String) -> anyhow::Result<Value> {
    let mut lines = Lines::default();
    let mut gathered = Gathered::default();
    while let Some(bytes) = response.body.next().await.context("the answer broke off")? {
        for line in lines.push(&bytes) {
            let Some(data) =
                line.strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]")
            else {
                continue;
            };
            let event = json::parse(data.as_bytes(), ANSWER_BYTES_MAX)
                .context("an event of the answer is not JSON")?;
            if let Some(complaint) = complaint(&event) {
                anyhow::bail!("{}", complaint.to_owned());
            }
            gathered.add(&event, screen);
        }
    }
    gathered.message()
}

/// Cuts a stream of bytes into lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}

/// A message put together from its deltas.
#[derive(Default)]
struct Gathered {
    text: String,
    calls: Vec<(String, String, String)>,
    finished: bool,
}

impl Gathered {
    fn add(&mut self, event: &Value, screen: &mut String) {
        let Some(choice) = event.pointer("/choices/0") else { return };
        self.finished |= choice.get("finish_reason").is_some_and(Value::is_string);
        let text = choice.pointer("/delta/content").and_then(Value::as_str).unwrap_or_default();
        self.text.push_str(text);
        screen.push_str(text);
        let calls = choice.pointer("/delta/tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            self.add_call(call);
        }
    }

    fn add_call(&mut self, delta: &Value) {
        let text = |at: &str| delta.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let index = delta.get("index").and_then(Value::as_u64).unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index >= self.calls.len() && self.calls.len() < ROUNDS_MAX {
            self.calls.push(Default::default());
        }
        if let Some((id, name, arguments)) = self.calls.get_mut(index) {
            id.push_str(text("/id"));
            name.push_str(text("/function/name"));
            arguments.push_str(text("/function/arguments"));
        }
    }

    fn message(self) -> anyhow::Result<Value> {
        anyhow::ensure!(self.finished, "the answer broke off");
        let calls: Vec<_> = self
            .calls
            .into_iter()
            .map(|(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
            .collect();
        let mut message = json!({"role": "assistant", "content": self.text});
        if let (false, Some(map)) = (calls.is_empty(), message.as_object_mut()) {
            map.insert("tool_calls".to_owned(), calls.into());
        }
        Ok(message)
    }
}

/// Serves the application on loopback for whoever wants to try it: `POST /ask`.
pub(super) async fn serve(app: App) -> anyhow::Result<Served> {
    let router = Router::new().route("/ask", post(ask)).with_state(app);
    Served::start(router).await.context("cannot start the application")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    say: String,
    #[serde(default = "visitor")]
    user: String,
    #[serde(default)]
    stream: bool,
}

fn visitor() -> String {
    "visitor".to_owned()
}

async fn ask(State(app): State<App>, body: Bytes) -> Result<Json<Value>, (StatusCode, String)> {
    let asked: Asked = serde_json::from_slice(&body).map_err(|e| {
        (StatusCode::BAD_REQUEST, format!("expected JSON such as `{{\"say\": \"Hello\"}}`: {e}\n"))
    })?;
    // A person's own conversation: its mails are its own.
    let own = App { world: Arc::new(Mutex::new(World::new(&app.story))), ..app };
    let seen =
        own.converse(Talk { user: &asked.user, turns: &[asked.say], stream: asked.stream }).await;
    Ok(Json(json!({"seen": seen.text.trim(), "failure": seen.failure, "mails": own.take_mails()})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_message_is_put_together_whatever_the_cuts() {
        let events = [
            json!({"choices": [{"delta": {"role": "assistant", "content": "Grü"}}]}),
            json!({"choices": [{"delta": {"content": "ße", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "send_mail", "arguments": "{\"to"}}]}}]}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "\":1}"}}]}, "finish_reason": "tool_calls"}]}),
            json!({"choices": [], "usage": {}}),
        ];
        let bytes: Vec<u8> =
            events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect();
        for size in 1..40 {
            let (mut lines, mut gathered, mut screen) =
                (Lines::default(), Gathered::default(), String::new());
            for line in bytes
                .chunks(size)
                .flat_map(|chunk| lines.push(chunk))
                .filter(|line| !line.is_empty())
            {
                gathered.add(
                    &serde_json::from_str(line.strip_prefix("data: ").expect("data"))
                        .expect("JSON"),
                    &mut screen,
                );
            }
            let message = gathered.message().expect("it ended");
            assert_eq!((screen.as_str(), message["content"].as_str()), ("Grüße", Some("Grüße")));
            assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"to\":1}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer() {
        let mut gathered = Gathered::default();
        gathered.add(&json!({"choices": [{"delta": {"content": "half"}}]}), &mut String::new());
        assert!(gathered.message().is_err());
    }
}
