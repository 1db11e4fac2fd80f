//! Passwords within addresses of servers, and in assignments.
//!
//! Source: RFC 3986 section 3.2.1 (userinfo).

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, checksums::entropy, needles::Needles, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD022",
        name: "connection-string",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::High,
        since: "0.1",
        help: "the password was taken out; have it changed",
        examples: &[
            hit("postgres://app:Tr0ub4dor-3@db.internal:5432/shop"),
            hit("mongodb+srv://root:hunter2Hunter@cluster0.example.net"),
            hit("DB_PASSWORD=\"x9$Kq!mm27Lp\""),
            hit("api_key: 9fK2mQ7xW4bT8vN1cR5z"),
            miss("postgres://localhost:5432/shop"),
            miss("postgres://user:password@host/db"),
            miss("password: ask your administrator"),
            miss("DB_PASSWORD=${SECRET}"),
            miss("api_key: your_api_key_here"),
            miss("Set API_KEY to your key before you start."),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

const PATTERNS: [&str; 2] = [
    r"\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|ftps?|sftp|ssh|smtps?|imaps?|ldaps?|nats|kafka|clickhouse|https?)://[^\s:/@'\x22]{1,64}:([^\s@/'\x22]{4,128})@[A-Za-z0-9]",
    r#"\b\w{0,32}(?:password|passwd|pwd|secret(?:_key)?|api_?key|apikey|access_?key|auth_?token|access_?token|private_?key)["']?\s{0,2}(?:=|:)\s{0,2}["']?([^\s"',;<>(){}]{8,128})"#,
];
static PLACES: LazyLock<(Needles, Vec<Regex>)> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|pattern| regex(&format!("(?i){pattern}")));
    (Needles::new(PATTERNS.into_iter(), true), patterns.collect())
});
/// The least entropy of each one's secret, in bits a character.
const LEAST: [f64; 2] = [2.0, 3.2];
/// What stands where a secret would, in documentation.
const BLANKS: &[&str] = &[
    "password",
    "example",
    "changeme",
    "your",
    "xxxx",
    "****",
    "....",
    "<",
    "${",
    "{{",
    "%(",
    "$(",
    "placeholder",
    "redacted",
    "secret",
    "todo",
    "null",
    "none",
    "env.",
    "process.",
];

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    let (needles, places) = &*PLACES;
    for i in needles.announced(look.text) {
        let (Some(regex), Some(least)) = (places.get(i), LEAST.get(i)) else { continue };
        for found in regex.captures_iter(look.text).take(HITS_MAX) {
            let Some(secret) = found.get(1) else { continue };
            let lower = secret.as_str().to_ascii_lowercase();
            let is_blank = BLANKS.iter().any(|blank| lower.contains(blank));
            let digits = lower.bytes().any(|b| b.is_ascii_digit());
            if !is_blank && digits && entropy(secret.as_str()) >= *least {
                hits.push(Hit {
                    span: Span::new(secret.start(), secret.end()),
                    confidence: Confidence::percent(75),
                });
            }
        }
    }
    hits.sort_by_key(|hit| hit.span);
    hits.dedup_by(|next, last| next.span.start < last.span.end);
}

#[cfg(test)]
mod tests {
    #[test]
    fn whatever_matches_is_looked_for() {
        super::PLACES.0.check();
    }
}
