//! What is written about a request: an entry in the ledger before anything is
//! delivered, an entry when it has ended, and a record for people to look at.

use std::time::Duration;

use bartizan_core::{Activity, Event, EventClass, Evidence, Id, Severity, Timestamp, Verdict};
use bartizan_guard::{Judged, Report};
use bartizan_ledger::Entry;
use bartizan_store::{Class, Retention};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A request and what was decided about it.
pub const DECISION: Class = Class {
    name: "decision",
    facets: &[
        "verdict", "route", "model", "key", "protocol", "status", "rules", "approval", "end_user",
    ],
    counted: &["verdict", "route", "model", "key", "protocol", "status", "rules"],
    retention: Retention::days(90),
};
/// A finding in a request or an answer.
pub const FINDING: Class = Class {
    name: "finding",
    facets: &["code", "severity", "route", "direction", "request", "state", "assignee", "read_as"],
    counted: &["code", "severity", "route", "direction", "state", "assignee", "read_as"],
    retention: Retention::days(365),
};

/// The state of a finding that nobody has looked at yet; the console knows the others.
pub const OPEN: &str = "open";

/// A finding's sealed part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingText {
    /// What was seen, with excerpts.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// What people wrote about it, the oldest first.
    #[serde(default)]
    pub notes: Vec<Note>,
}

/// What a person wrote about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub by: String,
    /// RFC 3339.
    pub at: String,
    /// The act by which it was added.
    pub act: Id,
    pub text: String,
}

impl FindingText {
    /// Reads a finding's sealed part; `None` where it is of another form. The first findings had
    /// their evidence alone in it.
    pub fn of(sealed: Option<&Value>) -> Option<Self> {
        match sealed {
            None => Some(Self::default()),
            Some(Value::Array(_)) => {
                let evidence = serde_json::from_value(sealed?.clone()).ok()?;
                Some(Self { evidence, notes: Vec::new() })
            }
            Some(sealed) => serde_json::from_value(sealed.clone()).ok(),
        }
    }
}

/// What a request is called in the ledger, in records and to the client.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: Id,
    pub(crate) time: Timestamp,
    pub(crate) tenant_tag: String,
    pub(crate) key: Id,
    pub(crate) route: String,
    pub(crate) model: String,
    pub(crate) protocol: &'static str,
    /// A keyed digest of the end user's name.
    pub(crate) end_user: Option<String>,
    /// A keyed digest of the request's body.
    pub(crate) prompt: String,
}

/// One direction's judgement, as the ledger has it: codes and counts, no text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// Codes of the rules that found something, in order, each once.
    pub(crate) rules: Vec<String>,
    pub(crate) findings: usize,
    /// Parts that no inspector saw, and why, by kind.
    pub(crate) unseen: usize,
    pub(crate) not_fully_inspected: usize,
}

impl Judgement {
    pub(crate) fn of(report: &Report) -> Self {
        let mut rules: Vec<String> =
            report.findings.iter().map(|judged| judged.code.clone()).collect();
        rules.sort_unstable();
        rules.dedup();
        Self {
            verdict: report.verdict,
            rules,
            findings: report.findings.len(),
            unseen: report.coverage.unseen.len(),
            not_fully_inspected: report.coverage.not_fully_inspected.len(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "verdict": self.verdict, "rules": self.rules, "findings": self.findings,
            "unseen": self.unseen, "not_fully_inspected": self.not_fully_inspected,
        })
    }
}

/// The entry of the decision about a request, durable before the first byte is delivered.
pub(crate) fn decided(
    subject: &Subject,
    judgement: &Judgement,
    approval: Option<Id>,
    opaque: &[String],
    limits_counted: bool,
) -> Entry {
    let mut entry = Entry::new("gateway.decision")
        .tenant(&subject.tenant_tag)
        .actor(&format!("key:{}", subject.key))
        .subject(&format!("request:{}", subject.id))
        .with("route", subject.route.as_str())
        .with("model", clip(&subject.model))
        .with("protocol", subject.protocol)
        .with("prompt", subject.prompt.as_str())
        .with("judgement", judgement.json());
    if let Some(end_user) = &subject.end_user {
        entry = entry.with("end_user", end_user.as_str());
    }
    if let Some(approval) = approval {
        entry = entry.with("approval", approval.to_string());
    }
    if !opaque.is_empty() {
        entry = entry.with("not_inspected", opaque.to_vec());
    }
    if !limits_counted {
        entry = entry.with("limits", "uncounted");
    }
    entry
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    /// Why it ended otherwise than by a whole answer, such as `client_gone`.
    pub(crate) cut: Option<&'static str>,
    pub(crate) target: Option<String>,
    pub(crate) judgement: Option<Judgement>,
    /// A keyed digest of the text that was delivered.
    pub(crate) output: Option<String>,
    pub(crate) tokens_in: u64,
    pub(crate) tokens_out: u64,
}

