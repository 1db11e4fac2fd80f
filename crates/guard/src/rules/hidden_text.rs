//! Text that a person does not see and a model reads.
//!
//! Sources: The Unicode Standard, section 23.9 (tags); Boucher and Anderson, "Trojan
//! Source" (USENIX Security 2023) for bidirectional controls.

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};

use super::ALL_CHANNELS;
use crate::{Hit, Look, Needs, Rule};

/// Tag characters in a row that spell something.
const TAGS_LEAST: usize = 4;
/// Other invisible characters in a row: more than any script or emoji needs.
const RUN_LEAST: usize = 8;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD010",
        name: "hidden-text",
        refs: &["owasp-llm@2025/LLM01", "atlas@5.6/AML.T0068"],
        severity: Severity::Medium,
        since: "0.1",
        help: "the invisible characters were taken out; find out who put them there",
        examples: &[
            hit("Hello\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}"),
            hit("a\u{200b}\u{200c}\u{200b}\u{200c}\u{200b}\u{200c}\u{200b}\u{200c}\u{200b}b"),
            hit("access = \"user\u{202e} // admin\""),
            hit("x\u{fe01}\u{fe05}\u{fe02}\u{fe07}\u{fe03}\u{fe01}\u{fe02}\u{fe04}y"),
            miss("\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F} won."),
            miss("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} on the beach"),
            miss("می\u{200c}خواهم"),
            miss("soft\u{ad}hyphen"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Redact,
    channels: ALL_CHANNELS,
    views: false,
    inspect,
};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tag,
    Override,
    Other,
}

fn kind(c: char) -> Option<Kind> {
    match c {
        '\u{e0000}'..='\u{e007f}' => Some(Kind::Tag),
        '\u{202d}' | '\u{202e}' => Some(Kind::Override),
        '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{34f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}'
        | '\u{180b}'..='\u{180e}'
        | '\u{3164}' => Some(Kind::Other),
        _ => None,
    }
}

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if look.text.is_ascii() {
        return;
    }
    let mut run: Option<(Kind, usize, usize)> = None;
    let mut before = ' ';
    let mut flag = false;
    for (at, c) in look.text.char_indices().chain(std::iter::once((look.text.len(), '\n'))) {
        let now = kind(c);
        run = match (run, now) {
            (Some((kind, start, count)), Some(k)) if k == kind => Some((kind, start, count + 1)),
            (ended, now) => {
                if let Some((kind, start, count)) = ended {
                    close(kind, start, at, count, flag, hits);
                }
                // The flags of England, Scotland and Wales are a black flag with tags.
                flag = before == '\u{1f3f4}';
                now.map(|kind| (kind, at, 1))
            }
        };
        before = c;
    }
}

fn close(kind: Kind, start: usize, end: usize, count: usize, flag: bool, hits: &mut Vec<Hit>) {
    let counts = match kind {
        Kind::Tag => count >= TAGS_LEAST && !(flag && count <= 7),
        Kind::Override => true,
        Kind::Other => count >= RUN_LEAST,
    };
    if counts {
        hits.push(Hit { span: Span::new(start, end), confidence: Confidence::percent(85) });
    }
}
