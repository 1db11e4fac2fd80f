//! Recorded streams, cut in other ways: the texts of their deltas and the bytes on the
//! wire. Whatever the cut, the decision and what is delivered are the same.
//!
//! `BARTIZAN_RECHUNKINGS=N` sets how many; `BARTIZAN_SEED=N` replays a run.

use std::{collections::BTreeMap, sync::Arc};

use bartizan_core::{Verdict, sim::SeededEntropy};
use bartizan_guard::{Context, Guard};
use serde_json::Value;

use super::relay::{self, Relay};
use crate::sse::{Event, Parser};

/// What each protocol's recording is, and where its deltas carry text.
const RECORDINGS: [(&str, &str, &[&str]); 4] = [
    (
        "openai-chat",
        include_str!("../../../../../tests/streams/openai-chat.sse"),
        &[
            "/choices/0/delta/content",
            "/choices/0/delta/reasoning_content",
            "/choices/0/delta/tool_calls/0/function/arguments",
        ],
    ),
    (
        "openai-completions",
        include_str!("../../../../../tests/streams/openai-completions.sse"),
        &["/choices/0/text"],
    ),
    (
        "openai-responses",
        include_str!("../../../../../tests/streams/openai-responses.sse"),
        &["/delta"],
    ),
    (
        "anthropic-messages",
        include_str!("../../../../../tests/streams/anthropic-messages.sse"),
        &["/delta/text", "/delta/thinking", "/delta/partial_json"],
    ),
];
/// It stands near the end of each answer.
const CANARY: &str = "canary 77 of the lantern";
/// How many cuts are tried where nobody says: what a debug build does in half a minute.
const CUTS: usize = 2000;

/// A number from the environment.
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The objects of a recording.
fn bodies(recording: &str) -> Vec<Value> {
    relay::bodies(&Parser::default().push(recording.as_bytes()).expect("a stream of events"))
}

/// A delta's text, and the rest of it, which says whose it is.
fn taken_apart<'a>(mut body: Value, texts: &[&'a str]) -> (Option<(String, &'a str)>, Value) {
    let said = |at: &&&str| body.pointer(at).and_then(Value::as_str).is_some_and(|t| !t.is_empty());
    let Some(at) = texts.iter().find(said).copied() else { return (None, body) };
    let place = body.pointer_mut(at).map(Value::take);
    if let Some(fields) = body.as_object_mut() {
        fields.shift_remove("sequence_number");
    }
    (place.and_then(|text| Some((text.as_str()?.to_owned(), at))), body)
}

/// Whose text it is: texts of one lane that follow each other are one text.
type Run = (Option<(String, String)>, Value);

fn runs(recording: &str, texts: &[&str]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for body in bodies(recording) {
        let (text, rest) = taken_apart(body, texts);
        match (text, runs.last_mut()) {
            (Some((text, _)), Some((Some((before, _)), last))) if *last == rest => {
                before.push_str(&text);
            }
            (text, _) => runs.push((text.map(|(text, at)| (text, at.to_owned())), rest)),
        }
    }
    runs
}

/// A size: mostly small, now and then large.
fn size(random: &SeededEntropy, small: usize, large: usize) -> usize {
    1 + random.below(if random.below(8) == 0 { large } else { small })
}

/// The recording with the texts of its deltas cut anew.
fn recut(runs: &[Run], random: &SeededEntropy) -> Vec<Value> {
    let small = size(random, 12, 60);
    let mut out = Vec::new();
    for (text, rest) in runs {
        let Some((text, at)) = text else {
            out.push(rest.clone());
            continue;
        };
        let mut left = text.as_str();
        while !left.is_empty() {
            let end = left.ceil_char_boundary(size(random, small, 200).min(left.len()));
            let (piece, more) = left.split_at(end);
            let mut body = rest.clone();
            *body.pointer_mut(at).expect("it was there") = piece.into();
            out.push(body);
            left = more;
        }
    }
    out
}

/// The events that come out of bytes in pieces.
fn parsed(bytes: &[u8], random: &SeededEntropy) -> Vec<Event> {
    let (mut parser, mut events, mut rest) = (Parser::default(), Vec::new(), bytes);
    let small = size(random, 40, 400);
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(size(random, small, 4000).min(rest.len()));
        events.append(&mut parser.push(chunk).expect("a stream of events"));
        rest = more;
    }
    events
}

