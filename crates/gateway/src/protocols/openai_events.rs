//! The stream of OpenAI's `responses`: named events, which say everything up to four
//! times: in deltas, when a text is done, when its part and its item are, and at the
//! end. What was released of the deltas is what the later ones then say.

use std::collections::BTreeMap;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Failure, Garbage, Lane, Piece, Provider, StreamReader, error_body,
    openai_responses::walk_event,
    parts::{field, openai_usage},
    stream::{Envelope, Trail, merge, object, place},
};
use crate::sse::Event;

/// A text that comes in deltas.
#[derive(Clone, Copy, Debug)]
struct Text {
    /// The event's name without `.delta`.
    stem: &'static str,
    /// Where the event that closes it has the text.
    field: &'static str,
    /// None for JSON or code, which is inspected whole.
    channel: Option<Channel>,
}

const TEXTS: &[Text] = &[
    Text { stem: "response.output_text", field: "text", channel: Some(Channel::Output) },
    Text { stem: "response.refusal", field: "refusal", channel: Some(Channel::Output) },
    Text { stem: "response.reasoning_text", field: "text", channel: Some(Channel::Reasoning) },
    Text {
        stem: "response.reasoning_summary_text",
        field: "text",
        channel: Some(Channel::Reasoning),
    },
    Text { stem: "response.audio.transcript", field: "transcript", channel: Some(Channel::Output) },
    Text { stem: "response.function_call_arguments", field: "arguments", channel: None },
    Text { stem: "response.mcp_call_arguments", field: "arguments", channel: None },
    Text { stem: "response.custom_tool_call_input", field: "input", channel: None },
    Text { stem: "response.code_interpreter_call_code", field: "code", channel: None },
    Text { stem: "response.shell_call_command", field: "command", channel: None },
];

/// The numbers that say which text an event is about.
const PLACES: &[&str] = &["output_index", "content_index", "summary_index", "command_index"];
/// The events after which nothing comes.
const LAST: &[&str] = &[
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
    "error",
];

/// Reads the events of a stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    trail: Trail,
    /// The lanes that are open, and what their deltas are about.
    open: BTreeMap<Lane, Map<String, Value>>,
    /// Deltas that we do not know, gathered until what they tell of is done.
    unknown: BTreeMap<Lane, Map<String, Value>>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        if event.data.trim() == "[DONE]" {
            return Ok(self.done());
        }
        let body = object(&event.data)?;
        PLACES.iter().try_for_each(|field| place(&body, field).map(drop))?;
        let name = body.get("type").and_then(Value::as_str).unwrap_or(&event.name).to_owned();
        Ok(match (name.strip_suffix(".delta"), name.strip_suffix(".done")) {
            // Sound holds no text, and is passed on as it comes.
            (Some("response.audio"), _) => vec![self.pass(body, Vec::new())],
            (Some(stem), _) => self.delta(stem, body),
            (_, Some(stem)) => self.closed(stem, body),
            _ if LAST.contains(&name.as_str()) => self.last(body),
            _ if name == "response.content_part.added" => self.part_added(body),
            _ => vec![self.pass(body, Vec::new())],
        })
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        self.trail.released(lane, text);
        let mut body =
            Map::from_iter([("type".to_owned(), format!("{}.delta", lane.field).into())]);
        let about = self.open.get(lane).cloned();
        let about = about
            .unwrap_or_else(|| Map::from_iter([("output_index".to_owned(), lane.index.into())]));
        let known = |value: &Value| value.as_str().is_none_or(|name| self.trail.knows(name));
        body.extend(about.into_iter().filter(|(_, value)| known(value)));
        body.entry("item_id").or_insert_with(|| format!("item_{}", lane.index).into());
        body.insert("delta".to_owned(), text.into());
        if lane.field == "response.output_text" {
            // Tokens would tell what is held, so none are sent.
            body.insert("logprobs".to_owned(), json!([]));
        }
        body.insert("sequence_number".to_owned(), self.trail.number().into());
        Event { name: format!("{}.delta", lane.field), data: Value::Object(body).to_string() }
    }

    fn group(&self, lane: &Lane) -> Option<Lane> {
        // SDKs join the texts of all items; the parts of a reasoning belong to its item.
        let index = if lane.field == "response.output_text" { 0 } else { lane.index };
        Some(Lane::new(index, 0, &lane.field))
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        // The reference has the fields beside the type; the provider sends them in
        // `error`, and SDKs raise their exception by that.
        let body = json!({
            "type": "error",
            "code": failure.code,
            "message": failure.message,
            "param": failure.param,
            "error": error_body(Provider::OpenAi, failure, request).get("error"),
            "sequence_number": self.trail.number(),
        });
        Event { name: "error".to_owned(), data: body.to_string() }
    }
}

