//! Telephone numbers, in the international form and that of North America.
//!
//! Source: ITU-T E.164 and E.123; the North American Numbering Plan.

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, checksums::digits, each, regex};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD035",
        name: "phone-number",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::Low,
        since: "0.1",
        help: "set the rule to redact where numbers must not reach the model",
        examples: &[
            hit("Call +44 20 7946 0958 before noon."),
            hit("(212) 555-0147"),
            hit("+32 470 12 34 56"),
            miss("The total is 212 555."),
            miss("section 3.4.5.6"),
            miss("+1 for this idea"),
            miss("(112) 555-0147"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Annotate,
    channels: ALL_CHANNELS,
    views: false,
    inspect,
};

static NUMBERS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        regex(r"\+[1-9](?:[ .-]?\(?\d\)?){6,14}\b"),
        regex(r"(?:\(\b[2-9]\d{2}\) ?|\b[2-9]\d{2}[.-])[2-9]\d{2}[ .-]\d{4}\b"),
    ]
});

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    for regex in &*NUMBERS {
        each(regex, look.text, 75, hits, |seen| (7..=15).contains(&digits(seen).len()));
    }
    hits.sort_by_key(|hit| hit.span);
    hits.dedup_by(|next, last| next.span.start < last.span.end);
}