/// The entry of a request's end, durable before its last byte is delivered.
pub(crate) fn ended(subject: &Subject, outcome: &Outcome) -> Entry {
    let mut entry = Entry::new("gateway.outcome")
        .tenant(&subject.tenant_tag)
        .actor(&format!("key:{}", subject.key))
        .subject(&format!("request:{}", subject.id))
        .with("status", outcome.status)
        .with("tokens_in", clamp(outcome.tokens_in))
        .with("tokens_out", clamp(outcome.tokens_out));
    if let Some(cut) = outcome.cut {
        entry = entry.with("cut", cut);
    }
    if let Some(target) = &outcome.target {
        entry = entry.with("target", clip(target));
    }
    if let Some(output) = &outcome.output {
        entry = entry.with("output", output.as_str());
    }
    if let Some(judgement) = &outcome.judgement {
        entry = entry.with("judgement", judgement.json());
    }
    entry
}

/// How long the layers took, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Layers {
    /// Reading, key, policy, limits.
    intake_us: u64,
    /// The guard on the prompt.
    prompt_us: u64,
    /// The upstream, and the guard on its answer.
    answer_us: u64,
}

impl Layers {
    /// From the moments when intake and prompt were done with, and all, since the beginning.
    pub(crate) fn of([intake, prompt]: [Duration; 2], all: Duration) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            intake_us: us(intake),
            prompt_us: us(prompt.saturating_sub(intake)),
            answer_us: us(all.saturating_sub(prompt)),
        }
    }
}

/// The record's clear metadata.
pub(crate) fn meta(
    subject: &Subject,
    prompt: &Judgement,
    outcome: &Outcome,
    entry: Option<u64>,
    took_ms: u64,
) -> Map<String, Value> {
    let out_rules = outcome.judgement.iter().flat_map(|j| j.rules.iter());
    let mut rules: Vec<&String> = prompt.rules.iter().chain(out_rules).collect();
    rules.sort_unstable();
    rules.dedup();
    let verdict =
        prompt.verdict.max(outcome.judgement.as_ref().map_or(Verdict::Allow, |j| j.verdict));
    let meta = json!({
        "verdict": verdict, "route": subject.route, "model": clip(&subject.model), "key": subject.key,
        "protocol": subject.protocol, "status": outcome.status.to_string(), "rules": rules,
        "end_user": subject.end_user, "input": prompt.json(),
        "output": outcome.judgement.as_ref().map(Judgement::json), "cut": outcome.cut,
        "target": outcome.target, "tokens_in": outcome.tokens_in, "tokens_out": outcome.tokens_out,
        "took_ms": took_ms, "ledger_index": entry,
    });
    object(meta)
}

/// A finding's clear metadata: everything but what was seen.
pub(crate) fn finding_meta(
    subject: &Subject,
    judged: &Judged,
    direction: &str,
) -> Map<String, Value> {
    let finding = judged.finding.without_excerpts();
    let read_as = finding.evidence.first().map(|evidence| evidence.view.clone());
    object(json!({
        "code": judged.code, "severity": finding.severity, "route": subject.route,
        "direction": direction, "request": subject.id, "mode": judged.mode,
        "action": judged.action, "read_as": read_as, "finding": finding, "state": OPEN,
    }))
}

/// What an event is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) request: Id,
    pub(crate) protocol: &'a str,
    pub(crate) route: &'a str,
    pub(crate) key: &'a str,
}

/// The event that other rooms see: an API activity of OCSF. It has the request's id, so that
/// one that is published again is known.
pub(crate) fn event(
    cx: &bartizan_core::Cx,
    tenant: bartizan_core::Tenant,
    meta: &Map<String, Value>,
    about: &About<'_>,
    severity: Severity,
) -> Event {
    let About { request, protocol, route, key } = about;
    let mut event = Event::new(cx, tenant, EventClass::ApiActivity, Activity::CREATE);
    event.id = *request;
    event.severity = severity;
    event.message = format!("{protocol} through route {route}");
    let api =
        json!({"operation": protocol, "request": {"uid": request}, "service": {"name": route}});
    event.attributes.insert("api".to_owned(), api);
    event.attributes.insert("actor".to_owned(), json!({"app_uid": key}));
    event.unmapped = meta.clone();
    event
}

/// The worse of two verdicts as they stand in the ledger.
pub(crate) fn worst(input: &Value, output: &Value) -> Verdict {
    let read = |verdict: &Value| serde_json::from_value::<Verdict>(verdict.clone()).ok();
    read(input).max(read(output)).unwrap_or(Verdict::Allow)
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Names that callers choose are cut before they enter the ledger.
fn clip(text: &str) -> &str {
    bartizan_core::json::clip(text, 256)
}

/// Whole numbers in the ledger stay within 2^53 - 1.
fn clamp(n: u64) -> u64 {
    n.min((1 << 53) - 1)
}
