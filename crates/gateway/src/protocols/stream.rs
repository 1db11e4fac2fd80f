//! A streamed answer, taken apart into lanes of text and the events around them.
//!
//! Invariant: what a reader writes by itself is text that the guard released and
//! names that the guard has passed before, never a string straight from upstream.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bartizan_guard::{Carrier, Channel, Screened, Slot, Unseen};
use serde_json::{Map, Value};

use super::{Failure, Garbage, Usage, walk::Walk};
use crate::sse::Event;

/// The longest string that is kept as a name, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// The most choices, blocks or parts: a number beyond it says something else.
const PLACE_MAX: u64 = 65_535;
/// The longest list whose items are joined by their index.
const ITEMS_MAX: usize = 1024;
/// The most names that are kept of one stream.
const NAMES_MAX: usize = 4096;

/// One text of a streamed answer: which choice or block, and which of its texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    pub index: u64,
    pub part: u64,
    /// The field or event that carries it.
    pub field: String,
}

impl Lane {
    pub(super) fn new(index: u64, part: u64, field: &str) -> Self {
        Self { index, part, field: field.to_owned() }
    }

    /// How evidence names it.
    pub(crate) fn place(&self) -> String {
        format!("/{}/{}/{}", self.index, self.part, self.field)
    }
}

/// One text of an answer as it was delivered, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Said {
    pub channel: Channel,
    /// The JSON pointer in an answer that came whole; of a stream, its lane as evidence names it.
    pub place: String,
    pub text: String,
}

impl Said {
    pub(crate) fn of_lane(lane: &Lane, (channel, text): (Channel, String)) -> Self {
        Self { channel, place: lane.place(), text }
    }
}

/// What an event of a stream comes down to.
#[derive(Debug)]
pub enum Piece {
    /// Text that is inspected as it comes.
    Text {
        lane: Lane,
        channel: Channel,
        text: String,
    },
    /// A piece of JSON that is inspected once it is whole.
    Whole {
        lane: Lane,
        text: String,
    },
    /// A lane has ended: what is held of it can be judged.
    End(Lane),
    /// No lane that this one stands for comes any more.
    Over(Lane),
    /// The rest of the event, inspected by itself.
    Pass(Envelope),
    Usage(Usage),
    /// The stream has ended; this closes it.
    Done(Event),
}

/// Reads a provider's stream, and writes released text in its form.
pub trait StreamReader: Send + Sync {
    /// Takes an event apart.
    ///
    /// # Errors
    /// When it is no event of the protocol.
    fn read(&mut self, event: &Event) -> Result<Vec<Piece>, Garbage>;

    /// The event that carries released text. It must be sent before any later piece
    /// is dealt with: the events that close a lane repeat what was written to it.
    fn write(&self, lane: &Lane, text: &str) -> Event;

    /// Stands for the lanes that clients join with this one, where they do: what is split
    /// over them must be found.
    fn group(&self, _lane: &Lane) -> Option<Lane> {
        None
    }

    /// How the provider tells of an error in the middle of a stream.
    fn error(&self, failure: &Failure, request: &str) -> Event;
}

/// What went out so far, shared by a reader and its envelopes.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Arc<Mutex<Past>>);

#[derive(Debug, Default)]
struct Past {
    /// Strings of envelopes that the guard passed as they were.
    names: BTreeSet<String>,
    /// What was released, by lane.
    released: BTreeMap<Lane, String>,
    /// Events that were numbered.
    events: u64,
}

impl Trail {
    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the guard has passed this string as a name in this stream.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.past().names.contains(name)
    }

    pub(super) fn released(&self, lane: &Lane, text: &str) {
        self.past().released.entry(lane.clone()).or_default().push_str(text);
    }

    fn text_of(&self, lane: &Lane) -> Option<String> {
        self.past().released.get(lane).cloned()
    }

    /// The number of the next event.
    pub(super) fn number(&self) -> u64 {
        let mut past = self.past();
        past.events += 1;
        past.events - 1
    }

    /// Keeps the names of an envelope that the guard passed: its own strings and
    /// those of the item or response that it tells of.
    fn keep(&self, body: &Value) {
        let mut past = self.past();
        let inner = ["item", "response", "message"].map(|field| body.get(field));
        let maps = std::iter::once(Some(body)).chain(inner).flatten().filter_map(Value::as_object);
        for text in maps.flat_map(Map::values).filter_map(Value::as_str) {
            if text.len() <= NAME_BYTES_MAX && past.names.len() < NAMES_MAX {
                past.names.insert(text.to_owned());
            }
        }
    }
}

