//! Probabilities of tokens: they spell the text once more, in pieces.

use std::collections::BTreeMap;

use bartizan_guard::Channel;
use serde_json::Value;

use super::{
    walk::{Walk, long_number},
    words,
};

/// Shows what the tokens spell where that is not said already, and drops them all
/// when it may not be said.
pub(super) fn visit(value: &mut Value, said: &[String], at: &str, walk: &mut Walk<'_>) {
    let mut spelled = Spelled::default();
    spelled.gather(value, String::new(), 0);
    let mut rewritten = false;
    for (path, bytes) in spelled.0 {
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        if said.iter().any(|said| said.contains(&text)) {
            continue;
        }
        let before = text.clone();
        walk.text(&mut text, &format!("{at}{path}"), Channel::Output);
        rewritten |= text != before;
    }
    if rewritten {
        *value = Value::Null;
    }
}

/// What the strings at one place of every token spell together.
#[derive(Debug, Default)]
struct Spelled(BTreeMap<String, Vec<u8>>);

impl Spelled {
    /// `lists` counts the lists above: the first is the sequence of tokens, and the
    /// places in a list within it are alternatives, each a sequence of its own.
    fn gather(&mut self, value: &Value, path: String, lists: usize) {
        match value {
            Value::String(text) => self.add(path, text.as_bytes()),
            Value::Array(items) => {
                let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
                if let Some(bytes) = items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                    return self.add(path, &bytes);
                }
                for (i, item) in items.iter().enumerate() {
                    let path = if lists == 0 { format!("{path}/-") } else { format!("{path}/{i}") };
                    self.gather(item, path, lists + 1);
                }
            }
            Value::Object(map) => {
                // In the older form the tokens are keys, the alternatives of a place in
                // one object: each is a sequence of its own, too.
                let mut alternative = 0;
                for (key, item) in map {
                    if words::is_word(key) {
                        self.gather(item, format!("{path}/{key}"), lists);
                    } else {
                        self.add(format!("{path}#key{alternative}"), key.as_bytes());
                        self.gather(item, format!("{path}/*{alternative}"), lists);
                        alternative += 1;
                    }
                }
            }
            Value::Number(number) => {
                if let Some(text) = long_number(number) {
                    self.add(format!("{path}#number"), text.as_bytes());
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add(&mut self, path: String, bytes: &[u8]) {
        self.0.entry(path).or_default().extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(mut value: Value, said: &str) -> (Vec<String>, Value) {
        let mut texts = Vec::new();
        let mut visitor = |_: &bartizan_guard::Slot, text: &mut String| {
            texts.push(text.clone());
            *text = text.replace("secret", "[X]");
        };
        visit(&mut value, &[said.to_owned()], "", &mut Walk::new(&mut visitor, None, None));
        (texts, value)
    }

    #[test]
    fn tokens_of_another_text_are_read_as_one() {
        let value = json!({"content": [
            {"token": "sec", "logprob": -0.1, "bytes": [115, 101, 99], "top_logprobs": [{"token": "sec", "logprob": -0.1}, {"token": "a", "logprob": -3.0}]},
            {"token": "ret", "logprob": -0.1, "bytes": [114, 101, 116], "top_logprobs": [{"token": "ret", "logprob": -0.1}, {"token": "b", "logprob": -3.0}]},
        ]});
        let (texts, kept) = seen(value.clone(), "a secret");
        assert_eq!(texts, ["ab"]);
        assert_eq!(kept, value);
        let (texts, kept) = seen(value, "nothing");
        assert_eq!(texts, ["secret", "secret", "secret", "ab"].map(String::from));
        assert_eq!(kept, Value::Null);
    }

    #[test]
    fn the_older_form_is_read_too() {
        let value = json!({"tokens": ["sec", "ret"], "token_logprobs": [-0.1, -0.2], "top_logprobs": [{"sec": -0.1}, {"ret": -0.2}], "text_offset": [0, 3]});
        let (texts, kept) = seen(value, "other");
        assert_eq!(texts.iter().filter(|text| *text == "secret").count(), 2, "{texts:?}");
        assert_eq!(kept, Value::Null);
    }
}
