//! Visits the texts of a JSON body: every string and every key, each once.

use bartizan_guard::{Channel, Slot, Unseen};
use serde_json::{Map, Value};

use super::Opaque;

/// A walk through one body.
pub struct Walk<'a> {
    visitor: &'a mut (dyn FnMut(&Slot, &mut String) + 'a),
    unseen: Option<&'a mut Vec<Unseen>>,
    opaque: Option<&'a mut Vec<Opaque>>,
}

impl std::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").finish_non_exhaustive()
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

    /// One string.
    pub(crate) fn text(&mut self, text: &mut String, at: &str, channel: Channel) {
        if !text.is_empty() {
            (self.visitor)(&Slot { channel, location: at.to_owned() }, text);
        }
    }

    /// Every string below a value, keys too.
    pub(crate) fn all(&mut self, value: &mut Value, at: &str, channel: Channel) {
        match value {
            Value::String(text) => self.text(text, at, channel),
            Value::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.all(item, &format!("{at}/{i}"), channel);
                }
            }
            Value::Object(map) => {
                self.keys(map, at, channel);
                for (key, item) in map.iter_mut() {
                    self.all(item, &below(at, key), channel);
                }
            }
            _ => {}
        }
    }

    /// The keys of an object that somebody other than the protocol chose.
    fn keys(&mut self, map: &mut Map<String, Value>, at: &str, channel: Channel) {
        let mut renamed = Vec::new();
        for key in map.keys().filter(|key| key.len() >= KEY_LEAST) {
            let mut text = key.clone();
            self.text(&mut text, &format!("{}#key", below(at, key)), channel);
            if text != *key {
                renamed.push((key.clone(), text));
            }
        }
        for (old, new) in renamed {
            if let Some(value) = map.shift_remove(&old) {
                map.insert(new, value);
            }
        }
    }

    /// Every string of an object but those under `except`, which the caller visits.
    pub(crate) fn rest(
        &mut self,
        map: &mut Map<String, Value>,
        at: &str,
        channel: Channel,
        except: &[&str],
    ) {
        self.keys(map, at, channel);
        for (key, item) in map.iter_mut().filter(|(key, _)| !except.contains(&key.as_str())) {
            self.all(item, &below(at, key), channel);
        }
    }

    /// A string that holds JSON, such as a tool call's arguments: its leaves are
    /// inspected as what they say, not as they are escaped.
    pub(crate) fn json(&mut self, value: &mut Value, at: &str, channel: Channel) {
        let Value::String(text) = value else { return self.all(value, at, channel) };
        let parsed = bartizan_core::json::parse(text.as_bytes(), usize::MAX);
        let Ok(mut inner @ (Value::Object(_) | Value::Array(_))) = parsed else {
            return self.text(text, at, channel);
        };
        let before = inner.clone();
        self.all(&mut inner, at, channel);
        if inner != before {
            *text = inner.to_string();
        }
    }

    /// A part that holds no text: it is counted, not inspected.
    pub(crate) fn binary(&mut self, at: &str, what: &str, bytes: usize) {
        if let Some(unseen) = &mut self.unseen {
            unseen.push(Unseen { location: at.to_owned(), what: what.to_owned(), bytes });
        }
    }

    /// A part that only the provider can see.
    pub(crate) fn opaque(&mut self, at: &str, kind: &'static str) {
        if let Some(opaque) = &mut self.opaque {
            opaque.push(Opaque { kind, location: at.to_owned() });
        }
    }

    /// A URL, or data within one: data is no text; a URL makes the provider fetch
    /// what the gateway never sees.
    pub(crate) fn url(&mut self, value: &mut Value, at: &str, what: &str, channel: Channel) {
        match value.as_str() {
            Some(url) if url.starts_with("data:") => self.binary(at, what, url.len()),
            Some(_) => {
                self.opaque(at, "fetched_url");
                self.all(value, at, channel);
            }
            None => self.all(value, at, channel),
        }
    }
}

/// Shorter keys cannot hold anything that a rule looks for.
const KEY_LEAST: usize = 8;

/// A member's JSON pointer (RFC 6901).
pub(crate) fn below(at: &str, key: &str) -> String {
    if key.contains(['~', '/']) {
        return format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    }
    format!("{at}/{key}")
}
