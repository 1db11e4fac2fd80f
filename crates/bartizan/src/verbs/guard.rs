//! `bartizan guard`: the inspectors in a shell.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::Context as _;
use bartizan_core::{Cx, Verdict};
use bartizan_guard::{Channel, Context, Guard, Profile, Report};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, cell};
use crate::{
    output::Outcome,
    trouble::{Hint, trouble},
};

/// LIMIT: the longest text or line that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Inspect text as the gateway does, and list the rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Inspect a text, standard input, or a file of JSON Lines.
    ///
    /// Exit code 0 when every text was judged, whatever the verdicts; 1 when one was as
    /// strict as `--fail-on`, or a line could not be judged.
    Check(Check),
    /// List the rules.
    Rules,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The text; `-` or nothing reads standard input.
    text: Option<String>,
    /// Whose words it is: system, user, content, `tool_result`, `tool_description`,
    /// `tool_call`, assistant, output or reasoning.
    #[arg(long, default_value = "user", value_parser = channel)]
    channel: Channel,
    /// A file of JSON Lines with `id`, `text` and optional `channel`; `-` reads standard
    /// input. A line with `id`, `verdict` and `findings` is written for each, in order.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    jsonl: Option<PathBuf>,
    /// End with exit code 1 when a verdict is this strict or stricter: `annotate`,
    /// `redact`, `hold` or `block`.
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    fail_on: Option<Verdict>,
    /// Under the rules of this route of the configuration.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
}

fn channel(text: &str) -> Result<Channel, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

fn verdict(text: &str) -> Result<Verdict, String> {
    Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == text).ok_or_else(|| {
        let known = Verdict::ALL.map(Verdict::as_str).join("`, `");
        format!("expected one of `{known}`")
    })
}

/// One text of many.
#[derive(Debug, Deserialize)]
struct Line {
    id: Value,
    text: String,
    channel: Option<Channel>,
}

struct Inspector {
    guard: Guard,
    profile: Profile,
    context: Context,
}

pub(super) fn run(call: &Call<'_>, verb: Verb) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Rules => rules(call),
        Verb::Check(check) => {
            let inspector = inspector(call, check.route.as_deref())?;
            match &check.jsonl {
                Some(path) => lines(call, &inspector, &check, path),
                None => one(call, &inspector, &check),
            }
        }
    }
}

fn inspector(call: &Call<'_>, route: Option<&str>) -> anyhow::Result<Inspector> {
    let mut profile = Profile::default();
    let mut context = Context::default();
    if let Some(name) = route {
        let config = call.config()?;
        let names = || config.routes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let route = config.routes.get(name).ok_or_else(|| {
            trouble(
                format!("there is no route `{name}`"),
                format!("the configuration has: {}", names()),
            )
        })?;
        for (code, rule) in &route.rules {
            profile.set(code, rule.mode, rule.action)?;
        }
        context = Context::new(&[], route.canaries.clone(), route.link_hosts.clone());
    }
    Ok(Inspector { guard: Guard::new(), profile, context })
}

impl Inspector {
    fn inspect(&self, cx: &Cx, channel: Channel, text: &str) -> Report {
        self.guard.inspect(cx, &self.profile, &self.context, channel, text)
    }
}

fn one(call: &Call<'_>, inspector: &Inspector, check: &Check) -> anyhow::Result<Outcome> {
    let text = match check.text.as_deref() {
        Some(text) if text != "-" => text.to_owned(),
        _ => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .take(TEXT_BYTES_MAX)
                .read_to_string(&mut text)
                .context("cannot read standard input")
                .hint("send UTF-8 text")?;
            text
        }
    };
    let report = inspector.inspect(call.cx, check.channel, &text);
    let result = json!({
        "verdict": report.verdict, "findings": report.findings, "redactions": report.redactions, "coverage": report.coverage,
    });
    call.out().one(&result, |result| {
        let mut lines = vec![format!("verdict: {}", cell(result, "/verdict"))];
        for finding in result.get("findings").and_then(Value::as_array).into_iter().flatten() {
            let evidence = finding.pointer("/finding/evidence/0").cloned().unwrap_or_default();
            lines.push(format!(
                "  {} {} ({}), bytes {} to {} as {}: {}",
                cell(finding, "/code"),
                cell(finding, "/finding/title"),
                cell(finding, "/action"),
                cell(&evidence, "/span/start"),
                cell(&evidence, "/span/end"),
                cell(&evidence, "/view"),
                crate::output::printable(&cell(&evidence, "/excerpt")),
            ));
        }
        lines.join("\n")
    })?;
    Ok(if check.fails(report.verdict) { Outcome::Findings } else { Outcome::Clean })
}

impl Check {
    fn fails(&self, verdict: Verdict) -> bool {
        self.fail_on.is_some_and(|strict| verdict >= strict)
    }
}

fn lines(
    call: &Call<'_>,
    inspector: &Inspector,
    check: &Check,
    path: &PathBuf,
) -> anyhow::Result<Outcome> {
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot read `{}`", path.display()))
            .hint("`--jsonl` names a file of JSON Lines")?;
        Box::new(file)
    };
    let mut reader = BufReader::new(source);
    let mut out = call.out();
    let mut worst = Outcome::Clean;
    for number in 1_u64.. {
        let mut line = Vec::new();
        if reader.by_ref().take(TEXT_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let result = match serde_json::from_slice::<Line>(&line) {
            Ok(line) => {
                let report =
                    inspector.inspect(call.cx, line.channel.unwrap_or(check.channel), &line.text);
                if check.fails(report.verdict) {
                    worst = Outcome::Findings;
                }
                let findings: Vec<Value> = report.findings.iter().map(|judged| {
                    let evidence = judged.finding.evidence.first();
                    json!({"code": judged.code, "span": evidence.map(|e| e.span), "view": evidence.map(|e| e.view.as_str())})
                }).collect();
                json!({"id": line.id, "verdict": report.verdict, "findings": findings})
            }
            Err(error) => {
                worst = Outcome::Findings;
                json!({"line": number, "error": format!("line {number} cannot be read: {error}; expected `id`, `text` and optional `channel`")})
            }
        };
        out.line(&result)?;
    }
    out.flush()?;
    Ok(worst)
}

fn rules(call: &Call<'_>) -> anyhow::Result<Outcome> {
    let guard = Guard::new();
    let rows: Vec<Value> = guard.rules().iter().map(|rule| json!({
        "code": rule.meta.code, "name": rule.meta.name, "severity": rule.meta.severity, "action": rule.action,
        "needs": rule.needs, "channels": rule.channels, "references": rule.meta.refs, "since": rule.meta.since, "help": rule.meta.help,
    })).collect();
    let row = |rule: &Value| {
        vec![
            cell(rule, "/code"),
            cell(rule, "/name"),
            cell(rule, "/severity"),
            cell(rule, "/action"),
            cell(rule, "/references"),
        ]
    };
    call.out().many(&rows, &["code", "name", "severity", "action", "references"], row, "")?;
    Ok(Outcome::Clean)
}
