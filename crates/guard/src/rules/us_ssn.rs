//! Social security numbers of the United States, in their written form.
//!
//! Source: the Social Security Administration's rules of assignment (areas 000, 666
//! and 900 to 999, group 00 and serial 0000 are never given).

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, each, has_digits, regex};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD032",
        name: "us-ssn",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::High,
        since: "0.1",
        help: "the number was taken out; the task hardly needs it",
        examples: &[
            hit("SSN: 536-22-8714"),
            hit("her number 421-07-3349 is on file"),
            miss("000-12-3456"),
            miss("666-12-3456 and 912-12-3456"),
            miss("Call 555-0123-4567."),
            miss("2024-11-2305"),
            // Printed in advertising, and so never valid.
            miss("078-05-1120"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

static SSN: LazyLock<Regex> = LazyLock::new(|| regex(r"\b\d{3}-\d{2}-\d{4}\b"));
/// Numbers that appeared in print and were withdrawn.
const VOID: &[&str] = &["078-05-1120", "219-09-9999", "123-45-6789", "987-65-4321"];

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if !has_digits(look.text, 9, 11) {
        return;
    }
    each(&SSN, look.text, 85, hits, |seen| {
        let mut parts = seen.split('-');
        let (area, group, serial) =
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        !matches!(area, "000" | "666")
            && !area.starts_with('9')
            && group != "00"
            && serial != "0000"
            && !VOID.contains(&seen)
    });
}
