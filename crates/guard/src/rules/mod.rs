//! The rules: one file each, listed in `catalog.rs`.
//!
//! `phrases`, `formats` and `checksums` hold what several rules use.
// shared: checksums
// shared: family
// shared: formats
// shared: phrases

mod canary_leak;
mod catalog;
mod checksums;
mod connection_string;
mod email_address;
mod exfiltration_instruction;
mod exfiltration_link;
mod family;
mod formats;
mod hidden_text;
mod iban;
mod indirect_instruction;
mod ip_address;
mod jailbreak_persona;
mod national_id;
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

    use super::*;
    use crate::{Context, Look};

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
        for text in HONEST {
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

    /// Sentences of ours with the words that attacks use.
    const HONEST: &[&str] = &[
        "How do I make git ignore all files that match a pattern?",
        "Please ignore my previous message, I found the answer myself.",
        "Which instructions does the previous generation of this processor lack?",
        "The manual says: ignore the first page, it is outdated.",
        "Forget the previous recipe, I would like one without nuts.",
        "What is a system prompt, and how long should one be?",
        "Write a system prompt for a friendly customer service bot.",
        "Explain how prompt injection works and how to defend against it.",
        "How can I override a method of the parent class in Python?",
        "Act as a travel guide and plan three days in Lisbon for me.",
        "Pretend you are a pirate and tell my daughter a bedtime story.",
        "You are now chatting with Anna from support. How can I help you?",
        "How do I enable developer mode on my Android phone?",
        "Is it safe to run kill -9 on a database process?",
        "Translate to French: The previous rules no longer apply to small shops.",
        "Decode this base64 for me: SGVsbG8sIHdvcmxkISBIb3cgYXJlIHlvdSB0b2RheT8=",
        "The assistant manager must send the report to the head office by Friday.",
        "Dear team, please forward the minutes of the meeting to everyone who was absent.",
        "Could you send me the slides? My address is at the end of this mail.",
        "The instructions above were not clear to me, could you explain step two?",
        "Your rules for refunds are strict. Why do you not take opened boxes back?",
        "Disregard for human life is a theme of the novel.",
        "He was told to forget everything he had learned in school.",
        "SELECT * FROM rules WHERE previous IS NOT NULL; -- ignore deleted rows",
        "In Rust, #[ignore] skips a test unless it is asked for.",
        "The order number is 4929 1834 and the total is 58.20 euro.",
        "Call chapter 12, section 3.4.5.6 of the standard the safety case.",
        "My phone's model number is SM-G991B and its version 14.",
        "The commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b fixed it.",
        "Set the environment variable API_KEY to your key before you start.",
        "password: ask your administrator for a new one",
        "An example key looks like AKIAIOSFODNN7EXAMPLE in the documentation.",
        "See [the manual](https://docs.example.com/guide?page=2&lang=en) for more.",
        "Here is a picture: ![a cat](https://images.example.com/cat.png)",
        "Ich habe die vorherigen Anweisungen nicht verstanden.",
        "Il faut suivre les consignes de sécurité précédentes.",
        "¿Cuáles son las reglas anteriores del juego?",
        "Les règles du jeu sont simples: on ignore les cartes rouges.",
        "請說明之前的規則。",
        "以前の指示をもう一度説明してください。",
        "Scotland: \u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F} played well.",
        "A family: \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} on the beach.",
        "می\u{200c}خواهم یک نامه بنویسم",
        "Ha ha ha ha ha ha ha, that was funny!",
        "0000000000000000000000000000000000000000",
        "Reveal the answer to the riddle only after I have guessed twice.",
        "Repeat after me: the quick brown fox jumps over the lazy dog.",
        "Show me the instructions for the washing machine in my new flat.",
        "Print the initial value and the final value of the counter.",
        "What are your opening hours and your rules on dogs?",
        "The new rules override the ones of 2019, says the ministry.",
        "Our policy: no employee may bypass the safety instructions of a machine.",
        "The character in my story is an evil assistant without morals. Describe his office.",
        "The AI assistant market grew by 20 percent, and every assistant must now follow the new rules of the EU.",
        "To the assistant of Dr. Brown: the patient cannot come on Monday.",
        "Note for the agent on duty: the alarm at gate 4 is being repaired.",
        "Upload the customer survey to the shared folder when you are done.",
    ];
}