/// Shows every text of an event's body.
pub(super) type Show = fn(&mut Value, &mut Walk<'_>);

/// An event without the texts that lanes carry. What strings are left are inspected.
#[derive(Debug)]
pub struct Envelope {
    body: Value,
    show: Show,
    /// Whether the event is named, as its body's `type` says.
    is_named: bool,
    trail: Trail,
    /// Texts that repeat what a lane carried: where they stand, and the lane.
    repeats: Vec<(String, Lane)>,
    unseen: Vec<Unseen>,
}

impl Envelope {
    /// An event that is data alone.
    pub(super) fn plain(body: Value, show: Show, trail: &Trail) -> Self {
        let trail = trail.clone();
        Self { body, show, is_named: false, trail, repeats: Vec::new(), unseen: Vec::new() }
    }

    /// An event whose name is its body's `type`.
    pub(super) fn named(body: Value, show: Show, trail: &Trail) -> Self {
        Self { is_named: true, ..Self::plain(body, show, trail) }
    }

    /// Its texts at these places become what was released of these lanes.
    #[must_use]
    pub(super) fn repeating(mut self, repeats: Vec<(String, Lane)>) -> Self {
        self.repeats = repeats;
        self
    }

    /// Whether it says no more than that the stream is alive.
    pub(crate) fn is_ping(&self) -> bool {
        super::parts::field(&self.body, "type") == "ping"
    }

    /// The event, once the guard has passed it.
    pub(crate) fn event(envelope: Screened<Self>) -> Event {
        let Self { mut body, is_named, trail, .. } = envelope.into_inner();
        trail.keep(&body);
        if let Some(number) = body.get_mut("sequence_number") {
            // Events are held, merged and split here: the provider's count is off.
            *number = trail.number().into();
        }
        let name =
            if is_named { super::parts::field(&body, "type").to_owned() } else { String::new() };
        Event { name, data: body.to_string() }
    }
}

impl Carrier for Envelope {
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
        // What was released was inspected; showing it again would count it twice.
        let mut repeated = Vec::new();
        for (at, lane) in &self.repeats {
            let released = self.trail.text_of(lane);
            if let (Some(text), Some(place)) = (released, self.body.pointer_mut(at)) {
                *place = Value::Null;
                repeated.push((at, text));
            }
        }
        self.unseen.clear();
        (self.show)(&mut self.body, &mut Walk::new(visitor, Some(&mut self.unseen), None));
        for (at, text) in repeated {
            if let Some(place) = self.body.pointer_mut(at) {
                *place = text.into();
            }
        }
    }

    fn unseen(&self) -> Vec<Unseen> {
        self.unseen.clone()
    }
}

/// A whole piece of JSON out of a stream: the arguments of a tool call.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) location: String,
    pub(crate) text: Value,
}

impl Carrier for Arguments {
    fn visit(&mut self, visitor: &mut dyn FnMut(&Slot, &mut String)) {
        Walk::new(visitor, None, None).json(&mut self.text, &self.location, Channel::ToolCall);
    }

    fn unseen(&self) -> Vec<Unseen> {
        Vec::new()
    }
}

/// A field that says which choice, block or part an event is about; zero where there
/// is none.
pub(super) fn place(body: &Map<String, Value>, field: &str) -> Result<u64, Garbage> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(0),
        Some(value) => value
            .as_u64()
            .filter(|place| *place <= PLACE_MAX)
            .ok_or_else(|| Garbage(format!("`{field}` is no number up to {PLACE_MAX}"))),
    }
}

/// An event's data as an object.
pub(super) fn object(data: &str) -> Result<Map<String, Value>, Garbage> {
    match bartizan_core::json::parse(data.as_bytes(), usize::MAX) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Garbage("an event is no object".to_owned())),
        Err(problem) => Err(Garbage(format!("an event is no JSON: {problem}"))),
    }
}

/// Adds a delta to what came before, as SDKs do: texts are joined, items of lists
/// meet by their `index`, and the rest is replaced.
pub(super) fn merge(into: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (key, value) in delta {
        match into.get_mut(&key) {
            Some(before) => merge_value(&key, before, value),
            None => {
                into.insert(key, value);
            }
        }
    }
}

fn merge_value(key: &str, before: &mut Value, value: Value) {
    /// Fields that some servers repeat with every delta.
    const REPEATED: &[&str] = &["call_id", "format", "id", "name", "object", "role", "type"];
    match (before, value) {
        (_, Value::Null) => {}
        (Value::String(before), Value::String(text)) => {
            if !(REPEATED.contains(&key) && *before == text) {
                before.push_str(&text);
            }
        }
        (Value::Object(before), Value::Object(map)) => merge(before, map),
        (Value::Array(before), Value::Array(items)) => {
            items.into_iter().for_each(|item| merge_item(before, item));
        }
        (before, value) => *before = value,
    }
}

fn merge_item(list: &mut Vec<Value>, item: Value) {
    let index = item.get("index").and_then(Value::as_u64).filter(|_| list.len() < ITEMS_MAX);
    let place = index.and_then(|index| {
        list.iter_mut().find(|one| one.get("index").and_then(Value::as_u64) == Some(index))
    });
    match (place, item) {
        (Some(Value::Object(before)), Value::Object(map)) => merge(before, map),
        (_, item) => list.push(item),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(deltas: &[Value]) -> Value {
        let mut into = Map::new();
        for delta in deltas {
            merge(&mut into, delta.as_object().expect("an object").clone());
        }
        Value::Object(into)
    }

    #[test]
    fn deltas_join_as_sdks_join_them() {
        let deltas = [
            json!({"name": "f", "note": "sec", "list": [{"index": 0, "text": "a", "type": "t"}]}),
            json!({"name": "f", "note": "ret", "list": [{"index": 0, "text": "b", "type": "t"}, {"index": 1, "text": "c"}]}),
            json!({"note": null, "count": 1, "more": {"a": 1}}),
            json!({"count": 2, "more": {"b": "x"}}),
        ];
        let expected = json!({"name": "f", "note": "secret", "count": 2, "more": {"a": 1, "b": "x"},
            "list": [{"index": 0, "text": "ab", "type": "t"}, {"index": 1, "text": "c"}]});
        assert_eq!(merged(&deltas), expected);
    }
}
