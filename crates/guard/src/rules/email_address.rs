//! E-mail addresses.
//!
//! Source: RFC 5321 section 4.1.2, as addresses are written in practice.

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, each, regex};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD034",
        name: "email-address",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::Low,
        since: "0.1",
        help: "set the rule to redact where addresses must not reach the model",
        examples: &[
            hit("Write to ann.lee+shop@mail.example.com, please."),
            hit("bob@example.org"),
            miss("@mention in a tweet"),
            miss("a @ b"),
            miss("version@2.1"),
            miss("user@localhost"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Annotate,
    channels: ALL_CHANNELS,
    views: false,
    inspect,
};

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b[A-Za-z0-9](?:[A-Za-z0-9._%+-]{0,62}[A-Za-z0-9_+-])?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b",
    )
});

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if look.text.contains('@') {
        each(&ADDRESS, look.text, 95, hits, |_| true);
    }
}
