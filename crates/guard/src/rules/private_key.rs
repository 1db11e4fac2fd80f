//! Private keys in PEM and the like: from their first line to their last, or to the
//! text's end where that is missing.
//!
//! Source: RFC 7468; RFC 4880 section 6.2; OpenSSH PROTOCOL.key.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

/// A key's text is shorter, in bytes; what follows after that is something else.
const KEY_BYTES_MAX: usize = 16 * 1024;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD021",
        name: "private-key",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::Critical,
        since: "0.1",
        help: "the key was taken out; have it replaced wherever it is in use",
        examples: &[
            hit("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
            hit("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk"),
            hit("-----BEGIN PGP PRIVATE KEY BLOCK-----"),
            miss("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"),
            miss("-----BEGIN PUBLIC KEY-----"),
            miss("Keep the private key in a safe."),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

static BEGIN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"));
static END: LazyLock<Regex> =
    LazyLock::new(|| regex(r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    let mut from = 0;
    while let Some(begin) = BEGIN.find_at(look.text, from).filter(|_| hits.len() < HITS_MAX) {
        let reach =
            look.text.floor_char_boundary((begin.end() + KEY_BYTES_MAX).min(look.text.len()));
        let end =
            END.find_at(look.text, begin.end()).map(|end| end.end()).filter(|end| *end <= reach);
        let end = end.unwrap_or(reach);
        hits.push(Hit { span: Span::new(begin.start(), end), confidence: Confidence::CERTAIN });
        from = end;
    }
}
