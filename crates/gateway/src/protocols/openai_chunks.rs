//! The stream of OpenAI's two older protocols: chunks of choices.
//!
//! The texts that people wait for come in lanes. Everything else in a delta (the
//! names of tools, fields that we do not know) is gathered as SDKs gather it and
//! passed on, inspected, when its choice ends: in pieces it could say anything.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Failure, Garbage, Lane, Piece, Provider, StreamReader, error_body,
    openai_chat::{TEXTS, walk_choices},
    parts::openai_usage,
    stream::{Envelope, Trail, merge, object, place},
    words,
};
use crate::sse::Event;

/// What a chunk repeats of the first one.
const FRAME: &[&str] = &["id", "object", "created", "model", "system_fingerprint", "service_tier"];
/// The roles that an answer may have.
const ROLES: &[&str] = &["assistant", "developer", "system", "tool", "user"];

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A choice has a `delta`.
    Chat,
    /// A choice has a `text`.
    Text,
}

/// Reads the chunks of a stream.
#[derive(Debug)]
pub(super) struct Reader {
    form: Form,
    wants_usage: bool,
    trail: Trail,
    /// The first chunk's own fields, not yet inspected.
    frame: Option<Map<String, Value>>,
    /// Fields that chunks have beside it, gathered until the end: over chunks they could
    /// say anything.
    late: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
}

/// What is known of a choice.
#[derive(Debug, Default)]
struct Choice {
    has_begun: bool,
    has_ended: bool,
    lanes: BTreeSet<Lane>,
    /// Calls of tools, without their arguments.
    calls: BTreeMap<u64, Map<String, Value>>,
    /// What else deltas brought.
    rest: Map<String, Value>,
    /// What else the choice has beside its delta.
    beside: Map<String, Value>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        if event.data.trim() == "[DONE]" {
            return Ok(self.done());
        }
        let mut body = object(&event.data)?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            let told = Envelope::plain(Value::Object(body), walk_choices, &self.trail);
            return Ok(vec![Piece::Pass(told), Piece::Done(Event::default())]);
        }
        let usage = body.shift_remove("usage").filter(|usage| !usage.is_null());
        let choices = match body.shift_remove("choices") {
            Some(Value::Array(choices)) => choices,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(Garbage("`choices` is no list".to_owned())),
        };
        let mut pieces = Vec::new();
        self.frame(body, choices.is_empty(), &mut pieces);
        for choice in choices {
            let Value::Object(choice) = choice else {
                return Err(Garbage("a choice is no object".to_owned()));
            };
            self.choice(choice, &mut pieces)?;
        }
        if let Some(usage) = usage {
            pieces.extend(openai_usage(&usage).map(Piece::Usage));
            if self.wants_usage {
                let mut chunk = self.chunk(json!([]));
                chunk.insert("usage".to_owned(), usage);
                pieces.push(self.pass(chunk));
            }
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let choice = match (self.form, lane.field.as_str()) {
            (Form::Text, _) => {
                json!({"index": lane.index, "text": text, "logprobs": null, "finish_reason": null})
            }
            (Form::Chat, field) => {
                let function =
                    |field: &str| json!([{"index": lane.part, "function": {field: text}}]);
                let delta = match field {
                    "arguments" => json!({"tool_calls": function("arguments")}),
                    "input" => {
                        json!({"tool_calls": [{"index": lane.part, "custom": {"input": text}}]})
                    }
                    field => json!({field: text}),
                };
                json!({"index": lane.index, "delta": delta, "finish_reason": null})
            }
        };
        let mut chunk = self.chunk(json!([choice]));
        chunk.retain(|_, value| value.as_str().is_none_or(|text| self.trail.knows(text)));
        Event::data(Value::Object(chunk).to_string())
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        Event::data(error_body(Provider::OpenAi, failure, request).to_string())
    }
}

impl Reader {
    pub(super) fn new(form: Form, wants_usage: bool) -> Self {
        Self {
            form,
            wants_usage,
            trail: Trail::default(),
            frame: None,
            late: Map::new(),
            choices: BTreeMap::new(),
        }
    }