impl Reader {
    fn pass(&self, body: Map<String, Value>, repeats: Vec<(String, Lane)>) -> Piece {
        let envelope = Envelope::named(Value::Object(body), walk_event, &self.trail);
        Piece::Pass(envelope.repeating(repeats))
    }

    fn delta(&mut self, stem: &str, mut body: Map<String, Value>) -> Vec<Piece> {
        let lane = lane(stem, &body);
        // It hides how long a delta is; what is sent here is not the provider's delta.
        body.shift_remove("obfuscation");
        match (text(stem), body.shift_remove("delta")) {
            (Some(text), Some(Value::String(delta))) => vec![self.open(text, lane, &body, delta)],
            (_, delta) => {
                let gathered = self.unknown.entry(lane).or_default();
                body.extend(delta.map(|delta| ("delta".to_owned(), delta)));
                merge(gathered, body);
                Vec::new()
            }
        }
    }

    fn open(&mut self, text: Text, lane: Lane, body: &Map<String, Value>, delta: String) -> Piece {
        let about = self.open.entry(lane.clone()).or_default();
        if about.is_empty() {
            let is_about = |(key, value): &(&String, &Value)| match key.as_str() {
                "item_id" => value.is_string(),
                key => PLACES.contains(&key) && value.is_u64(),
            };
            about.extend(
                body.iter().filter(is_about).map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        match text.channel {
            Some(channel) => Piece::Text { lane, channel, text: delta },
            None => Piece::Whole { lane, text: delta },
        }
    }

    /// A part that begins with text already: its deltas go on from there.
    fn part_added(&mut self, mut body: Map<String, Value>) -> Vec<Piece> {
        let part = body.get("part").cloned().unwrap_or_default();
        let Some((text, said)) = part_text(&part) else { return vec![self.pass(body, Vec::new())] };
        let said = said.to_owned();
        if let Some(place) = body.get_mut("part").and_then(|part| part.get_mut(text.field)) {
            *place = "".into();
        }
        let mut pieces = vec![self.pass(body.clone(), Vec::new())];
        if !said.is_empty() {
            pieces.push(self.open(text, lane(text.stem, &body), &body, said));
        }
        pieces
    }

    /// A text, a part or an item is done: what it repeats is what was released.
    fn closed(&mut self, stem: &str, mut body: Map<String, Value>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let place = lane(stem, &body);
        let repeats = match (text(stem), stem) {
            (Some(text), _) => vec![(format!("/{}", text.field), place.clone())],
            (_, "response.output_item") => item_repeats(body.get("item"), "/item", place.index),
            (_, "response.content_part" | "response.reasoning_summary_part") => {
                let part = body.get("part").and_then(part_text);
                let lane =
                    |text: Text| Lane { field: part_stem(stem, text).to_owned(), ..place.clone() };
                part.map(|(text, _)| (format!("/part/{}", text.field), lane(text)))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        };
        self.end(repeats.iter().map(|(_, lane)| lane.clone()).collect(), &mut pieces);
        if stem == "response.output_item" {
            let stems = TEXTS.iter().filter(|text| text.stem != "response.output_text");
            pieces.extend(stems.map(|text| Piece::Over(Lane::new(place.index, 0, text.stem))));
        }
        if let Some(gathered) = self.unknown.remove(&place) {
            pieces.push(self.pass(gathered, Vec::new()));
        }
        drop_tokens(&mut body);
        pieces.push(self.pass(body, repeats));
        pieces
    }

    fn end(&mut self, lanes: Vec<Lane>, pieces: &mut Vec<Piece>) {
        // A lane stays known: what it is about is needed while it is written out.
        pieces
            .extend(lanes.into_iter().filter(|lane| self.open.contains_key(lane)).map(Piece::End));
    }

    /// The end of the stream, which says all of it once more.
    fn last(&mut self, mut body: Map<String, Value>) -> Vec<Piece> {
        let mut pieces = self.rest();
        let usage = body.get("response").and_then(|response| response.get("usage"));
        pieces.extend(usage.and_then(openai_usage).map(Piece::Usage));
        drop_tokens(&mut body);
        let output = body.get("response").and_then(|response| response.get("output"));
        let items = output.and_then(Value::as_array).into_iter().flatten().zip(0_u64..);
        let repeats = items
            .flat_map(|(item, i)| item_repeats(Some(item), &format!("/response/output/{i}"), i))
            .collect();
        pieces.push(self.pass(body, repeats));
        // No event comes after it: the connection ends.
        pieces.push(Piece::Done(Event::default()));
        pieces
    }

    fn done(&mut self) -> Vec<Piece> {
        let mut pieces = self.rest();
        pieces.push(Piece::Done(Event::data("[DONE]".to_owned())));
        pieces
    }

    /// Ends what is open, and passes on what was gathered.
    fn rest(&mut self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = self.open.keys().cloned().map(Piece::End).collect();
        let gathered = std::mem::take(&mut self.unknown);
        pieces.extend(gathered.into_values().map(|body| self.pass(body, Vec::new())));
        pieces
    }
}

fn text(stem: &str) -> Option<Text> {
    TEXTS.iter().copied().find(|text| text.stem == stem)
}

/// Which text an event is about.
fn lane(stem: &str, body: &Map<String, Value>) -> Lane {
    let number = |name: &str| body.get(name).and_then(Value::as_u64);
    let part = ["content_index", "summary_index", "command_index"].into_iter().find_map(number);
    Lane::new(number("output_index").unwrap_or(0), part.unwrap_or(0), stem)
}

/// The text of a content part, and how its deltas are called.
fn part_text(part: &Value) -> Option<(Text, &str)> {
    let stem = match field(part, "type") {
        "output_text" | "text" => "response.output_text",
        "refusal" => "response.refusal",
        "reasoning_text" => "response.reasoning_text",
        "summary_text" => "response.reasoning_summary_text",
        _ => return None,
    };
    let text = text(stem)?;
    Some((text, part.get(text.field)?.as_str()?))
}

/// A summary's part may leave out that it is one.
fn part_stem(event: &str, text: Text) -> &'static str {
    match event {
        "response.reasoning_summary_part" => "response.reasoning_summary_text",
        _ => text.stem,
    }
}

/// Where an item repeats what its lanes carried.
fn item_repeats(item: Option<&Value>, at: &str, index: u64) -> Vec<(String, Lane)> {
    let Some(item) = item else { return Vec::new() };
    let call = |field: &str, stem: &str| vec![(format!("{at}/{field}"), Lane::new(index, 0, stem))];
    match field(item, "type") {
        "function_call" => call("arguments", "response.function_call_arguments"),
        "mcp_call" => call("arguments", "response.mcp_call_arguments"),
        "custom_tool_call" => call("input", "response.custom_tool_call_input"),
        "code_interpreter_call" => call("code", "response.code_interpreter_call_code"),
        _ => {
            let parts = ["content", "summary"].into_iter().flat_map(|list| {
                let parts = item.get(list).and_then(Value::as_array).into_iter().flatten();
                parts.zip(0_u64..).filter_map(move |(part, i)| {
                    let (text, _) = part_text(part)?;
                    let stem = if list == "summary" {
                        "response.reasoning_summary_text"
                    } else {
                        text.stem
                    };
                    Some((format!("{at}/{list}/{i}/{}", text.field), Lane::new(index, i, stem)))
                })
            });
            parts.collect()
        }
    }
}

/// Empties every list of tokens: they spell the texts as they were.
fn drop_tokens(body: &mut Map<String, Value>) {
    for (key, value) in body.iter_mut() {
        match value {
            Value::Array(_) if key == "logprobs" => *value = json!([]),
            Value::Array(items) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(drop_tokens);
            }
            Value::Object(map) => drop_tokens(map),
            _ => {}
        }
    }
}
