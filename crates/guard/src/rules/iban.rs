//! International bank account numbers: country, length and MOD 97.
//!
//! Source: ISO 13616; the SWIFT IBAN registry for the lengths.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, checksums::mod_97, has_digits, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD031",
        name: "iban",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::Medium,
        since: "0.1",
        help: "the number was taken out; set the rule to annotate where the task needs account numbers",
        examples: &[
            // The registry's own examples.
            hit("Please pay to GB82 WEST 1234 5698 7654 32."),
            hit("DE89370400440532013000"),
            hit("NL91 ABNA 0417 1643 00"),
            hit("my iban is gb82west12345698765432"),
            hit("FR76-3000-6000-0112-3456-7890-189"),
            miss("GB82 WEST 1234 5698 7654 33"),
            miss("ab12 and then twelve more words follow here"),
            miss("DE8937040044053201300"),
            miss("The part AB12 3456 7890 1234 is out of stock."),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

static IBAN: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}\b"));

const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SC", 31),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    // The check digits.
    if !has_digits(look.text, 2, 2) {
        return;
    }
    for found in IBAN.find_iter(look.text).take(HITS_MAX) {
        if let Some(len) = account(found.as_str()) {
            let span = Span::new(found.start(), found.start() + len);
            hits.push(Hit { span, confidence: Confidence::percent(98) });
        }
    }
}

/// How many bytes of the text are the account number, which words may follow.
fn account(text: &str) -> Option<usize> {
    let (_, length) = LENGTHS.iter().find(|(country, _)| {
        text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(country))
    })?;
    let (mut compact, mut end) = (String::new(), 0);
    for (at, c) in text.char_indices().filter(|(_, c)| !matches!(c, ' ' | '-')) {
        compact.push(c);
        end = at + 1;
        if compact.len() == *length {
            break;
        }
    }
    let (head, rest) = compact.split_at_checked(4)?;
    let next = text.get(end..).and_then(|rest| rest.chars().next());
    let is_whole = compact.len() == *length && next.is_none_or(|c| matches!(c, ' ' | '-'));
    (is_whole && mod_97(&format!("{rest}{head}")) == Some(1)).then_some(end)
}