    /// Keeps what chunks repeat; what differs from it waits.
    fn frame(&mut self, mut body: Map<String, Value>, is_empty: bool, pieces: &mut Vec<Piece>) {
        let Some(frame) = &mut self.frame else {
            let is_frame = |key: &str, value: &Value| {
                FRAME.contains(&key) && (value.is_string() || words::is_moment(key, value))
            };
            let kept = body.iter().filter(|(key, value)| is_frame(key, value));
            self.frame = Some(kept.map(|(key, value)| (key.clone(), value.clone())).collect());
            let frame = self.frame.clone().unwrap_or_default();
            body.retain(|key, value| !is_frame(key, value));
            self.late = body;
            if is_empty {
                let mut chunk = frame;
                chunk.insert("choices".to_owned(), json!([]));
                pieces.push(self.pass(chunk));
            }
            return;
        };
        // Some servers begin with a chunk that has no name yet.
        let is_unset =
            |frame: &Map<String, Value>, key: &str| frame.get(key).is_some_and(|v| v == "");
        for (key, value) in &body {
            if value.is_string() && is_unset(frame, key) {
                frame.insert(key.clone(), value.clone());
            }
        }
        // What differs from the frame adds nothing to it.
        body.retain(|key, value| !frame.contains_key(key) && self.late.get(key) != Some(value));
        merge(&mut self.late, body);
    }

    fn chunk(&self, choices: Value) -> Map<String, Value> {
        let mut chunk = self.frame.clone().unwrap_or_default();
        chunk.insert("choices".to_owned(), choices);
        chunk
    }

    fn pass(&self, chunk: Map<String, Value>) -> Piece {
        Piece::Pass(Envelope::plain(Value::Object(chunk), walk_choices, &self.trail))
    }

    /// A chunk of one choice.
    fn pass_choice(&self, choice: Value) -> Piece {
        self.pass(self.chunk(json!([choice])))
    }

    fn choice(
        &mut self,
        mut choice: Map<String, Value>,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Garbage> {
        let index = place(&choice, "index")?;
        choice.shift_remove("index");
        // Tokens would tell what is held: they do not outrun the text that they spell.
        choice.shift_remove("logprobs");
        // Some servers say an empty one with every delta.
        let reason = choice.shift_remove("finish_reason");
        let reason = reason.filter(|reason| !reason.is_null() && reason != "");
        let mut delta = match (self.form, choice.shift_remove("delta")) {
            (Form::Text, _) => Map::from_iter(choice.shift_remove_entry("text")),
            (Form::Chat, Some(Value::Object(delta))) => delta,
            (Form::Chat, None | Some(Value::Null)) => Map::new(),
            (Form::Chat, Some(_)) => return Err(Garbage("a delta is no object".to_owned())),
        };
        self.begin(index, &mut delta, pieces);
        let state = self.choices.entry(index).or_default();
        merge(&mut state.beside, choice);
        let texts = pieces.len();
        state.texts(self.form, index, &mut delta, pieces);
        if state.has_ended && pieces.len() > texts {
            // It was let go: what would be joined to it cannot be judged with it.
            return Err(Garbage("a choice goes on after its end".to_owned()));
        }
        state.tool_calls(index, &mut delta, pieces)?;
        delta.retain(|_, value| !value.is_null() && value != "");
        merge(&mut state.rest, delta);
        if let Some(reason) = reason {
            self.close(index, Some(reason), pieces);
        }
        Ok(())
    }

    /// A choice begins with its role.
    fn begin(&mut self, index: u64, delta: &mut Map<String, Value>, pieces: &mut Vec<Piece>) {
        let known = delta.get("role").and_then(Value::as_str).filter(|role| ROLES.contains(role));
        let role = known.map(str::to_owned);
        if role.is_some() {
            delta.shift_remove("role");
        }
        let state = self.choices.entry(index).or_default();
        if std::mem::replace(&mut state.has_begun, true) {
            return;
        }
        let head = match (self.form, role) {
            (Form::Text, _) => {
                json!({"index": index, "text": "", "logprobs": null, "finish_reason": null})
            }
            (Form::Chat, Some(role)) => {
                json!({"index": index, "delta": {"role": role, "content": ""}, "finish_reason": null})
            }
            (Form::Chat, None) => json!({"index": index, "delta": {}, "finish_reason": null}),
        };
        pieces.push(self.pass_choice(head));
    }

    /// Ends the lanes of a choice, and passes on what was gathered of it.
    fn close(&mut self, index: u64, reason: Option<Value>, pieces: &mut Vec<Piece>) {
        let Choice { lanes, calls, rest, beside, .. } =
            std::mem::take(self.choices.entry(index).or_default());
        let state = self.choices.entry(index).or_default();
        (state.has_begun, state.has_ended) = (true, true);
        let (arguments, texts): (Vec<Lane>, Vec<Lane>) = lanes
            .into_iter()
            .partition(|lane| ["arguments", "input"].contains(&lane.field.as_str()));
        pieces.extend(texts.into_iter().map(Piece::End));
        for (part, call) in calls {
            let delta = json!({"tool_calls": [call]});
            pieces.push(
                self.pass_choice(json!({"index": index, "delta": delta, "finish_reason": null})),
            );
            let own = arguments.iter().filter(|lane| lane.part == part).cloned();
            pieces.extend(own.map(Piece::End));
        }
        if !rest.is_empty() {
            pieces.push(
                self.pass_choice(json!({"index": index, "delta": rest, "finish_reason": null})),
            );
        }
        if reason.is_none() && beside.is_empty() {
            return;
        }
        let mut last = Map::from_iter([("index".to_owned(), index.into())]);
        match self.form {
            Form::Chat => last.insert("delta".to_owned(), json!({})),
            Form::Text => last.insert("text".to_owned(), "".into()),
        };
        last.insert("logprobs".to_owned(), Value::Null);
        last.insert("finish_reason".to_owned(), reason.unwrap_or_default());
        last.extend(beside);
        pieces.push(self.pass_choice(Value::Object(last)));
    }

    fn done(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let open: Vec<u64> = self.choices.keys().copied().collect();
        open.into_iter().for_each(|index| self.close(index, None, &mut pieces));
        if !self.late.is_empty() {
            // With a choice, since clients look for one in each chunk.
            let choice = match self.form {
                Form::Chat => json!({"index": 0, "delta": {}, "finish_reason": null}),
                Form::Text => {
                    json!({"index": 0, "text": "", "logprobs": null, "finish_reason": null})
                }
            };
            let mut chunk = self.chunk(json!([choice]));
            chunk.append(&mut self.late);
            pieces.push(self.pass(chunk));
        }
        pieces.push(Piece::Done(Event::data("[DONE]".to_owned())));
        pieces
    }
}

/// Takes a text out of a delta: itself, or those of its parts, which clients join with it.
fn take_text(delta: &mut Map<String, Value>, name: &str) -> Option<String> {
    let value = delta.get_mut(name)?;
    if let Value::String(text) = value {
        let text = std::mem::take(text);
        delta.shift_remove(name);
        return Some(text);
    }
    let Value::Array(parts) = value else { return None };
    let mut texts = String::new();
    for part in parts.iter_mut() {
        match part {
            Value::String(text) => texts.push_str(&std::mem::take(text)),
            part => {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    texts.push_str(&std::mem::take(text));
                }
            }
        }
    }
    // What is left of a part that only said this text says nothing.
    let is_said = |(key, value): (&String, &Value)| {
        key == "index" || value == "" || (key == "type" && value == "text")
    };
    parts.retain(|part| match part {
        Value::String(_) => false,
        Value::Object(part) => !part.iter().all(is_said),
        _ => true,
    });
    if parts.is_empty() {
        delta.shift_remove(name);
    }
    Some(texts)
}

