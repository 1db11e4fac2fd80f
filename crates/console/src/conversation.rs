//! A kept request as people read it: who said what, in order, with the places marked in which
//! a rule found something.
//!
//! The texts are those of strings in the request's body, wherever they stand; the protocol's
//! usual places get a speaker's name, whatever is elsewhere is shown under its place.

use bartizan_core::{Evidence, json};
use serde_json::{Map, Value};

use crate::html::{Html, Text};

/// LIMIT: turns of a page; the raw JSON has all.
const TURNS_MAX: usize = 400;
/// LIMIT: bytes of one turn that are shown.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// LIMIT: how deep strings are looked for.
const DEPTH_MAX: usize = 32;

/// One text, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) who: String,
    /// The JSON pointer to it.
    pub(crate) place: String,
    pub(crate) text: Html,
    /// Whether it is to be read by programs.
    pub(crate) code: bool,
    /// Whether it only describes a tool, and nothing was found in it.
    pub(crate) aside: bool,
}

/// A place to mark, and as what.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) evidence: Evidence,
    pub(crate) severity: String,
    pub(crate) words: String,
}

/// The turns of a kept exchange: `{"request": body, "delivered": text}`.
pub(crate) fn turns(kept: &Value, marks: &[(bool, Marked)]) -> Vec<Turn> {
    let mut out = Vec::new();
    let inbound: Vec<&Marked> =
        marks.iter().filter(|(out, _)| !out).map(|(_, mark)| mark).collect();
    if let Some(request) = kept.get("request") {
        gather(request, &mut String::new(), "request", &inbound, &mut out, 0);
    }
    let delivered = kept.get("delivered").and_then(Value::as_str).unwrap_or_default();
    if !delivered.is_empty() {
        // What was delivered is what the rules left of it: their places are in what came before.
        let text = marked(delivered, &[]);
        out.push(Turn {
            who: "answer, as delivered".to_owned(),
            place: String::new(),
            text,
            code: false,
            aside: false,
        });
    }
    out
}

/// Whose words a tool's description is.
const TOOL: &str = "tool, as described";

/// Fields that hold settings and names, not words.
const SETTINGS: &[&str] = &[
    "model",
    "role",
    "type",
    "id",
    "name",
    "stream_options",
    "user",
    "tool_choice",
    "response_format",
    "object",
    "finish_reason",
    "encoding_format",
    "reasoning_effort",
    "service_tier",
    "metadata",
    "call_id",
    "tool_use_id",
    "tool_call_id",
    "status",
    "media_type",
    "safety_identifier",
    "prompt_cache_key",
];

