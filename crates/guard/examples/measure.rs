//! Measures the rules on labelled prompts: `measure PROMPTS.jsonl [--show missed|false [FAMILY]]`,
//! or what each rule costs: `measure PROMPTS.jsonl --cost`.
//!
//! A line is an object with `label` (1 attack, 0 honest), `family`, `channel` and `text`.
//! Prints, for each family, how many texts are stopped (blocked, held, or taken apart by a
//! rule about instructions), and what the rules cost.

use std::{collections::BTreeMap, env, fs, process::ExitCode, time::Instant};

use bartizan_core::Verdict;
use bartizan_guard::{Channel, Context, Guard, Look, Profile, Report, rules};
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
    if args.get(1).is_some_and(|arg| arg == "--cost") {
        cost(&lines);
        return ExitCode::SUCCESS;
    }
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

/// What each rule costs on honest text as it stands, per kilobyte.
fn cost(lines: &str) {
    const ROUNDS: u32 = 5;
    let rows = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let honest = rows.filter(|row| row.get("label").and_then(Value::as_u64) == Some(0));
    let texts: Vec<String> =
        honest.filter_map(|row| Some(row.get("text")?.as_str()?.to_owned())).collect();
    let kilobytes = texts.iter().map(String::len).sum::<usize>().max(1) as f64 / 1000.0;
    let context = Context::default();
    let mut sum = 0.0;
    for rule in rules::ALL {
        let channel = rule.channels.first().copied().unwrap_or(Channel::User);
        let mut hits = Vec::new();
        let mut once = || {
            for text in &texts {
                hits.clear();
                (rule.inspect)(
                    &Look { text, channel, view: "plain", context: &context },
                    &mut hits,
                );
            }
        };
        once();
        let started = Instant::now();
        (0..ROUNDS).for_each(|_| once());
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS) / kilobytes;
        sum += micros;
        eprintln!("{} {:28} {micros:7.2} µs/kB", rule.meta.code, rule.meta.name);
    }
    eprintln!("all rules {sum:.1} µs/kB");
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
