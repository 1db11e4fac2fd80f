//! Telephone numbers, in the international form, that of North America, and after a
//! word that says so in any form.
//!
//! Source: ITU-T E.164 and E.123; the North American Numbering Plan.

use std::sync::LazyLock;

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};
use regex::Regex;

use super::{ALL_CHANNELS, checksums::digits, each, has_digits, regex};
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

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
            hit("My phone number is 0494 92 82 32."),
            hit("Tel. 030/901820"),
            hit("call me at 986.291.2294x751"),
            miss("I will call you on 2024-11-23 at noon."),
            miss("Invoice 0494 92 82 32 is due."),
            miss("The phone costs 649 euro and 99 cents."),
            miss("00101101 00101110 in binary"),
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

/// INVARIANT: every number has seven digits, at most four bytes apart.
const DIGITS_LEAST: usize = 7;
const DIGITS_WITHIN: usize = 32;

static NUMBERS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    const MORE: &str = r"(?:\s?(?:x|ext\.?)\s?\d{1,6})?";
    [
        regex(&format!(r"(?:\+|\b00)[1-9](?:[ .-]?\(?\d\)?){{6,14}}\b{MORE}")),
        regex(&format!(
            r"(?:(?:\b1[ .-]|\b001[ .-])?\(\b[2-9]\d{{2}}\) ?|\b(?:1[ .-]|001[ .-])?[2-9]\d{{2}}[.-])[2-9]\d{{2}}[ .-]\d{{4}}{MORE}\b"
        )),
        // Written as at home: only where a word says what it is.
        regex(r"\(?\b\d{2,5}\b\)?(?:[ ./-]{1,2}\d{2,8}){1,4}\b|\b\d{7,11}\b"),
    ]
});

/// Words that announce a number, some letters before it at most.
static ANNOUNCES: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\b(?:phones?|desk|answering\s+at|messages\s+to|tele(?:phone|fon\w*|fono)|tel\.?|mobile|cell|fax|call(?:\s+(?:me|us|him|her|back))?|dial|ring|text\s+(?:me|us|him|her)|whatsapp|hotline|handy\w*|rufnummer|mobil\w*|t.l.phone|portable|tel.fono|m.vil|cellulare|telefoon\w*|landline|contact\s+number|phone\s+number|my\s+number)(?:[^\d\n]{0,30}|[^\d\n]{0,8}\n)$",
    )
});
const ANNOUNCED_WITHIN: usize = 48;

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if !has_digits(look.text, DIGITS_LEAST, DIGITS_WITHIN) {
        return;
    }
    let [international, american, home] = &*NUMBERS;
    for regex in [international, american] {
        each(regex, look.text, 75, hits, is_long_enough);
    }
    for found in home.find_iter(look.text).take(HITS_MAX) {
        let from = look.text.floor_char_boundary(found.start().saturating_sub(ANNOUNCED_WITHIN));
        let before = look.text.get(from..found.start()).unwrap_or_default();
        if is_long_enough(found.as_str()) && !is_date(found.as_str()) && ANNOUNCES.is_match(before)
        {
            let span = Span::new(found.start(), found.end());
            hits.push(Hit { span, confidence: Confidence::percent(65) });
        }
    }
    hits.sort_by_key(|hit| hit.span);
    hits.dedup_by(|next, last| next.span.start < last.span.end);
}

/// Long enough, and not in binary.
fn is_long_enough(seen: &str) -> bool {
    let digits = digits(seen);
    (7..=20).contains(&digits.len()) && digits.iter().any(|digit| *digit > 1)
}

/// A year stands at one end of a date.
fn is_date(seen: &str) -> bool {
    let parts: Vec<&str> = seen.split(['-', '/', '.', ' ']).collect();
    let is_year =
        |part: &&str| part.len() == 4 && (part.starts_with("19") || part.starts_with("20"));
    parts.len() == 3 && (parts.first().is_some_and(is_year) || parts.last().is_some_and(is_year))
}