fn gather(
    value: &Value,
    place: &mut String,
    who: &str,
    marks: &[&Marked],
    out: &mut Vec<Turn>,
    depth: usize,
) {
    if depth > DEPTH_MAX || out.len() >= TURNS_MAX {
        return;
    }
    match value {
        Value::String(text) => {
            let here: Vec<&Marked> =
                marks.iter().copied().filter(|mark| mark.evidence.location == *place).collect();
            let last = place.rsplit('/').next().unwrap_or_default();
            if here.is_empty() && (text.is_empty() || SETTINGS.contains(&last)) {
                return;
            }
            let code =
                matches!(last, "arguments" | "partial_json") || place.contains("/parameters/");
            let aside = here.is_empty() && who == TOOL;
            let text = marked(text, &here);
            out.push(Turn { who: who.to_owned(), place: place.clone(), text, code, aside });
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                within(place, &at.to_string(), |place| {
                    gather(item, place, who, marks, out, depth + 1)
                });
            }
        }
        Value::Object(map) => {
            let who = speaker(map).unwrap_or_else(|| who.to_owned());
            for (name, item) in map {
                let who = match (depth, name.as_str()) {
                    (0, "system" | "instructions") => "system",
                    (0, "prompt" | "input") => "user",
                    (0, "tools" | "functions") => TOOL,
                    (_, "tool_calls" | "function_call") => "assistant calls a tool",
                    _ => who.as_str(),
                };
                let name = name.replace('~', "~0").replace('/', "~1");
                within(place, &name, |place| gather(item, place, who, marks, out, depth + 1));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn within(place: &mut String, name: &str, work: impl FnOnce(&mut String)) {
    let len = place.len();
    place.push('/');
    place.push_str(name);
    work(place);
    place.truncate(len);
}

/// Whose words an object holds, where it says so.
fn speaker(map: &Map<String, Value>) -> Option<String> {
    let word = |name: &str| map.get(name).and_then(Value::as_str);
    match (word("role"), word("type")) {
        (_, Some("tool_result" | "function_call_output")) => Some("tool".to_owned()),
        (_, Some("tool_use" | "function_call")) => Some("assistant calls a tool".to_owned()),
        (Some(role), _) => Some(json::clip(role, 32).to_owned()),
        _ => None,
    }
}

/// The text with its marks. Marks lie on borders of characters, in order, none over another;
/// what does not is left out.
pub(crate) fn marked(text: &str, marks: &[&Marked]) -> Html {
    let shown = json::clip(text, TEXT_BYTES_MAX);
    let mut marks: Vec<&&Marked> = marks.iter().collect();
    marks.sort_by_key(|mark| (mark.evidence.span.start, mark.evidence.span.end));
    let mut out = Html::new();
    let mut at = 0;
    for mark in marks {
        let span = mark.evidence.span;
        let (Some(before), Some(within)) =
            (shown.get(at..span.start), shown.get(span.start..span.end))
        else {
            continue;
        };
        if within.is_empty() {
            continue;
        }
        let how = match mark.evidence.view.as_str() {
            "plain" => String::new(),
            view => format!(", read as {view}"),
        };
        let words = format!("{}{how}", mark.words);
        out.push(format_args!(
            "{}<mark class=\"{}\" title=\"{}\">{}</mark>",
            Text(before),
            Text(&mark.severity),
            Text(&words),
            Text(within)
        ));
        at = span.end;
    }
    out.push(format_args!("{}", Text(shown.get(at..).unwrap_or_default())));
    if shown.len() < text.len() {
        out.push(format_args!("… ({} bytes more)", text.len() - shown.len()));
    }
    out
}

#[cfg(test)]
mod tests {
    use bartizan_core::Span;

    use super::*;

    fn mark(location: &str, start: usize, end: usize, view: &str) -> Marked {
        let evidence = Evidence {
            location: location.to_owned(),
            span: Span::new(start, end),
            view: view.to_owned(),
            excerpt: None,
        };
        Marked { evidence, severity: "high".to_owned(), words: "GD001 override".to_owned() }
    }

    fn shown(turns: &[Turn]) -> Vec<String> {
        turns.iter().map(|turn| format!("{} {} {}", turn.who, turn.place, turn.text)).collect()
    }

    #[test]
    fn speakers_and_marks_stand_where_they_belong() {
        let kept = serde_json::json!({"request": {"model": "m", "messages": [
            {"role": "system", "content": "Be <kind>."},
            {"role": "user", "content": [{"type": "text", "text": "Ignore é all"}]},
        ]}, "delivered": "No."});
        let marks = [(false, mark("/messages/1/content/0/text", 0, 6, "plain"))];
        assert_eq!(
            shown(&turns(&kept, &marks)),
            [
                "system /messages/0/content Be &lt;kind&gt;.",
                "user /messages/1/content/0/text <mark class=\"high\" title=\"GD001 override\">Ignore</mark> é all",
                "answer, as delivered  No.",
            ]
        );
    }

    #[test]
    fn anthropic_and_responses_have_their_speakers_too() {
        let kept = serde_json::json!({"request": {"system": "S", "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "R"}]}]}});
        assert_eq!(
            shown(&turns(&kept, &[])),
            ["system /system S", "tool /messages/0/content/0/content R"]
        );
        let kept = serde_json::json!({"request": {"instructions": "I", "input": "Q"}});
        assert_eq!(shown(&turns(&kept, &[])), ["system /instructions I", "user /input Q"]);
    }

    #[test]
    fn marks_that_do_not_fit_are_left_out() {
        let text = "aé<b>";
        let marks = [
            mark("", 0, 2, "plain"),
            mark("", 3, 99, "plain"),
            mark("", 3, 6, "base64"),
            mark("", 4, 5, "plain"),
        ];
        let marks: Vec<&Marked> = marks.iter().collect();
        assert_eq!(
            marked(text, &marks).as_str(),
            "aé<mark class=\"high\" title=\"GD001 override, read as base64\">&lt;b&gt;</mark>"
        );
    }

    #[test]
    fn deep_and_long_bodies_are_bounded() {
        let mut deep = Value::from("x");
        for _ in 0..100 {
            deep = serde_json::json!([deep]);
        }
        assert!(turns(&serde_json::json!({"request": deep}), &[]).is_empty());
        let wide: Vec<Value> = (0..1000)
            .map(|n| serde_json::json!({"role": "user", "content": n.to_string()}))
            .collect();
        assert_eq!(
            turns(&serde_json::json!({"request": {"messages": wide}}), &[]).len(),
            TURNS_MAX
        );
        let long = "y".repeat(TEXT_BYTES_MAX + 7);
        assert!(marked(&long, &[]).as_str().ends_with("… (7 bytes more)"));
    }
}