/// The decision about a stream, and what was delivered of it.
#[derive(Debug, PartialEq)]
struct Outcome {
    stopped: Option<Verdict>,
    is_done: bool,
    /// Codes, places and spans of what was found, in order.
    found: Vec<String>,
    redactions: usize,
    /// The text of each lane, by all else that its deltas say.
    texts: BTreeMap<String, String>,
    /// Every other event.
    others: Vec<Value>,
}

fn outcome(relay: &Relay, texts: &[&str]) -> Outcome {
    let mut out = Outcome {
        stopped: relay.stopped,
        is_done: relay.is_done,
        found: Vec::new(),
        redactions: relay.report.redactions,
        texts: BTreeMap::new(),
        others: Vec::new(),
    };
    for judged in &relay.report.findings {
        let place = judged.finding.evidence.iter().map(|one| (&one.location, &one.span));
        out.found.push(format!(
            "{} {:?} {:?}",
            judged.code,
            judged.action,
            place.collect::<Vec<_>>()
        ));
    }
    out.found.sort_unstable();
    for body in relay::bodies(&relay.out) {
        let (text, mut rest) = taken_apart(body, texts);
        match text {
            Some((text, at)) => {
                out.texts.entry(format!("{at} {rest}")).or_default().push_str(&text);
            }
            None => {
                if let Some(fields) = rest.as_object_mut() {
                    fields.shift_remove("sequence_number");
                }
                out.others.push(rest);
            }
        }
    }
    out
}

#[test]
fn no_cut_of_a_recorded_stream_changes_the_decision_or_what_is_delivered() {
    let cuts = told("BARTIZAN_RECHUNKINGS").map_or(CUTS, |n| usize::try_from(n).expect("few"));
    let seed = told("BARTIZAN_SEED").unwrap_or(2026);
    let (guard, random) = (Guard::new(), SeededEntropy::new(seed));
    let contexts = [false, true].map(|is_marked| {
        let marks = is_marked.then(|| CANARY.to_owned());
        (is_marked, Arc::new(Context::new(&[], marks.into_iter().collect(), Vec::new())))
    });
    let mut cases = Vec::new();
    for (name, recording, texts) in RECORDINGS {
        for (is_marked, context) in &contexts {
            let relay = Relay::new(&guard, name, true).within(context);
            let events = Parser::default().push(recording.as_bytes()).expect("a stream of events");
            let whole = outcome(&relay.judge(&events).expect("a stream"), texts);
            // It proves nothing unless it finds, rewrites, stops and lets pass.
            let ended = (whole.stopped.is_some(), whole.is_done);
            assert_eq!(ended, (*is_marked, !is_marked), "{name}: {whole:?}");
            assert!(whole.redactions > 3 && whole.found.len() > 4, "{name}: {whole:?}");
            let said = format!("{:?} {:?}", whole.texts, whole.others);
            for secret in ["Z7Q3M5XKLP2WN4RT", "5555 5555"] {
                assert!(!said.contains(secret), "{name}: {said}");
            }
            assert_eq!(said.contains(CANARY), !*is_marked, "{name}: {said}");
            cases.push((name, runs(recording, texts), texts, context, whole));
        }
    }
    for cut in 0..cuts {
        let (name, runs, texts, context, whole) = &cases[cut % cases.len()];
        let bytes = relay::wire(name, &recut(runs, &random));
        let relay = Relay::new(&guard, name, true).within(context);
        let relay = relay.judge(&parsed(&bytes, &random)).expect("a stream");
        assert_eq!(outcome(&relay, texts), *whole, "{name}, cut {cut}, BARTIZAN_SEED={seed}");
    }
}
