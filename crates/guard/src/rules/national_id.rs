//! National numbers of persons that carry a check: a row a country.

use std::sync::LazyLock;

use bartizan_core::{Meta, Severity, Verdict, hit, miss};
use regex::Regex;

use super::{
    ALL_CHANNELS,
    checksums::{digits, luhn, mod_11_10, verhoeff, weighted},
    each, has_digits, regex,
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
            hit("National Insurance number: AB 12 34 56 C"),
            hit("Steuer-ID 36 574 261 809"),
            hit("Personnummer 811218-9876"),
            hit("numéro 1 84 12 76 451 089 46"),
            hit("身份证号 11010519491231002X"),
            hit("주민등록번호 850101-1234566"),
            hit("AHV 756.9217.0769.85"),
            hit("rijksregisternummer 85.07.30-033.28"),
            hit("hetu 131052-308T"),
            hit("fødselsnummer 010190 12480"),
            hit("RUT 12.345.678-5"),
            hit("CURP HEGG560427MVZRRL04"),
            hit("rodné číslo 736028/5163"),
            hit("NRIC S1234567D"),
            hit("CUIT 20-12345678-6"),
            hit("SIN: 046 454 286"),
            hit("NIF: 123456789"),
            hit("T.C. kimlik no 10000000146"),
            miss("身份证号 110105194912310021"),
            miss("850101-1234567"),
            miss("756.9217.0769.86"),
            miss("85.07.30-033.29"),
            miss("131052-308U"),
            miss("RUT 12.345.678-6"),
            miss("736028/5164"),
            miss("S1234567E is a part number"),
            miss("20-12345678-7"),
            miss("The parcel 046 454 286 has arrived."),
            miss("Ticket 10000000146 is closed."),
            miss("DNI 12345678A"),
            miss("CPF 111.444.777-36"),
            miss("2341 2341 2347"),
            miss("RSSMRA85T10A562T"),
            miss("The prefix GB is never given: NINO GB123456A"),
            miss("The part AB123456C fits the pump."),
            miss("12 345 678 903 euro"),
            miss("2341 2341 2346 2341"),
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
    Form { pattern: r"\b(?:\d{4} ){0,4}[2-9]\d{3} \d{4} \d{4}\b(?: \d{4}\b)?", check: india },
    // Italy, codice fiscale: D.M. 12 March 1974, check letter.
    Form { pattern: r"\b[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", check: italy },
    // United Kingdom, National Insurance number: HMRC manual NIM39110.
    Form {
        pattern: r"\b(?:(?:NINO|NI number|National Insurance(?: [Nn]umber)?)(?: is)?[: ]{1,3}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d{2} \d{2} \d{2} [A-D])\b",
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
    Form { pattern: r"\b[1-9]\d (?:\d{3}) (?:\d{3}) (?:\d{3})\b", check: germany },
    // Netherlands, BSN: eleven test, after its name.
    Form { pattern: r"(?i)\bBSN[: ]{1,3}\d{9}\b", check: netherlands },
    // Poland, PESEL: weights 1 3 7 9, after its name.
    Form { pattern: r"(?i)\bPESEL[: ]{1,3}\d{11}\b", check: poland },
    // China, resident identity card: GB 11643-1999, ISO 7064 MOD 11-2.
    Form {
        pattern: r"\b[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]\b",
        check: china,
    },
    // Korea, resident registration number: Resident Registration Act, modulo 11.
    Form { pattern: r"\b\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-[1-8]\d{6}\b", check: korea },
    // Switzerland, AHV number: BSV, EAN-13.
    Form { pattern: r"\b756\.\d{4}\.\d{4}\.\d{2}\b", check: |seen| ean(&digits(seen)) },
    // Belgium, national register number: Royal Decree of 3 April 1984, modulo 97.
    Form { pattern: r"\b\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}\b", check: belgium },
    // Finland, personal identity code: Decree 128/2010, modulo 31.
    Form {
        pattern: r"\b(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]\b",
        check: finland,
    },
    // Norway, birth number: Skatteetaten, two digits by modulo 11.
    Form { pattern: r"\b[0-7]\d(?:0[1-9]|1[0-2]|4[1-9]|5[0-2])\d{2} \d{5}\b", check: norway },
    // Chile, RUT: Servicio de Impuestos Internos, modulo 11.
    Form { pattern: r"\b\d{1,2}\.\d{3}\.\d{3}-[\dkK]\b", check: chile },
    // Mexico, CURP: RENAPO, Diario Oficial 23 October 1996, weights 18 to 2.
    Form {
        pattern: r"\b[A-Z][AEIOUX][A-Z]{2}\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[HMX][A-Z]{5}[A-Z0-9]\d\b",
        check: mexico,
    },
    // Czechia and Slovakia, birth number: Act 133/2000, divisible by 11.
    Form {
        pattern: r"\b\d{2}(?:[05][1-9]|[1267][0-2]|[27]\d|[38][0-2])(?:0[1-9]|[12]\d|3[01])/\d{4}\b",
        check: |seen| number(seen).is_some_and(|n| n % 11 == 0),
    },
    // Singapore, NRIC and FIN: National Registration Act, letter by modulo 11.
    Form { pattern: r"\b[STFG]\d{7}[A-Z]\b", check: singapore },
    // Argentina, CUIT and CUIL: AFIP, modulo 11.
    Form { pattern: r"\b(?:20|23|24|27)-\d{8}-\d\b", check: argentina },
    // Canada, social insurance number: Service Canada, Luhn, after its name.
    Form {
        pattern: r"(?i)\b(?:SIN|NAS|social\s+insurance(?:\s+number)?)[: #]{1,3}\d{3}[ -]?\d{3}[ -]?\d{3}\b",
        check: |seen| luhn(&digits(seen)),
    },
    // Portugal, NIF: Autoridade Tributaria, modulo 11, after its name.
    Form { pattern: r"(?i)\b(?:NIF|contribuinte)[: ]{1,3}\d{9}\b", check: portugal },
    // Turkey, identity number: NVI, two digits by modulo 10, after its name.
    Form {
        pattern: r"(?i)\b(?:T\.?C\.?(?: kimlik)?(?: no)?|kimlik(?: no| numaras.)?)[: ]{1,3}[1-9]\d{10}\b",
        check: turkey,
    },
];

/// INVARIANT: every form has six digits within 16 bytes.
const DIGITS_LEAST: usize = 6;
const DIGITS_WITHIN: usize = 16;

static COMPILED: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMS.iter().map(|form| regex(form.pattern)).collect());

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if !has_digits(look.text, DIGITS_LEAST, DIGITS_WITHIN) {
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

/// Twelve digits in groups; of longer rows of groups it is no part.
fn india(seen: &str) -> bool {
    seen.len() == 14 && verhoeff(&digits(seen))
}

/// Of the first ten digits exactly one stands two or three times.
fn germany(seen: &str) -> bool {
    let d = digits(seen);
    let times = |digit: u32| d.iter().take(10).filter(|d| **d == digit).count();
    let repeated: Vec<usize> = (0..10).map(times).filter(|times| *times > 1).collect();
    matches!(repeated.as_slice(), [2 | 3]) && mod_11_10(&d)
}

fn britain(seen: &str) -> bool {
    let letters = seen
        .split_at_checked(seen.find(|c: char| c.is_ascii_digit()).unwrap_or(0))
        .map_or("", |(head, _)| head.trim_end());
    !["BG", "GB", "NK", "KN", "TN", "NT", "ZZ"].iter().any(|never| letters.ends_with(never))
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

/// The digits as one number.
fn number(seen: &str) -> Option<u64> {
    seen.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn china(seen: &str) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let body = seen.get(..17).unwrap_or_default();
    let rest = usize::try_from(weighted(&digits(body), &WEIGHTS) % 11).unwrap_or(0);
    "10X98765432".chars().nth(rest) == seen.to_ascii_uppercase().chars().last()
}

fn korea(seen: &str) -> bool {
    let d = digits(seen);
    let sum = weighted(&d, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    d.last() == Some(&((11 - sum % 11) % 10))
}

/// GS1 General Specifications, section 7.9.
fn ean(d: &[u32]) -> bool {
    weighted(d, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

fn belgium(seen: &str) -> bool {
    let Some(all) = number(seen) else { return false };
    let (body, key) = (all / 100, all % 100);
    // Who was born after 1999 has a 2 before the number that is checked.
    key == 97 - body % 97 || key == 97 - (body + 2_000_000_000) % 97
}

fn finland(seen: &str) -> bool {
    const LETTERS: &str = "0123456789ABCDEFHJKLMNPRSTUVWXY";
    let Some((body, check)) =
        seen.char_indices().next_back().and_then(|(at, c)| Some((seen.get(..at)?, c)))
    else {
        return false;
    };
    let body: String = body.char_indices().filter(|(at, _)| *at != 6).map(|(_, c)| c).collect();
    let rest = number(&body).and_then(|n| usize::try_from(n % 31).ok());
    rest.and_then(|rest| LETTERS.chars().nth(rest)) == Some(check)
}

fn norway(seen: &str) -> bool {
    let d = digits(seen);
    weighted(&d, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

fn chile(seen: &str) -> bool {
    let Some((body, check)) = seen.split_once('-') else { return false };
    let backwards: Vec<u32> = digits(body).into_iter().rev().collect();
    let rest = 11 - weighted(&backwards, &[2, 3, 4, 5, 6, 7, 2, 3]) % 11;
    let expected = match rest {
        11 => '0',
        10 => 'K',
        digit => char::from_digit(digit, 10).unwrap_or('0'),
    };
    check.to_ascii_uppercase().starts_with(expected)
}

fn mexico(seen: &str) -> bool {
    const VALUES: &str = "0123456789ABCDEFGHIJKLMN\u{d1}OPQRSTUVWXYZ";
    let value = |c: char| {
        VALUES.chars().position(|v| v == c).and_then(|v| u32::try_from(v).ok()).unwrap_or(0)
    };
    let sum: u32 =
        seen.chars().take(17).zip((2..=18).rev()).map(|(c, weight)| value(c) * weight).sum();
    seen.chars().last().and_then(|c| c.to_digit(10)) == Some((10 - sum % 10) % 10)
}

fn singapore(seen: &str) -> bool {
    let sum = weighted(&digits(seen), &[2, 7, 6, 5, 4, 3, 2]);
    let (letters, more) = match seen.chars().next() {
        Some('S') => ("JZIHGFEDCBA", 0),
        Some('T') => ("JZIHGFEDCBA", 4),
        Some('F') => ("XWUTRQPNMLK", 0),
        _ => ("XWUTRQPNMLK", 4),
    };
    let rest = usize::try_from((sum + more) % 11).unwrap_or(0);
    letters.chars().nth(rest) == seen.chars().last()
}

fn argentina(seen: &str) -> bool {
    let d = digits(seen);
    let rest = 11 - weighted(&d, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    d.last() == Some(&(if rest == 11 { 0 } else { rest }))
}

fn portugal(seen: &str) -> bool {
    let d = digits(seen);
    let rest = 11 - weighted(&d, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    d.last() == Some(&(if rest > 9 { 0 } else { rest }))
}

fn turkey(seen: &str) -> bool {
    let d = digits(seen);
    let odd = weighted(&d, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(&d, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let tenth = (odd * 7 + 90 - even) % 10;
    let sum: u32 = d.iter().take(10).sum();
    d.get(9) == Some(&tenth) && d.get(10) == Some(&(sum % 10))
}
