//! JSON from outside, read strictly: bounded depth, no duplicate keys; and the
//! canonical form (RFC 8785) of the subset without fractions that we sign.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::constants::{JSON_DEPTH_MAX, JSON_VALUES_MAX};

/// Why a text was not accepted as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("the body is {len} bytes, and at most {max} are accepted")]
    TooLong { len: usize, max: usize },
    #[error("the body is not UTF-8: byte {at} starts no character")]
    NotUtf8 { at: usize },
    #[error("{0}")]
    Malformed(String),
}

/// Reads one JSON value of at most `bytes_max` bytes, [`JSON_DEPTH_MAX`] levels and
/// [`JSON_VALUES_MAX`] values; a key of an object counts as three more.
///
/// # Errors
/// Says what is wrong and, where it can, at which line and column. A key that
/// stands twice in one object is refused: readers disagree on which one counts.
pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Value, Problem> {
    if bytes.len() > bytes_max {
        return Err(Problem::TooLong { len: bytes.len(), max: bytes_max });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| Problem::NotUtf8 { at: e.valid_up_to() })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let malformed = |e: serde_json::Error| Problem::Malformed(e.to_string());
    let left = Cell::new(JSON_VALUES_MAX);
    let value =
        Strict { depth: 0, left: &left }.deserialize(&mut deserializer).map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(value)
}

/// The canonical form (RFC 8785): no white space, keys sorted by UTF-16 code units.
///
/// # Errors
/// Names the first number that is a fraction or beyond 2^53 - 1, which this subset leaves out.
pub fn canonical(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    write_canonical(value, &mut out)?;
    Ok(out)
}

/// The first `max` bytes of a text at most, cut between characters.
pub fn clip(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

fn write_canonical(value: &Value, out: &mut String) -> Result<(), String> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            const SAFE: i64 = (1 << 53) - 1;
            let whole = number.as_i64().filter(|n| (-SAFE..=SAFE).contains(n));
            let whole =
                whole.ok_or_else(|| format!("`{number}` is not a whole number within 2^53 - 1"))?;
            out.push_str(&whole.to_string());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_canonical(item, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// A string as serde_json writes it, which is what RFC 8785 section 3.2.2.2 asks for.
fn write_string(text: &str, out: &mut String) {
    let is_plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        out.extend(["\"", text, "\""]);
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// Builds a `Value` while it counts levels and refuses duplicate keys.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// How many more values there may be.
    left: &'a Cell<usize>,
}

/// What a key of an object counts: it takes as much memory as three values.
const KEY_COUNTS: usize = 3;

impl Strict<'_> {
    fn count<E: de::Error>(self, values: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(values);
        let left = left
            .ok_or_else(|| E::custom(format_args!("it has more than {JSON_VALUES_MAX} values")))?;
        self.left.set(left);
        Ok(())
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.count(KEY_COUNTS)?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!(
                    "the key `{}` stands twice in one object",
                    clip(&key, 64)
                )));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes(), 1 << 20).map_or_else(|e| e.to_string(), |v| format!("accepted {v}"))
    }

    #[test]
    fn what_readers_could_disagree_on_is_refused() {
        assert!(refusal(r#"{"a":1,"a":2}"#).starts_with("the key `a` stands twice"));
        assert!(refusal(r#"{"a":{"b":1,"b":2}}"#).contains("`b` stands twice"));
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(refusal(&deep).starts_with("nested deeper than 64 levels"));
        assert!(refusal("{} {}").contains("trailing characters"));
        assert!(refusal("").contains("EOF"));
        assert!(matches!(parse(b"\"\xff\"", 100), Err(Problem::NotUtf8 { at: 1 })));
        assert!(matches!(parse(b"[1,2]", 4), Err(Problem::TooLong { len: 5, max: 4 })));
        let lone = refusal(r#""\ud800""#);
        assert!(lone.contains("hex escape") || lone.contains("surrogate"), "{lone}");
    }

    #[test]
    fn what_would_fill_the_memory_is_refused() {
        let list = |item: &str, times| format!("[{}{item}]", format!("{item},").repeat(times - 1));
        let read = |text: String| parse(text.as_bytes(), usize::MAX).map_err(|e| e.to_string());
        assert!(read(list("0", JSON_VALUES_MAX - 1)).is_ok());
        for text in [
            list("0", JSON_VALUES_MAX),
            list("[]", JSON_VALUES_MAX),
            list(r#"{"":0}"#, JSON_VALUES_MAX / 5),
        ] {
            assert!(read(text).is_err_and(|problem| problem.contains("more than 2000000 values")));
        }
    }

    #[test]
    fn canonical_sorts_by_utf_16_as_in_rfc_8785() {
        // The property order of RFC 8785, section 3.2.3.
        let value = serde_json::json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let canonical = canonical(&value).expect("whole numbers");
        let order: Vec<char> = canonical.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(order, ['2', '1', '4', '6', '7', '1', '5', '3']);
        assert_eq!(
            super::canonical(&serde_json::json!(1.5)),
            Err("`1.5` is not a whole number within 2^53 - 1".into())
        );
        assert_eq!(
            super::canonical(&serde_json::json!("a\u{1f}\"\\/\u{7f}")),
            Ok("\"a\\u001f\\\"\\\\/\u{7f}\"".into())
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_value_or_a_problem(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let strict = parse(&bytes, 1 << 20);
            if strict.is_ok() {
                prop_assert!(serde_json::from_slice::<Value>(&bytes).is_ok());
            }
        }

        #[test]
        fn canonical_reads_back(keys in proptest::collection::vec(".{0,8}", 0..8), n in -1000i64..1000) {
            let map: Map<String, Value> = keys.into_iter().map(|k| (k, n.into())).collect();
            let value = Value::Object(map);
            let text = canonical(&value).expect("whole numbers");
            prop_assert_eq!(parse(text.as_bytes(), 1 << 20).expect("canonical is JSON"), value);
        }
    }
}
