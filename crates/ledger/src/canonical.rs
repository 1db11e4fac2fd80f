//! Whether bytes are canonical JSON, told without building a value.
//!
//! The verifier reads every entry there ever was, so this is its inner loop. What it
//! accepts is what `core::json` reads and writes again byte for byte: RFC 8785
//! without fractions, no key twice, at most `JSON_DEPTH_MAX` levels.

use std::cmp::Ordering;

use bartizan_core::constants::JSON_DEPTH_MAX;

/// The largest whole number that every reader of JSON keeps exactly: 2^53 - 1.
const SAFE: u64 = (1 << 53) - 1;

/// # Errors
/// What is not canonical, and at which byte.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| format!("byte {} starts no character", e.valid_up_to()))?;
    let mut scan = Scan { text, at: 0 };
    let result = scan.value(0).and_then(|()| match scan.peek() {
        None => Ok(()),
        Some(_) => Err("something follows the value"),
    });
    result.map_err(|problem| format!("not canonical at byte {}: {problem}", scan.at))
}

type Checked = Result<(), &'static str>;

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn expect(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, depth: usize) -> Checked {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err("no value begins here"),
        }
    }

    fn word(&mut self, word: &str) -> Checked {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err("no value begins here");
        }
        self.at += word.len();
        Ok(())
    }

    fn deeper(&mut self, depth: usize) -> Result<usize, &'static str> {
        if depth >= JSON_DEPTH_MAX {
            return Err("it is nested too deeply");
        }
        self.at += 1;
        Ok(depth + 1)
    }

    fn array(&mut self, depth: usize) -> Checked {
        let depth = self.deeper(depth)?;
        if self.expect(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            match self.take() {
                Some(b',') => {}
                Some(b']') => return Ok(()),
                _ => return Err("an array goes on otherwise"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Checked {
        let depth = self.deeper(depth)?;
        if self.expect(b'}') {
            return Ok(());
        }
        let mut last: Option<&str> = None;
        loop {
            if self.peek() != Some(b'"') {
                return Err("a key is missing");
            }
            let key = self.string()?;
            if last.is_some_and(|last| order(last, key) != Ordering::Less) {
                return Err("keys are not in order, or one stands twice");
            }
            last = Some(key);
            if !self.expect(b':') {
                return Err("a colon is missing");
            }
            self.value(depth)?;
            match self.take() {
                Some(b',') => {}
                Some(b'}') => return Ok(()),
                _ => return Err("an object goes on otherwise"),
            }
        }
    }

    /// A string; gives what stands between the quotes, escapes and all.
    fn string(&mut self) -> Result<&'a str, &'static str> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.take() {
                Some(b'"') => return Ok(self.text.get(start..self.at - 1).unwrap_or_default()),
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err("a control character is not escaped"),
                Some(_) => {}
                None => return Err("a string does not end"),
            }
        }
    }

    /// Only what must be escaped is, in the shortest way.
    fn escape(&mut self) -> Checked {
        match self.take() {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
                self.at += digits.len();
                let &[b'0', b'0', high @ (b'0' | b'1'), low] = digits else {
                    return Err("an escape is not needed");
                };
                let short = high == b'0' && matches!(low, b'8' | b'9' | b'a' | b'c' | b'd');
                match low {
                    b'0'..=b'9' | b'a'..=b'f' if !short => Ok(()),
                    _ => Err("an escape has a shorter form"),
                }
            }
            _ => Err("an escape is not needed"),
        }
    }

    fn number(&mut self) -> Checked {
        let is_negative = self.expect(b'-');
        let start = self.at;
        let mut value = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - start;
        let starts_with_zero = self.text.as_bytes().get(start) == Some(&b'0');
        let is_plain = digits == 1 || (digits > 1 && !starts_with_zero);
        let is_minus_zero = is_negative && value == 0;
        if !is_plain || is_minus_zero || value > SAFE {
            return Err("a number is not whole, not plain, or beyond 2^53 - 1");
        }
        Ok(())
    }
}

/// The order of keys: by UTF-16 code units (RFC 8785, section 3.2.3).
fn order(a: &str, b: &str) -> Ordering {
    let is_plain = |key: &str| key.is_ascii() && !key.contains('\\');
    if is_plain(a) && is_plain(b) {
        return a.cmp(b);
    }
    decode(a).encode_utf16().cmp(decode(b).encode_utf16())
}

fn decode(key: &str) -> String {
    serde_json::from_str(&format!("\"{key}\"")).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use bartizan_core::json;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    /// The slow and obvious way: read, write again, compare.
    fn slow(bytes: &[u8]) -> bool {
        json::parse(bytes, usize::MAX)
            .ok()
            .and_then(|value| json::canonical(&value).ok())
            .is_some_and(|text| text.as_bytes() == bytes)
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-99_i64..99).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let map = proptest::collection::vec((any::<String>(), inner.clone()), 0..5);
            prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(Value::from),
                map.prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    #[test]
    fn depth_and_forms_are_judged_as_core_judges_them() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        for text in [
            nested(JSON_DEPTH_MAX),
            nested(JSON_DEPTH_MAX + 1),
            "-0".into(),
            "00".into(),
            "-".into(),
            "1.0".into(),
            "1e3".into(),
            "9007199254740991".into(),
            "-9007199254740991".into(),
            "9007199254740992".into(),
            "99999999999999999999999".into(),
            r#""\u001f""#.into(),
            r#""\u001F""#.into(),
            r#""\u0009""#.into(),
            r#""\/""#.into(),
            r#""\u0041""#.into(),
            "\"\u{7f}\"".into(),
            "\"\n\"".into(),
            r#"{"a":1,"b":2}"#.into(),
            r#"{"b":1,"a":2}"#.into(),
            r#"{"a":1,"a":2}"#.into(),
            "{\"\u{1f600}\":1,\"\u{fb33}\":2}".into(),
            "{\"\u{fb33}\":2,\"\u{1f600}\":1}".into(),
            r#"{"\n":1,"a":2}"#.into(),
            r#"{"a":1,}"#.into(),
            "[1,]".into(),
            "[1 ]".into(),
            " 1".into(),
            "1 ".into(),
            "tru".into(),
            "true".into(),
            String::new(),
        ] {
            assert_eq!(check(text.as_bytes()).is_ok(), slow(text.as_bytes()), "{text}");
        }
        assert!(check(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn canonical_values_pass_and_others_do_not(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            if let Ok(text) = json::canonical(&value) {
                prop_assert!(check(text.as_bytes()).is_ok(), "{}", text);
                let mut bytes = text.into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = byte;
                prop_assert_eq!(check(&bytes).is_ok(), slow(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
            }
            let loose = value.to_string();
            prop_assert_eq!(check(loose.as_bytes()).is_ok(), slow(loose.as_bytes()), "{}", loose);
        }

        #[test]
        fn any_bytes_are_judged_alike(bytes in proptest::collection::vec(prop::sample::select(b"{}[]:,\"\\u0019abtrue-. \x0a\x7f\xc3\xa9".to_vec()), 0..24)) {
            prop_assert_eq!(check(&bytes).is_ok(), slow(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
