//! The values by which a record is found, taken from its metadata.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::hex;

// LIMIT: longer values are found by their beginning and a digest of the whole.
const VALUE_BYTES_MAX: usize = 256;
// LIMIT: of a longer array, the first values are indexed.
const VALUES_MAX: usize = 64;

/// The facets' values in this metadata, without duplicates.
pub(crate) fn of(meta: &Map<String, Value>, facets: &[&str]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for facet in facets {
        let values = match meta.get(*facet) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => continue,
        };
        let values = values.iter().take(VALUES_MAX).filter_map(text).map(|text| key(&text));
        out.extend(values.map(|value| ((*facet).to_owned(), value)));
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// The same, of metadata as it rests; the fields between are passed over. Metadata that is no
/// JSON was altered outside: it has no values here, and reading the record will say so.
pub(crate) fn of_text(meta: &str, facets: &[&str]) -> Vec<(String, String)> {
    let mut text = serde_json::Deserializer::from_str(meta);
    let fields = Fields(facets).deserialize(&mut text);
    fields.map(|fields| of(&fields, facets)).unwrap_or_default()
}

/// Reads these fields of an object.
struct Fields<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                fields.insert(name, from.next_value()?);
            } else {
                from.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

/// A value as it stands in the index.
pub(crate) fn key(value: &str) -> String {
    if value.len() <= VALUE_BYTES_MAX {
        return value.to_owned();
    }
    let head = bartizan_core::json::clip(value, VALUE_BYTES_MAX / 2);
    let digest = hex::encode(digest(&SHA256, value.as_bytes()).as_ref());
    format!("{head}…{digest}")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_booleans_and_array_items_are_values() {
        let meta = serde_json::json!({
            "verdict": "block", "status": 403, "stream": true, "rules": ["GD002", "GD001", "GD002"],
            "empty": null, "deep": {"a": 1}, "unlisted": "x",
        });
        let facets = of(
            meta.as_object().expect("an object"),
            &["verdict", "status", "stream", "rules", "empty", "deep", "missing"],
        );
        let shown: Vec<String> = facets.iter().map(|(f, v)| format!("{f}={v}")).collect();
        assert_eq!(
            shown,
            ["rules=GD001", "rules=GD002", "status=403", "stream=true", "verdict=block"]
        );
        let names = ["verdict", "status", "stream", "rules", "empty", "deep", "missing"];
        assert_eq!(of_text(&meta.to_string(), &names), facets);
        for none in ["", "[]", "{\"verdict\":", "7"] {
            assert_eq!(of_text(none, &names), [], "{none}");
        }
    }

    #[test]
    fn long_values_stay_apart_although_they_are_cut() {
        let long = |last: char| format!("{}{last}", "é".repeat(500));
        assert_ne!(key(&long('a')), key(&long('b')));
        assert_eq!(key(&long('a')), key(&long('a')));
        assert!(key(&long('a')).len() <= VALUE_BYTES_MAX);
        assert_eq!(key("short"), "short");
    }
}