impl Choice {
    /// Takes the texts out of a delta, each into its lane.
    fn texts(
        &mut self,
        form: Form,
        index: u64,
        delta: &mut Map<String, Value>,
        pieces: &mut Vec<Piece>,
    ) {
        let texts: &[(&str, Channel)] = match form {
            Form::Chat => TEXTS,
            Form::Text => &[("text", Channel::Output)],
        };
        for (name, channel) in texts {
            let Some(text) = take_text(delta, name) else { continue };
            if text.is_empty() {
                continue;
            }
            let lane = Lane::new(index, 0, name);
            self.lanes.insert(lane.clone());
            pieces.push(Piece::Text { lane, channel: *channel, text });
        }
    }

    /// Gathers the calls of a delta; their arguments are inspected whole.
    fn tool_calls(
        &mut self,
        index: u64,
        delta: &mut Map<String, Value>,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Garbage> {
        let calls = match delta.shift_remove("tool_calls") {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err(Garbage("`tool_calls` is no list".to_owned())),
        };
        for (i, call) in calls.into_iter().enumerate() {
            let Value::Object(mut call) = call else {
                return Err(Garbage("a call is no object".to_owned()));
            };
            // Servers that send a call whole may leave its number out.
            let counted = u64::try_from(i).unwrap_or(u64::MAX);
            let part = if call.contains_key("index") { place(&call, "index")? } else { counted };
            call.insert("index".to_owned(), part.into());
            for (holder, field) in [("function", "arguments"), ("custom", "input")] {
                let Some(Value::Object(function)) = call.get_mut(holder) else { continue };
                if let Some(Value::String(text)) = function.get_mut(field) {
                    let text = std::mem::take(text);
                    let lane = Lane::new(index, part, field);
                    self.lanes.insert(lane.clone());
                    pieces.push(Piece::Whole { lane, text });
                }
            }
            merge(self.calls.entry(part).or_default(), call);
        }
        Ok(())
    }
}
