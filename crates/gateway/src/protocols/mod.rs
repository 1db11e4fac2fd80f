//! The providers' protocols: what a request and an answer say, and where.
//!
//! One file a protocol, listed in `catalog.rs`. What they share:
//!
// shared: walk
// shared: words
// shared: payload
// shared: seam
// shared: joints
// shared: parts
// shared: logprobs
// shared: stream
// shared: openai_chunks
// shared: openai_events
// shared: anthropic_events
// shared: failure
// shared: models
//! `walk` visits texts (all but the protocols' own `words`), `payload` tells text
//! from bytes, `seam` reads parts as one, and
//! `joints` those of a stream, `parts` and `logprobs` hold what two
//! protocols have alike; `stream` takes streams apart, and each `_chunks` or
//! `_events` is one provider's; `failure` writes errors in the provider's form, and
//! `models` the list of models.
//!
//! Invariant: every string of a body is shown to the guard, whatever field it
//! stands in, or it is named as unseen or opaque.

mod anthropic_count_tokens;
mod anthropic_events;
mod anthropic_messages;
mod catalog;
mod failure;
mod joints;
mod logprobs;
pub mod models;
mod openai_chat;
mod openai_chunks;
mod openai_completions;
mod openai_embeddings;
mod openai_events;
mod openai_moderations;
mod openai_responses;
mod parts;
mod payload;
mod seam;
mod stream;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use bartizan_guard::{Carrier, Channel, Slot, Unseen};
use http::{HeaderMap, Method};
use serde_json::Value;

pub use catalog::ALL;
pub use failure::{Failure, error_body};
pub(crate) use joints::{Batch, Joints, Out, Text};
pub(crate) use stream::Arguments;
pub use stream::{Envelope, Lane, Piece, Said, StreamReader};
pub use walk::Walk;

/// What a route's `allow_opaque` may name: the kinds of [`Opaque`].
pub const OPAQUE_KINDS: &[&str] =
    &["file_id", "previous_response_id", "fetched_url", "provider_tool", "batch", "token_ids"];

/// Whose error format and conventions a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    OpenAi,
    Anthropic,
}

impl Provider {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// A protocol, as the catalogue lists it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    pub name: &'static str,
    pub provider: Provider,
    pub path: &'static str,
    /// OpenTelemetry's name of the operation.
    pub operation: &'static str,
}

/// Tokens that a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
}

/// Why a body is no request of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field, as a JSON pointer or a name.
    pub param: String,
    pub message: String,
}

/// A part of a request that the gateway cannot see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// As `allow_opaque` names it.
    pub kind: &'static str,
    pub location: String,
}

/// An answer that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Garbage(pub String);

/// A protocol.
pub trait Protocol: std::fmt::Debug + Send + Sync {
    fn meta(&self) -> Meta;

    /// Checks the fields that the gateway relies on.
    ///
    /// # Errors
    /// Names the field and what was expected.
    fn check(&self, body: &Value) -> Result<(), Refusal>;

