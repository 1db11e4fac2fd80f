//! Visits the texts of a JSON body: every string, every key that is no word of the
//! protocols, and every number long enough to be somebody's.
//!
//! Invariant: a value goes to a method of [`Walk`] as a whole, and each method shows
//! all of it. A shape that a protocol does not foresee is shown generically, never
//! skipped.

use std::collections::BTreeMap;

use bartizan_guard::{Channel, Slot, Unseen};
use serde_json::{Map, Number, Value};

use super::{Opaque, payload, payload::Payload, seam, words};

/// The magnitude from which a number is shown: nine digits make an identity number.
const NUMBER_LEAST: u64 = 100_000_000;

/// A walk through one body.
pub struct Walk<'a> {
    visitor: &'a mut (dyn FnMut(&Slot, &mut String) + 'a),
    unseen: Option<&'a mut Vec<Unseen>>,
    opaque: Option<&'a mut Vec<Opaque>>,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("unseen", &self.unseen).finish_non_exhaustive()
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        visitor: &'a mut (dyn FnMut(&Slot, &mut String) + 'a),
        unseen: Option<&'a mut Vec<Unseen>>,
        opaque: Option<&'a mut Vec<Opaque>>,
    ) -> Self {
        Self { visitor, unseen, opaque }
    }

    /// One string. Data within a URL (RFC 2397) is shown as what it holds.
    pub(crate) fn text(&mut self, text: &mut String, at: &str, channel: Channel) {
        if text.is_empty() || words::is_word(text) {
            return;
        }
        match payload::data_url(text) {
            Some((head, data)) => self.data_url(text, head, data, at, channel),
            None => self.show(text, at, channel),
        }
    }

    /// Everything below a value.
    pub(crate) fn all(&mut self, value: &mut Value, at: &str, channel: Channel) {
        match value {
            Value::String(text) => self.text(text, at, channel),
            Value::Number(number) => {
                if let Some(text) = self.number(number, at, channel) {
                    *value = Value::String(text);
                }
            }
            Value::Array(items) => {
                // A vector is thousands of numbers, none of them long.
                let says = |item: &Value| match item {
                    Value::Number(number) => long_number(number).is_some(),
                    item => !matches!(item, Value::Null | Value::Bool(_)),
                };
                for (i, item) in items.iter_mut().enumerate().filter(|(_, item)| says(item)) {
                    self.all(item, &format!("{at}/{i}"), channel);
                }
            }
            Value::Object(_) => self.fields(value, at, channel, |_, _, _, _| false),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Each item of a list; what is no list is shown whole.
    pub(crate) fn each(
        &mut self,
        value: &mut Value,
        at: &str,
        channel: Channel,
        mut item: impl FnMut(&mut Self, &mut Value, &str),
    ) {
        let Value::Array(items) = value else { return self.all(value, at, channel) };
        for (i, one) in items.iter_mut().enumerate() {
            item(self, one, &format!("{at}/{i}"));
        }
    }

    /// Each field of an object. `field` says whether it has shown the value; what it
    /// leaves is shown whole, and so is what is no object.
    pub(crate) fn fields(
        &mut self,
        value: &mut Value,
        at: &str,
        channel: Channel,
        mut field: impl FnMut(&mut Self, &str, &mut Value, &str) -> bool,
    ) {
        let Value::Object(map) = value else { return self.all(value, at, channel) };
        self.keys(map, at, channel);
        for (i, (key, value)) in map.iter_mut().enumerate() {
            let at = below(at, key, i);
            let is_moment = words::is_moment(key, value);
            if !field(self, key, value, &at) && !is_moment {
                self.all(value, &at, channel);
            }
        }
    }

    /// A string that holds JSON, such as a tool call's arguments: its leaves are
    /// shown as what they say, not as they are escaped.
    pub(crate) fn json(&mut self, value: &mut Value, at: &str, channel: Channel) {
        let Value::String(text) = value else { return self.all(value, at, channel) };
        let parsed = bartizan_core::json::parse(text.as_bytes(), usize::MAX);
        let Ok(mut inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) = parsed else {
            return self.show(text, at, channel);
        };
        let before = inner.clone();
        self.all(&mut inner, at, channel);
        if inner != before {
            *text = inner.to_string();
        }
    }

    /// Bytes in base64. What is text after all is shown; the rest is counted.
    pub(crate) fn binary(&mut self, value: &mut Value, at: &str, what: &str, channel: Channel) {
        let Value::String(text) = value else { return self.all(value, at, channel) };
        match payload::read(text) {
            Payload::NotEncoded => self.text(text, at, channel),
            Payload::Media(bytes) => self.count(at, what, bytes),
            Payload::Unknown(bytes) => {
                self.count(at, what, bytes);
                // A token of letters and digits is valid base64 too.
                if text.len() <= payload::TOKEN_BYTES_MAX {
                    self.show(text, at, channel);
                }
            }
            Payload::Text(mut inner) => {
                let before = inner.clone();
                self.show(&mut inner, at, channel);
                if inner != before {
                    *text = payload::write(&inner);
                }
            }
        }
    }

    /// A part of which only the provider knows what it holds.
    pub(crate) fn opaque(&mut self, at: &str, kind: &'static str) {
        if let Some(opaque) = &mut self.opaque {
            opaque.push(Opaque { kind, location: at.to_owned() });
        }
    }

    /// Names something that rests with the provider, if it names anything.
    pub(crate) fn reference(
        &mut self,
        value: &mut Value,
        at: &str,
        kind: &'static str,
        channel: Channel,
    ) {
        if !value.is_null() {
            self.opaque(at, kind);
        }
        self.all(value, at, channel);
    }

    /// A URL makes the provider fetch what the gateway never sees, unless the data
    /// is in the URL itself.
    pub(crate) fn url(&mut self, value: &mut Value, at: &str, channel: Channel) {
        let is_fetched =
            value.as_str().is_some_and(|url| !url.is_empty() && payload::data_url(url).is_none());
        if is_fetched {
            self.opaque(at, "fetched_url");
        }
        self.all(value, at, channel);
    }

    /// Texts that the model reads as one: what stands across their ends is shown too.
    pub(super) fn seams(
        &mut self,
        texts: &mut [&mut String],
        ends: &[seam::End],
        at: &str,
        channel: Channel,
    ) {
        let location = format!("{at}#seam");
        seam::visit(texts, ends, &mut |text| self.show(text, &location, channel));
    }

    fn show(&mut self, text: &mut String, at: &str, channel: Channel) {
        if !text.is_empty() {
            (self.visitor)(&Slot { channel, location: at.to_owned() }, text);
        }
    }

    fn count(&mut self, at: &str, what: &str, bytes: usize) {
        if let Some(unseen) = &mut self.unseen {
            unseen.push(Unseen { location: at.to_owned(), what: what.to_owned(), bytes });
        }
    }

    /// The number as a text, where an inspector rewrote it.
    fn number(&mut self, number: &Number, at: &str, channel: Channel) -> Option<String> {
        let before = long_number(number)?;
        let mut text = before.clone();
        self.show(&mut text, at, channel);
        (text != before).then_some(text)
    }

    fn data_url(
        &mut self,
        text: &mut String,
        mut head: String,
        mut data: Value,
        at: &str,
        channel: Channel,
    ) {
        let before = (head.clone(), data.clone());
        let what = head.trim_start_matches("data:").split(['/', ';']).next().unwrap_or_default();
        let what = if what.is_empty() { "data".to_owned() } else { what.to_owned() };
        self.show(&mut head, at, channel);
        if head.to_ascii_lowercase().ends_with(";base64") {
            self.binary(&mut data, at, &what, channel);
        } else {
            self.all(&mut data, at, channel);
        }
        if (&head, &data) != (&before.0, &before.1) {
            *text = format!("{head},{}", data.as_str().unwrap_or_default());
        }
    }

    /// The keys that are no words of the protocols. A rewritten key keeps its place.
    fn keys(&mut self, map: &mut Map<String, Value>, at: &str, channel: Channel) {
        let mut renamed = BTreeMap::new();
        for (i, key) in map.keys().enumerate().filter(|(_, key)| !words::is_word(key)) {
            let mut text = key.clone();
            self.show(&mut text, &format!("{}#key", below(at, key, i)), channel);
            if text != *key {
                renamed.insert(key.clone(), text);
            }
        }
        if renamed.is_empty() {
            return;
        }
        for (i, (key, value)) in std::mem::take(map).into_iter().enumerate() {
            let mut name = renamed.remove(&key).unwrap_or(key);
            if map.contains_key(&name) {
                name = format!("{name}#{i}");
            }
            map.insert(name, value);
        }
    }
}

/// A number that may be somebody's: a card, an account, an identity.
pub(crate) fn long_number(number: &Number) -> Option<String> {
    let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    if let Some(whole) = whole {
        return (whole >= NUMBER_LEAST).then(|| number.to_string());
    }
    let fraction = number.as_f64()?.abs();
    let is_long = (1e8..1e20).contains(&fraction) && fraction.fract() == 0.0;
    is_long.then(|| format!("{fraction:.0}"))
}

/// A member's place: a JSON pointer (RFC 6901) as far as the protocols' own fields go. A
/// place is recorded in clear, so of any other key it says which one it is, not what it says.
pub(crate) fn below(at: &str, key: &str, i: usize) -> String {
    match words::is_field(key) {
        true => format!("{at}/{key}"),
        false => format!("{at}/#{i}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_says_nothing_that_a_key_says() {
        let mut places = Vec::new();
        let mut look = |slot: &Slot, _: &mut String| places.push(slot.location.clone());
        let mut body = json!({
            "metadata": {"ann@mail.example": "x", "user_id": "y", "a/b": {"4111": ["z"], "text": "t"}},
            "web_search_options": {"q": 1},
        });
        Walk::new(&mut look, None, None).all(&mut body, "", Channel::Content);
        places.sort_unstable();
        let expected = [
            "/metadata/#0",
            "/metadata/#0#key",
            "/metadata/#2#key",
            "/metadata/#2/#0#key",
            "/metadata/#2/#0/0",
            "/metadata/#2/text",
            "/metadata/user_id",
            "/metadata/user_id#key",
            "/web_search_options#key",
            "/web_search_options/#0#key",
        ];
        assert_eq!(places, expected);
    }
}
