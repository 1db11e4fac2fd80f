//! The stream of Anthropic's `messages`: blocks that begin, grow and end.
//!
//! Source: Anthropic API reference, streaming messages.

use std::collections::BTreeMap;

use bartizan_guard::Channel;
use serde_json::{Map, Value, json};

use super::{
    Failure, Garbage, Lane, Piece, Provider, StreamReader, Usage,
    anthropic_messages::{block, usage, walk_message},
    error_body,
    parts::field,
    stream::{Envelope, Trail, merge, object, place},
    walk::Walk,
};
use crate::sse::Event;

/// A text that comes in deltas: the delta's type, its field, and whose text it is.
/// None for JSON, which is inspected whole.
const TEXTS: &[(&str, &str, Option<Channel>)] = &[
    ("text_delta", "text", Some(Channel::Output)),
    ("thinking_delta", "thinking", Some(Channel::Reasoning)),
    ("input_json_delta", "partial_json", None),
];

/// An event: a message, a block or a delta stands in it.
fn walk_event(body: &mut Value, walk: &mut Walk<'_>) {
    walk.fields(body, "", Channel::Output, |walk, key, value, at| {
        match key {
            "message" => walk_message(value, at, walk),
            "content_block" | "delta" => block(value, at, Channel::Output, walk),
            _ => return false,
        }
        true
    });
}

/// Reads the events of a stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    trail: Trail,
    blocks: BTreeMap<u64, Block>,
    usage: Usage,
}

/// A block that is open.
#[derive(Debug, Default)]
struct Block {
    lanes: Vec<Lane>,
    /// Deltas that hold no text, and those that we do not know, by type.
    gathered: BTreeMap<String, Map<String, Value>>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage> {
        let body = object(&event.data)?;
        let index = place(&body, "index")?;
        let mut pieces = Vec::new();
        match body.get("type").and_then(Value::as_str).unwrap_or_default() {
            "content_block_start" => self.begin(index, body, &mut pieces),
            "content_block_delta" => self.delta(index, body, &mut pieces)?,
            "content_block_stop" => {
                self.end(index, &mut pieces);
                pieces.push(self.pass(body));
            }
            "message_start" => {
                let said = body.get("message").and_then(|message| message.get("usage"));
                pieces.extend(self.count(said).map(Piece::Usage));
                pieces.push(self.pass(body));
            }
            "message_delta" => {
                self.end_all(&mut pieces);
                pieces.extend(self.count(body.get("usage")).map(Piece::Usage));
                pieces.push(self.pass(body));
            }
            "message_stop" => {
                self.end_all(&mut pieces);
                pieces.push(Piece::Done(named(&json!({"type": "message_stop"}))));
            }
            "error" => {
                pieces.push(self.pass(body));
                pieces.push(Piece::Done(Event::default()));
            }
            _ => pieces.push(self.pass(body)),
        }
        Ok(pieces)
    }

    fn write(&self, lane: &Lane, text: &str) -> Event {
        let known = TEXTS.iter().find(|(_, field, _)| *field == lane.field);
        let (kind, field) = known.map_or(("text_delta", "text"), |(kind, field, _)| (kind, field));
        let delta = json!({"type": kind, field: text});
        named(&json!({"type": "content_block_delta", "index": lane.index, "delta": delta}))
    }

    fn group(&self, lane: &Lane) -> Option<Lane> {
        (lane.field == "text").then(|| Lane::new(0, 0, "text"))
    }

    fn error(&self, failure: &Failure, request: &str) -> Event {
        named(&error_body(Provider::Anthropic, failure, request))
    }
}

impl Reader {
    fn pass(&self, body: Map<String, Value>) -> Piece {
        Piece::Pass(Envelope::named(Value::Object(body), walk_event, &self.trail))
    }

    /// A block that begins with text already: its deltas go on from there.
    fn begin(&mut self, index: u64, mut body: Map<String, Value>, pieces: &mut Vec<Piece>) {
        let mut said = Vec::new();
        if let Some(Value::Object(block)) = body.get_mut("content_block") {
            for (_, field, channel) in TEXTS {
                if let (Some(channel), Some(Value::String(text))) = (channel, block.get_mut(*field))
                {
                    said.push((*field, *channel, std::mem::take(text)));
                }
            }
        }
        self.blocks.insert(index, Block::default());
        pieces.push(self.pass(body));
        for (field, channel, text) in said.into_iter().filter(|(_, _, text)| !text.is_empty()) {
            let lane = self.lane(index, field);
            pieces.push(Piece::Text { lane, channel, text });
        }
    }

    fn delta(
        &mut self,
        index: u64,
        mut body: Map<String, Value>,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Garbage> {
        let Some(Value::Object(mut delta)) = body.shift_remove("delta") else {
            return Err(Garbage("a delta is no object".to_owned()));
        };
        let kind = delta.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let known = TEXTS.iter().find(|(name, _, _)| *name == kind);
        if let Some((_, field, channel)) = known
            && let Some(Value::String(text)) = delta.shift_remove(*field)
        {
            let lane = self.lane(index, field);
            pieces.push(match channel {
                Some(channel) => Piece::Text { lane, channel: *channel, text },
                None => Piece::Whole { lane, text },
            });
        } else if kind == "citations_delta" {
            // Each is a citation by itself.
            body.insert("delta".to_owned(), Value::Object(delta));
            pieces.push(self.pass(body));
        } else {
            let block = self.blocks.entry(index).or_default();
            merge(block.gathered.entry(kind).or_default(), delta);
        }
        Ok(())
    }

    fn lane(&mut self, index: u64, field: &str) -> Lane {
        let lane = Lane::new(index, 0, field);
        let lanes = &mut self.blocks.entry(index).or_default().lanes;
        if !lanes.contains(&lane) {
            lanes.push(lane.clone());
        }
        lane
    }

    /// Ends a block's lanes, and passes on what was gathered of it.
    fn end(&mut self, index: u64, pieces: &mut Vec<Piece>) {
        let Some(Block { lanes, gathered }) = self.blocks.remove(&index) else { return };
        pieces.extend(lanes.into_iter().map(Piece::End));
        for delta in gathered.into_values() {
            let body = json!({"type": "content_block_delta", "index": index, "delta": delta});
            pieces.push(Piece::Pass(Envelope::named(body, walk_event, &self.trail)));
        }
    }

    fn end_all(&mut self, pieces: &mut Vec<Piece>) {
        let open: Vec<u64> = self.blocks.keys().copied().collect();
        open.into_iter().for_each(|index| self.end(index, pieces));
    }

    /// The counts so far: later ones are totals, and leave out what has not changed.
    fn count(&mut self, said: Option<&Value>) -> Option<Usage> {
        let said = said.and_then(usage)?;
        self.usage.input = self.usage.input.max(said.input);
        self.usage.output = self.usage.output.max(said.output);
        Some(self.usage)
    }
}

/// An event whose name is its body's `type`.
fn named(body: &Value) -> Event {
    Event { name: field(body, "type").to_owned(), data: body.to_string() }
}