    /// Shows every text of a request.
    fn walk_call(&self, body: &mut Value, walk: &mut Walk<'_>);

    /// Shows every text of an answer.
    fn walk_reply(&self, body: &mut Value, walk: &mut Walk<'_>);

    /// The tokens that an answer says were used.
    fn usage(&self, body: &Value) -> Option<Usage>;

    /// The field with the bound on the answer's tokens.
    fn tokens_out_max(&self, body: &Value) -> Option<u64>;

    /// A reader of a streamed answer; none where the protocol does not stream.
    fn stream(&self, call: &Call) -> Option<Box<dyn StreamReader>>;
}

impl dyn Protocol {
    /// Reads a request.
    ///
    /// # Errors
    /// Names the field and what was expected.
    pub fn read(&'static self, mut body: Value) -> Result<Call, Refusal> {
        if !body.is_object() {
            return Err(refusal("", "the body must be an object"));
        }
        let model = parts::text(&body, "model")?.to_owned();
        parts::boolean(&body, "stream")?;
        parts::object(&body, "stream_options")?;
        self.check(&body)?;
        let (mut unseen, mut opaque) = (Vec::new(), Vec::new());
        let mut system = Vec::new();
        let mut look = |slot: &Slot, text: &mut String| {
            if slot.channel == Channel::System && !slot.location.ends_with("#seam") {
                system.push(text.clone());
            }
        };
        self.walk_call(&mut body, &mut Walk::new(&mut look, Some(&mut unseen), Some(&mut opaque)));
        let end_user =
            [body.get("user"), body.pointer("/metadata/user_id"), body.get("safety_identifier")];
        let end_user = end_user.into_iter().flatten().find_map(Value::as_str).map(str::to_owned);
        Ok(Call {
            stream: body.get("stream") == Some(&Value::Bool(true)),
            tokens_out_max: self.tokens_out_max(&body),
            choices: parts::number(&body, &["n"])
                .max(parts::number(&body, &["best_of"]))
                .unwrap_or(1),
            wants_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            protocol: self,
            model,
            end_user,
            opaque,
            unseen,
            system,
            body,
        })
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When it is no answer of the protocol.
    pub fn reply(&'static self, mut body: Value) -> Result<Reply, Garbage> {
        if !body.is_object() {
            return Err(Garbage("the answer is no object".to_owned()));
        }
        for list in ["choices", "content", "output", "data", "results"] {
            if body.get(list).is_some_and(|value| !value.is_array() && !value.is_null()) {
                return Err(Garbage(format!("`{list}` is no list")));
            }
        }
        let mut unseen = Vec::new();
        self.walk_reply(&mut body, &mut Walk::new(&mut |_, _| {}, Some(&mut unseen), None));
        Ok(Reply { protocol: self, body, unseen })
    }
}

/// The protocol of a request.
pub fn find(method: &Method, path: &str) -> Option<&'static dyn Protocol> {
    ALL.iter().copied().find(|protocol| *method == Method::POST && protocol.meta().path == path)
}

/// Whose conventions a client seems to speak, for errors before anything is known.
pub fn provider_of(path: &str, headers: &HeaderMap) -> Provider {
    let known = ALL
        .iter()
        .find(|protocol| protocol.meta().path == path)
        .map(|protocol| protocol.meta().provider);
    let is_anthropic =
        path.starts_with("/v1/messages") || headers.contains_key("anthropic-version");
    known.unwrap_or(if is_anthropic { Provider::Anthropic } else { Provider::OpenAi })
}

/// A request that was read.
#[derive(Debug)]
pub struct Call {
    pub model: String,
    pub stream: bool,
    pub end_user: Option<String>,
    pub tokens_out_max: Option<u64>,
    pub choices: u64,
    /// What the gateway cannot see.
    pub opaque: Vec<Opaque>,
    /// Whether the client asked for the usage of a stream.
    pub wants_usage: bool,
    protocol: &'static dyn Protocol,
    unseen: Vec<Unseen>,
    system: Vec<String>,
    body: Value,
}

impl Call {
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The application's own instructions.
    pub fn system_texts(&self) -> &[String] {
        &self.system
    }

    /// Has the provider count the tokens of a stream.
    pub fn ask_for_usage(&mut self) {
        let takes =
            ["/v1/chat/completions", "/v1/completions"].contains(&self.protocol.meta().path);
        if let (true, true, Some(body)) = (takes, self.stream, self.body.as_object_mut()) {
            let options = body.entry("stream_options").or_insert(Value::Null);
            if options.is_null() {
                *options = serde_json::json!({});
            }
            if let Some(options) = options.as_object_mut() {
                options.insert("include_usage".to_owned(), true.into());
            }
        }
    }
}

impl Carrier for Call {
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
        self.protocol.walk_call(&mut self.body, &mut Walk::new(visitor, None, None));
    }

    fn unseen(&self) -> Vec<Unseen> {
        self.unseen.clone()
    }
}

/// An answer that was read.
#[derive(Debug)]
pub struct Reply {
    protocol: &'static dyn Protocol,
    body: Value,
    unseen: Vec<Unseen>,
}

impl Reply {
    pub fn usage(&self) -> Option<Usage> {
        self.protocol.usage(&self.body)
    }

    /// All its text: for the digest in the ledger, and part by part.
    pub fn text(&mut self) -> (String, Vec<Said>) {
        let (mut text, mut parts) = (String::new(), Vec::new());
        let mut take = |slot: &Slot, one: &mut String| {
            let is_answer = slot.channel.is_outbound() || slot.channel == Channel::ToolCall;
            if is_answer && !slot.location.ends_with("#seam") {
                text.push_str(one);
                text.push('\n');
                parts.push(Said {
                    channel: slot.channel,
                    place: slot.location.clone(),
                    text: one.clone(),
                });
            }
        };
        self.protocol.walk_reply(&mut self.body, &mut Walk::new(&mut take, None, None));
        (text, parts)
    }

    #[cfg(test)]
    fn body(&self) -> &Value {
        &self.body
    }

    pub fn into_body(self) -> Value {
        self.body
    }
}

impl Carrier for Reply {
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
        self.protocol.walk_reply(&mut self.body, &mut Walk::new(visitor, None, None));
    }

    fn unseen(&self) -> Vec<Unseen> {
        self.unseen.clone()
    }
}

fn refusal(param: &str, message: impl Into<String>) -> Refusal {
    Refusal { param: param.to_owned(), message: message.into() }
}
