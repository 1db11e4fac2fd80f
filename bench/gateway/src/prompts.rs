//! Prompts of honest English prose, made from a short list of words, and the requests
//! that carry them.

use serde_json::json;

/// How many different prompts of a size take turns, so that no cache gets one only.
const DIFFERENT: u64 = 16;

const ADJECTIVES: [&str; 16] = [
    "quiet", "northern", "careful", "early", "wooden", "modern", "patient", "distant", "useful",
    "local", "green", "honest", "narrow", "famous", "warm", "steady",
];
const NOUNS: [&str; 24] = [
    "gardener",
    "library",
    "harbour",
    "teacher",
    "bridge",
    "committee",
    "orchard",
    "report",
    "engineer",
    "market",
    "village",
    "museum",
    "river",
    "student",
    "railway",
    "kitchen",
    "painter",
    "season",
    "theatre",
    "valley",
    "doctor",
    "workshop",
    "concert",
    "farmer",
];
const VERBS: [&str; 16] = [
    "visited",
    "described",
    "repaired",
    "measured",
    "admired",
    "followed",
    "supported",
    "discussed",
    "painted",
    "remembered",
    "opened",
    "improved",
    "studied",
    "welcomed",
    "compared",
    "finished",
];
const PLACES: [&str; 12] = [
    "near the old station",
    "before the long winter",
    "after a short discussion",
    "during the summer festival",
    "with great patience",
    "in the late afternoon",
    "beside the town hall",
    "under a clear sky",
    "for the third time",
    "on a rainy morning",
    "at the end of the week",
    "without any hurry",
];

/// One cell's kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub prompt_bytes: usize,
    pub streamed: bool,
}

/// The bytes of whole requests of a kind, to a hop that wants this key.
pub fn requests(kind: Kind, key: Option<&str>) -> Vec<Vec<u8>> {
    (0..DIFFERENT).map(|seed| request(kind, key, seed)).collect()
}

fn request(kind: Kind, key: Option<&str>, seed: u64) -> Vec<u8> {
    let mut body = json!({
        "model": "bench",
        "stream": kind.streamed,
        "messages": [
            {"role": "system", "content": "You are a friendly assistant of a town library."},
            {"role": "user", "content": prose(kind.prompt_bytes, seed)},
        ],
    });
    if kind.streamed {
        body["stream_options"] = json!({"include_usage": true});
    }
    let body = body.to_string();
    let authorization = key.map(|k| format!("authorization: Bearer {k}\r\n")).unwrap_or_default();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n{authorization}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// About so many bytes of sentences, the same for the same seed.
fn prose(bytes: usize, seed: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ bytes as u64);
    let mut text = String::from("Please write a short summary of these notes.");
    while text.len() < bytes {
        text.push(' ');
        text.push_str(&sentence(&mut dice));
    }
    text
}

fn sentence(dice: &mut Dice) -> String {
    let (a, b) = (dice.pick(&ADJECTIVES), dice.pick(&NOUNS));
    let (c, d, e) = (dice.pick(&VERBS), dice.pick(&ADJECTIVES), dice.pick(&NOUNS));
    format!("The {a} {b} {c} the {d} {e} {}.", dice.pick(&PLACES))
}

/// A generator of numbers, good enough to vary sentences (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (self.0 >> 33) as usize % words.len();
        words.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_has_its_size_and_varies_by_seed() {
        let text = prose(1000, 1);
        assert!((1000..1100).contains(&text.len()), "{}", text.len());
        assert_eq!(text, prose(1000, 1));
        assert_ne!(text, prose(1000, 2));
    }

    #[test]
    fn requests_are_framed() {
        let kind = Kind { prompt_bytes: 1000, streamed: true };
        let request = String::from_utf8(request(kind, Some("k"), 0)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(head.contains("authorization: Bearer k"));
    }
}
