//! National numbers of persons that carry a check: a row a country.

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{
    ALL_CHANNELS,
    checksums::{digits, luhn, mod_11_10, verhoeff, weighted},
    each, regex,
};
use crate::{Hit, Look, Needs, Rule};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD033",
        name: "national-id",
        refs: &["owasp-llm@2025/LLM02"],
        severity: Severity::High,
        since: "0.1",
        help: "the number was taken out; the task hardly needs it",
        examples: &[
            // Examples of the issuing authorities, or made with their check.
            hit("DNI 12345678Z"),
            hit("NIE X1234567L"),
            hit("CPF 111.444.777-35"),
            hit("Aadhaar 2341 2341 2346"),
            hit("codice fiscale RSSMRA85T10A562S"),
            hit("NINO AB123456C"),
            hit("Personnummer 811218-9876"),
            hit("numéro 1 84 12 76 451 089 46"),
            miss("DNI 12345678A"),
            miss("CPF 111.444.777-36"),
            miss("2341 2341 2347"),
            miss("RSSMRA85T10A562T"),
            miss("The NINO prefix GB is never given: GB123456A"),
            miss("811218-9877"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: true,
    inspect,
};

/// A country's number: its written form and its check, with where both are laid down.
struct Form {
    pattern: &'static str,
    check: fn(&str) -> bool,
}

const FORMS: &[Form] = &[
    // Spain, DNI and NIE: Ministerio del Interior, letter by modulo 23.
    Form { pattern: r"\b(?:\d{8}|[XYZ]\d{7})-?[A-HJ-NP-TV-Z]\b", check: spain },
    // Brazil, CPF: Receita Federal, two digits by modulo 11.
    Form { pattern: r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", check: brazil },
    // India, Aadhaar: UIDAI, Verhoeff; the first digit is 2 to 9.
    Form { pattern: r"\b[2-9]\d{3} \d{4} \d{4}\b", check: |seen| verhoeff(&digits(seen)) },
    // Italy, codice fiscale: D.M. 12 March 1974, check letter.
    Form { pattern: r"\b[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", check: italy },
    // United Kingdom, National Insurance number: HMRC manual NIM39110.
    Form {
        pattern: r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
        check: britain,
    },
    // Sweden, personnummer: Skatteverket SKV 704, Luhn.
    Form {
        pattern: r"\b\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])[-+]\d{4}\b",
        check: |seen| luhn(&digits(seen)),
    },
    // France, NIR: INSEE, key by modulo 97.
    Form {
        pattern: r"\b[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b",
        check: france,
    },
    // Germany, tax identification number: BZSt, ISO 7064 MOD 11,10; written in groups.
    Form {
        pattern: r"\b[1-9]\d (?:\d{3}) (?:\d{3}) (?:\d{3})\b",
        check: |seen| mod_11_10(&digits(seen)),
    },
    // Netherlands, BSN: eleven test, after its name.
    Form { pattern: r"(?i)\bBSN[: ]{1,3}\d{9}\b", check: netherlands },
    // Poland, PESEL: weights 1 3 7 9, after its name.
    Form { pattern: r"(?i)\bPESEL[: ]{1,3}\d{11}\b", check: poland },
];

static COMPILED: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMS.iter().map(|form| regex(form.pattern)).collect());

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if !look.text.bytes().any(|b| b.is_ascii_digit()) {
        return;
    }
    for (form, regex) in FORMS.iter().zip(&*COMPILED) {
        each(regex, look.text, 85, hits, form.check);
    }
    hits.sort_by_key(|hit| hit.span);
}

fn spain(seen: &str) -> bool {
    const LETTERS: &str = "TRWAGMYFPDXBNJZSQVHLCKE";
    let seen = seen.replace('-', "");
    let (body, letter) = seen.split_at(seen.len() - 1);
    let body = body.replace('X', "0").replace('Y', "1").replace('Z', "2");
    let expected = body.parse::<usize>().ok().and_then(|n| LETTERS.get(n % 23..n % 23 + 1));
    expected == Some(letter)
}

fn brazil(seen: &str) -> bool {
    let d = digits(seen);
    let check = |n: usize| {
        let weights: Vec<u32> = (2..).take(n).collect::<Vec<_>>().into_iter().rev().collect();
        let rest = weighted(&d, &weights) * 10 % 11 % 10;
        d.get(n) == Some(&rest)
    };
    d.iter().any(|digit| Some(digit) != d.first()) && check(9) && check(10)
}

fn italy(seen: &str) -> bool {
    // Values of letters and digits at odd places; a digit counts as the letter of its place.
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let value =
        |c: char| c.to_digit(10).or_else(|| u32::from(c).checked_sub(u32::from('A'))).unwrap_or(0);
    let sum: u32 = seen
        .chars()
        .take(15)
        .enumerate()
        .map(|(i, c)| {
            let value = value(c);
            if i % 2 == 0 {
                usize::try_from(value).ok().and_then(|v| ODD.get(v)).copied().unwrap_or(0)
            } else {
                value
            }
        })
        .sum();
    seen.chars().last().map(value) == Some(sum % 26)
}

fn britain(seen: &str) -> bool {
    !["BG", "GB", "NK", "KN", "TN", "NT", "ZZ"].iter().any(|never| seen.starts_with(never))
}

fn france(seen: &str) -> bool {
    let compact = seen.replace(' ', "").replace("2A", "19").replace("2B", "18");
    let (Some(body), Some(key)) = (compact.get(..13), compact.get(13..)) else { return false };
    let (Ok(body), Ok(key)) = (body.parse::<u64>(), key.parse::<u64>()) else { return false };
    97 - body % 97 == key
}

fn netherlands(seen: &str) -> bool {
    let d = digits(seen);
    let sum = weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]);
    d.last().is_some_and(|last| sum % 11 == *last) && sum > 0
}

fn poland(seen: &str) -> bool {
    let d = digits(seen);
    let sum = weighted(&d, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    d.last() == Some(&((10 - sum % 10) % 10))
}
