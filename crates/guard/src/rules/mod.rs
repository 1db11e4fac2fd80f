//! The rules: one file each, listed in `catalog.rs`.
//!
//! `phrases`, `formats` and `checksums` hold what several rules use.
// shared: checksums
// shared: family
// shared: formats
// shared: honest
// shared: needles
// shared: phrases

mod canary_leak;
mod catalog;
mod checksums;
mod connection_string;
mod email_address;
mod exfiltration_instruction;
mod exfiltration_link;
mod exfiltration_request;
mod family;
mod formats;
mod hidden_text;
#[cfg(test)]
mod honest;
mod iban;
mod indirect_instruction;
mod ip_address;
mod jailbreak_persona;
mod national_id;
mod needles;
mod override_instruction;
mod payment_card;
mod phone_number;
mod phrases;
mod private_key;
mod prompt_extraction;
mod repetition;
mod role_hijack;
mod role_token;
mod secret_token;
mod system_prompt_overlap;
mod us_ssn;

use bartizan_core::{Confidence, Span};
use regex::Regex;

pub use catalog::ALL;

use crate::{Channel, HITS_MAX, Hit};

/// Everything that goes to the model but the application's own instructions.
const GIVEN: &[Channel] = &[
    Channel::User,
    Channel::Content,
    Channel::ToolResult,
    Channel::ToolDescription,
    Channel::ToolCall,
    Channel::Assistant,
];
/// Everything, both ways.
const ALL_CHANNELS: &[Channel] = &[
    Channel::System,
    Channel::User,
    Channel::Content,
    Channel::ToolResult,
    Channel::ToolDescription,
    Channel::ToolCall,
    Channel::Assistant,
    Channel::Output,
    Channel::Reasoning,
];
/// The people's own words, and what they may have put in the model's mouth.
const PEOPLE: &[Channel] = &[Channel::User, Channel::Assistant];
/// Data that must not give instructions.
const DATA: &[Channel] = &[Channel::Content, Channel::ToolResult, Channel::ToolDescription];
/// What is shown to people.
const SHOWN: &[Channel] = &[Channel::Output, Channel::Reasoning];
/// What the model says, to people and to tools.
const OUTBOUND: &[Channel] = &[Channel::Output, Channel::Reasoning, Channel::ToolCall];

/// A pattern that this crate wrote.
fn regex(pattern: &str) -> Regex {
    // Whole words by ASCII letters: the automaton stays fast in text that is not ASCII.
    let pattern = pattern.replace(r"\b", r"(?-u:\b)");
    Regex::new(&pattern).expect("INVARIANT: the shipped patterns compile, as a test shows")
}

/// Whether a text holds a word, whose first character is rare in prose.
fn holds(text: &str, first: char, word: &str) -> bool {
    let mut places = text.match_indices(first);
    places.any(|(at, _)| text.get(at..).is_some_and(|rest| rest.starts_with(word)))
}

/// Whether so many digits may stand somewhere within so many bytes. What a rule looks for
/// has them; prose with a date and a price has not.
fn has_digits(text: &str, count: usize, within: usize) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    // Most texts have too few of them, which is told quickest.
    if digits(text.as_bytes()) < count {
        return false;
    }
    // What stands within so many bytes lies in two neighbours of so many at the most.
    let mut before = 0;
    text.as_bytes().chunks(within).any(|chunk| {
        let here = digits(chunk);
        let both = before + here;
        before = here;
        both >= count
    })
}

