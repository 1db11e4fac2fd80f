//! Measures the rules on labelled prompts: `measure PROMPTS.jsonl [--show missed|false [FAMILY]]`.
//!
//! A line is an object with `label` (1 attack, 0 honest), `family`, `channel` and `text`.
//! Prints, for each family, how many texts are stopped (blocked, held, or taken apart by a
//! rule about instructions), and what the rules cost.

use std::{collections::BTreeMap, env, fs, process::ExitCode, time::Instant};

use bartizan_core::Verdict;
use bartizan_guard::{Channel, Context, Guard, Profile, Report};
use serde_json::Value;

/// Codes up to here are about instructions; the others are about data.
const INSTRUCTIONS_LAST: &str = "GD010";

#[derive(Default)]
struct Tally {
    attacks: bool,
    texts: usize,
    caught: usize,
    codes: BTreeMap<String, usize>,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(lines) = args.first().and_then(|path| fs::read_to_string(path).ok()) else {
        eprintln!("usage: measure PROMPTS.jsonl [--show missed|false [FAMILY]]");
        return ExitCode::from(2);
    };
    let show = args.get(2).map(String::as_str);
    let family = args.get(3).map(String::as_str);
    let cx = bartizan_core::sim::cx(1).0;
    let (guard, profile, context) = (Guard::new(), Profile::default(), Context::default());
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut bytes, started) = (0, Instant::now());
    for line in lines.lines() {
        let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
        let field = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let text = field("text");
        bytes += text.len();
        let report = guard.inspect(&cx, &profile, &context, channel(field("channel")), text);
        let attack = row.get("label").and_then(Value::as_u64) == Some(1);
        let caught = is_caught(&report);
        let tally = families.entry(field("family").to_owned()).or_default();
        tally.attacks = attack;
        tally.texts += 1;
        tally.caught += usize::from(caught);
        for one in &report.findings {
            *tally.codes.entry(one.code.clone()).or_default() += 1;
        }
        let wrong = matches!(
            (show, attack, caught),
            (Some("missed"), true, false) | (Some("false"), false, true)
        );
        if wrong && family.is_none_or(|family| family == field("family")) {
            let seen: Vec<_> =
                report.findings.iter().map(|f| (&f.code, &f.finding.evidence)).collect();
            eprintln!("{} {:?}\n  {seen:?}", field("id"), bartizan_core::json::clip(text, 600));
        }
    }
    let took = started.elapsed();
    print(&families);
    eprintln!("{bytes} bytes in {} ms with all views", took.as_millis());
    ExitCode::SUCCESS
}

fn is_caught(report: &Report) -> bool {
    report.findings.iter().any(|one| {
        one.action.stops()
            || one.action == Verdict::Redact && one.code.as_str() <= INSTRUCTIONS_LAST
    })
}

fn channel(name: &str) -> Channel {
    match name {
        "tool_result" | "tool_output" => Channel::ToolResult,
        "tool_description" => Channel::ToolDescription,
        "content" | "memory" => Channel::Content,
        _ => Channel::User,
    }
}

fn print(families: &BTreeMap<String, Tally>) {
    for attacks in [true, false] {
        let (mut texts, mut caught) = (0, 0);
        for (name, tally) in families.iter().filter(|(_, tally)| tally.attacks == attacks) {
            texts += tally.texts;
            caught += tally.caught;
            eprintln!("{name:40} {:5} of {:5} {:?}", tally.caught, tally.texts, tally.codes);
        }
        let per_mille = caught * 1000 / texts.max(1);
        eprintln!(
            "{} {caught} of {texts}: {}.{} %\n",
            if attacks { "FOUND" } else { "FLAGGED" },
            per_mille / 10,
            per_mille % 10
        );
    }
}
