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
    /// What became of it before it went on, where the rules took something out.
    pub(crate) became: Option<Html>,
    /// How marked places were read, where that is not as they stand.
    pub(crate) reads: Vec<Read>,
}

/// A place that was decoded before a rule saw something in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The rule.
    pub(crate) words: String,
    /// By which decodings, outermost first.
    pub(crate) view: String,
    pub(crate) text: String,
}

impl Read {
    fn of(mark: &Marked) -> Option<Self> {
        let text = mark.evidence.decoded.clone()?;
        Some(Self { words: mark.words.clone(), view: mark.evidence.view.clone(), text })
    }
}

/// A place to mark, and as what.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) evidence: Evidence,
    pub(crate) severity: String,
    pub(crate) words: String,
}

/// The turns of a kept exchange: `{"request": body, "sent": body, "answer": [part], "delivered":
/// text}`, of which `sent` is there where the rules changed the request, and records of before
/// have no parts.
pub(crate) fn turns(kept: &Value, marks: &[(bool, Marked)]) -> Vec<Turn> {
    let mut out = Vec::new();
    let of = |outbound: bool| -> Vec<&Marked> {
        marks.iter().filter(|(out, _)| *out == outbound).map(|(_, mark)| mark).collect()
    };
    if let Some(request) = kept.get("request") {
        gather(request, &mut String::new(), "request", &of(false), &mut out, 0);
    }
    if let Some(sent) = kept.get("sent") {
        let text = |body: &Value, place: &str| {
            body.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        for turn in &mut out {
            let (before, after) = (text(&kept["request"], &turn.place), text(sent, &turn.place));
            turn.became = (before != after).then(|| marked(&after, &[]));
        }
    }
    match kept.get("answer").and_then(Value::as_array) {
        Some(parts) => answer(parts, &of(true), &mut out),
        None => {
            let delivered = kept.get("delivered").and_then(Value::as_str).unwrap_or_default();
            if !delivered.is_empty() {
                out.push(Turn::of(ANSWER, "", delivered, &[]));
            }
        }
    }
    out
}

const ANSWER: &str = "answer, as delivered";

/// The parts of an answer, those of a tool call under the tool's name.
fn answer(parts: &[Value], marks: &[&Marked], out: &mut Vec<Turn>) {
    let mut tool: Option<(String, String)> = None;
    for part in parts.iter().take(TURNS_MAX) {
        let word = |name: &str| part.get(name).and_then(Value::as_str).unwrap_or_default();
        let (channel, place, text) = (word("channel"), word("place"), word("text"));
        let (parent, last) = place.rsplit_once('/').unwrap_or(("", place));
        let is_call = channel == "tool_call";
        if is_call && matches!(last, "name" | "id") {
            if last == "name" {
                tool = Some((parent.to_owned(), json::clip(text, 64).to_owned()));
            }
            continue;
        }
        if !is_call
            && SETTINGS.contains(&last)
            && marks.iter().all(|mark| mark.evidence.location != place)
        {
            continue;
        }
        let within = |(of, _): &&(String, String)| place.starts_with(of.as_str());
        let who = match (channel, tool.as_ref().filter(within)) {
            ("tool_call", Some((_, name))) => format!("answer calls the tool {name}"),
            ("tool_call", None) => "answer calls a tool".to_owned(),
            ("reasoning", _) => "reasoning, as delivered".to_owned(),
            _ => ANSWER.to_owned(),
        };
        // What the rules left of it has other places than what they saw: only those marks
        // stand that still say what is there.
        let here = |mark: &&&Marked| {
            let evidence = &mark.evidence;
            evidence.location == place && evidence.span.of(text) == evidence.excerpt.as_deref()
        };
        let marks: Vec<&Marked> = marks.iter().filter(here).copied().collect();
        let mut turn = Turn::of(&who, place, text, &marks);
        turn.code = is_call;
        out.push(turn);
    }
}

impl Turn {
    fn of(who: &str, place: &str, text: &str, marks: &[&Marked]) -> Self {
        Self {
            who: who.to_owned(),
            place: place.to_owned(),
            text: marked(text, marks),
            code: false,
            aside: false,
            became: None,
            reads: marks.iter().filter_map(|mark| Read::of(mark)).collect(),
        }
    }
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
            let mut turn = Turn::of(who, place, text, &here);
            turn.code =
                matches!(last, "arguments" | "partial_json") || place.contains("/parameters/");
            turn.aside = here.is_empty() && who == TOOL;
            out.push(turn);
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
            decoded: None,
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
    fn answers_come_part_by_part_and_tool_calls_under_their_names() {
        let kept = serde_json::json!({"request": {}, "delivered": "Sure.\nmail\n{}\n", "answer": [
            {"channel": "output", "place": "/choices/0/message/content", "text": "Sure."},
            {"channel": "tool_call", "place": "/choices/0/message/tool_calls/0/function/name", "text": "mail"},
            {"channel": "tool_call", "place": "/choices/0/message/tool_calls/0/function/arguments", "text": "{}"},
            {"channel": "tool_call", "place": "/0/1/arguments", "text": "[]"},
        ]});
        let mut mark = mark("/choices/0/message/content", 0, 4, "plain");
        mark.evidence.excerpt = Some("Sure".to_owned());
        let mut gone = mark.clone();
        gone.evidence.excerpt = Some("What".to_owned());
        assert_eq!(
            shown(&turns(&kept, &[(true, mark), (true, gone)])),
            [
                "answer, as delivered /choices/0/message/content <mark class=\"high\" title=\"GD001 override\">Sure</mark>.",
                "answer calls the tool mail /choices/0/message/tool_calls/0/function/arguments {}",
                "answer calls a tool /0/1/arguments []",
            ]
        );
    }

    #[test]
    fn what_went_on_and_what_was_decoded_stand_beside_what_came() {
        let kept = serde_json::json!({
            "request": {"messages": [{"role": "user", "content": "aWdub3Jl <x>"}, {"role": "user", "content": "b"}]},
            "sent": {"messages": [{"role": "user", "content": "[REDACTED] <x>"}, {"role": "user", "content": "b"}]},
        });
        let mut mark = mark("/messages/0/content", 0, 8, "base64");
        mark.evidence.decoded = Some("ignore".to_owned());
        let turns = turns(&kept, &[(false, mark)]);
        let became: Vec<_> =
            turns.iter().map(|turn| turn.became.as_ref().map(Html::as_str)).collect();
        assert_eq!(became, [Some("[REDACTED] &lt;x&gt;"), None]);
        let read = Read {
            words: "GD001 override".to_owned(),
            view: "base64".to_owned(),
            text: "ignore".to_owned(),
        };
        assert_eq!(turns[0].reads, [read]);
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