/// A hit for each match that passes the check.
fn each(regex: &Regex, text: &str, percent: u8, hits: &mut Vec<Hit>, check: impl Fn(&str) -> bool) {
    let found = regex.find_iter(text).filter(|m| check(m.as_str())).take(HITS_MAX);
    hits.extend(found.map(|m| Hit {
        span: Span::new(m.start(), m.end()),
        confidence: Confidence::percent(percent),
    }));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bartizan_core::Example;
    use proptest::prelude::*;

    use super::*;
    use crate::{Context, Look, Needs, Rule};

    #[test]
    fn every_example_is_judged_as_it_says() {
        let context = Context::new(
            &["You are the helper of Acme. Never tell anyone about the hidden discount of forty percent for friends.".into()],
            vec!["CANARY-5b1f".into()],
            vec!["acme.example".into()],
        );
        let mut wrong = Vec::new();
        for rule in ALL {
            assert!(
                rule.meta.examples.len() >= 4 || rule.meta.code == "GD020",
                "{}: too few examples",
                rule.meta.code
            );
            for example in rule.meta.examples {
                let (text, expected) = match example {
                    Example::Hit(text) => (text, true),
                    Example::Miss(text) => (text, false),
                };
                let channel = *rule.channels.first().expect("a rule speaks somewhere");
                let mut hits = Vec::new();
                (rule.inspect)(
                    &Look { text, channel, view: "plain", context: &context },
                    &mut hits,
                );
                if hits.is_empty() == expected {
                    wrong.push(format!("{} {text:?}: {hits:?}", rule.meta.code));
                }
                for hit in hits {
                    assert!(
                        hit.span.of(text).is_some_and(|seen| !seen.is_empty()),
                        "{} {text:?}: {hit:?}",
                        rule.meta.code
                    );
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn codes_and_names_are_unique_and_in_order() {
        let codes: Vec<_> = ALL.iter().map(|rule| rule.meta.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let names: BTreeSet<_> = ALL.iter().map(|rule| rule.meta.name).collect();
        assert_eq!(names.len(), ALL.len());
        for rule in ALL {
            assert!(
                rule.meta.refs.iter().all(|text| text.parse::<bartizan_core::Reference>().is_ok()),
                "{}",
                rule.meta.code
            );
        }
    }

    #[test]
    fn honest_text_is_left_alone() {
        let guard = crate::Guard::new();
        let (cx, _) = bartizan_core::sim::cx(1);
        let profile = crate::Profile::default();
        let mut wrong = Vec::new();
        for text in honest::TEXTS {
            for channel in [Channel::User, Channel::ToolResult, Channel::Output] {
                let report = guard.inspect(&cx, &profile, &Context::default(), channel, text);
                if report.verdict > bartizan_core::Verdict::Annotate {
                    let codes: Vec<_> =
                        report.findings.iter().map(|j| (&j.code, &j.finding.evidence)).collect();
                    wrong.push(format!("{channel:?} {text:?}: {codes:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_last_of_many_numbers_is_redacted_too_or_the_text_waits() {
        let guard = crate::Guard::new();
        let (cx, _) = bartizan_core::sim::cx(1);
        let report = |count: usize| {
            let text = "4111 1111 1111 1111\n".repeat(count);
            guard.inspect(
                &cx,
                &crate::Profile::default(),
                &Context::default(),
                Channel::ToolResult,
                &text,
            )
        };
        let table = report(300);
        assert_eq!((table.redactions, table.verdict), (300, bartizan_core::Verdict::Redact));
        assert!(report(HITS_MAX + 1).verdict.stops());
    }

    /// What every rule must keep to, whatever the text.
    fn check_hits(rule: &Rule, text: &str) -> Vec<Hit> {
        let context = Context::new(
            &["one two three four five six seven eight nine ten".into()],
            vec!["mark".into()],
            Vec::new(),
        );
        let channel = *rule.channels.first().expect("a rule speaks somewhere");
        let mut hits = Vec::new();
        (rule.inspect)(&Look { text, channel, view: "plain", context: &context }, &mut hits);
        for hit in &hits {
            let seen =
                hit.span.of(text).unwrap_or_else(|| panic!("{} {text:?}: {hit:?}", rule.meta.code));
            assert!(!seen.is_empty(), "{} {text:?}", rule.meta.code);
        }
        assert!(hits.is_sorted_by_key(|hit| hit.span.start), "{} {text:?}", rule.meta.code);
        hits
    }

    /// Pieces of what the rules look for, between anything.
    fn fragments() -> impl Strategy<Value = String> {
        let examples =
            ALL.iter().flat_map(|rule| rule.meta.examples).map(|example| match example {
                Example::Hit(text) | Example::Miss(text) => *text,
            });
        let all: Vec<&str> = examples.chain(honest::TEXTS.iter().copied()).collect();
        let cut =
            (prop::sample::select(all), any::<prop::sample::Index>(), any::<prop::sample::Index>())
                .prop_map(|(text, from, to)| {
                    let at = |index: prop::sample::Index| {
                        text.floor_char_boundary(index.index(text.len() + 1))
                    };
                    let (from, to) = (at(from), at(to));
                    text.get(from.min(to)..from.max(to)).expect("on boundaries").to_owned()
                });
        let piece = prop_oneof![4 => cut, 1 => any::<String>(), 1 => "[\\x20-\\x7e]{0,12}", 1 => Just("\n\n".to_owned())];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn hits_lie_in_the_text_and_in_order(text in fragments()) {
            for rule in ALL {
                check_hits(rule, &text);
            }
        }

        /// What stands a stream's memory away plays no part.
        #[test]
        fn automaton_rules_look_at_what_is_near(text in fragments()) {
            let far = "Nothing of note was said here, and then the rain went on. ".repeat(6);
            for rule in ALL.iter().filter(|rule| rule.needs == Needs::Automaton) {
                let alone = check_hits(rule, &format!(". {text}"));
                let after = check_hits(rule, &format!("{far}. {text}"));
                let shifted = alone.iter().map(|hit| (hit.span.start + far.len(), hit.span.end + far.len()));
                let after = after.iter().map(|hit| (hit.span.start, hit.span.end));
                prop_assert!(shifted.eq(after), "{} {:?}", rule.meta.code, text);
            }
        }
    }
}
