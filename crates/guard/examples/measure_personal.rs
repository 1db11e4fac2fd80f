//! Measures the rules for personal data: `measure_personal SENTENCES.json [--show]`.
//!
//! The file is a list of objects with `full_text` and `spans`, each with `entity_type`,
//! `start_position` and `end_position`, counted in characters.

use std::{collections::BTreeMap, env, fs, process::ExitCode};

use bartizan_core::Span;
use bartizan_guard::{Channel, Context, Look, rules};
use serde_json::Value;

/// Which rule's codes answer for which type.
const TYPES: &[(&str, &str)] = &[
    ("CREDIT_CARD", "GD030"),
    ("IBAN_CODE", "GD031"),
    ("US_SSN", "GD032"),
    ("EMAIL_ADDRESS", "GD034"),
    ("PHONE_NUMBER", "GD035"),
    ("IP_ADDRESS", "GD036"),
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let rows = args.first().and_then(|path| fs::read_to_string(path).ok());
    let Some(rows) = rows.and_then(|text| serde_json::from_str::<Vec<Value>>(&text).ok()) else {
        eprintln!("usage: measure_personal SENTENCES.json [--show]");
        return ExitCode::from(2);
    };
    // Found, there, said, right.
    let mut tallies: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for row in &rows {
        let text = row.get("full_text").and_then(Value::as_str).unwrap_or_default();
        for (kind, code) in TYPES {
            let there = labelled(row, text, kind);
            let said = said(text, code);
            let touch = |a: &Span, b: &Span| a.start < b.end && b.start < a.end;
            let tally = tallies.entry(kind).or_default();
            let missed = there.iter().filter(|t| !said.iter().any(|s| touch(s, t)));
            let wrong = said.iter().filter(|s| !there.iter().any(|t| touch(s, t)));
            if args.len() > 1 {
                missed.clone().for_each(|span| eprintln!("missed {kind}: {:?}", span.of(text)));
                wrong
                    .clone()
                    .for_each(|span| eprintln!("wrong {kind}: {:?} in {text:?}", span.of(text)));
            }
            tally[1] += there.len();
            tally[0] += there.len() - missed.count();
            tally[2] += said.len();
            tally[3] += said.len() - wrong.count();
        }
    }
    for (kind, [found, there, said, right]) in tallies {
        eprintln!("{kind:16} found {found} of {there}, right {right} of {said}");
    }
    ExitCode::SUCCESS
}

fn labelled(row: &Value, text: &str, kind: &str) -> Vec<Span> {
    let byte = |at: &Value| {
        let at = usize::try_from(at.as_u64()?).ok()?;
        Some(text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte))
    };
    let spans = row.get("spans").and_then(Value::as_array).into_iter().flatten();
    let of_kind = spans.filter(|s| s.get("entity_type").and_then(Value::as_str) == Some(kind));
    of_kind
        .filter_map(|s| {
            Some(Span::new(byte(s.get("start_position")?)?, byte(s.get("end_position")?)?))
        })
        .collect()
}

fn said(text: &str, code: &str) -> Vec<Span> {
    let context = Context::default();
    let mut hits = Vec::new();
    for rule in rules::ALL.iter().filter(|rule| rule.meta.code == code) {
        (rule.inspect)(
            &Look { text, channel: Channel::User, view: "plain", context: &context },
            &mut hits,
        );
    }
    hits.iter().map(|hit| hit.span).collect()
}
