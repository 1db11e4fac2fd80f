//! Payment card numbers: issuer range, length and Luhn's check digit.
//!
//! Source: ISO/IEC 7812; the networks' published ranges.

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{
    ALL_CHANNELS,
    checksums::{digits, luhn},
    each, has_digits, regex,
};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD030",
        name: "payment-card",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::High,
        since: "0.1",
        help: "the number was taken out; keep card data out of prompts (PCI DSS)",
        examples: &[
            // The networks' public test numbers.
            hit("My card is 4111 1111 1111 1111, valid until 12/29."),
            hit("5555-5555-5555-4444"),
            hit("amex 378282246310005"),
            hit("4222222222222"),
            miss("4111 1111 1111 1112"),
            miss("Rows: 41 11 11 11 11 11 11 11"),
            miss("4111-1111 1111-1111 mixes its marks"),
            miss("The order number is 4929 1834 0001 2345."),
            miss("1234567812345670 has a good check digit and no issuer"),
            miss("00000000000000000000"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

static CARD: LazyLock<Regex> = LazyLock::new(|| regex(r"\b[1-6](?:[ -]?\d){11,18}\b"));

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    // Twelve digits, and at most a mark after each.
    if !has_digits(look.text, 12, 24) {
        return;
    }
    each(&CARD, look.text, 95, hits, |seen| {
        let digits = digits(seen);
        is_written(seen) && is_issued(&digits) && luhn(&digits)
    });
}

/// In one piece, or in the groups that are embossed on cards.
fn is_written(seen: &str) -> bool {
    let groups: Vec<usize> = seen.split([' ', '-']).map(str::len).collect();
    let one_mark = !(seen.contains(' ') && seen.contains('-'));
    one_mark
        && matches!(
            groups.as_slice(),
            [_] | [4, 4, 4, 4] | [4, 4, 4, 4, 3] | [4, 6, 4 | 5] | [4, 4, 4]
        )
}

fn is_issued(digits: &[u32]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0, |number, d| number * 10 + d);
    match digits.len() {
        12 => matches!(prefix(4), 5018 | 5020 | 5038 | 6304),
        13 | 19 if prefix(1) == 4 => true,
        14 => matches!(prefix(3), 300..=305) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 1800 | 2131),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011 | 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763)
                || matches!(prefix(3), 644..=649)
        }
        17..=19 => prefix(2) == 62,
        _ => false,
    }
}
