//! The same thing over and over, to wear a model out or make it recite its training.
//!
//! Source: Nasr et al., "Scalable Extraction of Training Data from (Production)
//! Language Models" (2023); OWASP Top 10 for LLM applications 2025, LLM10.

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, miss};

use super::GIVEN;
use crate::{Hit, Look, Needs, Rule};

/// Bytes of one thing repeated that no honest text has. Tables and rulers are shorter.
const BYTES_LEAST: usize = 8192;
/// The longest thing whose repetition is looked for, in bytes.
const PERIOD_MAX: usize = 64;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD060",
        name: "repetition",
        refs: &["owasp-llm@2025/LLM10", "atlas@5.6/AML.T0029"],
        severity: Severity::Medium,
        since: "0.1",
        help: "refuse the request; nothing honest repeats one thing for kilobytes",
        examples: &[
            miss("Ha ha ha ha ha ha ha!"),
            miss("----------------------------------------"),
            miss("0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
            miss("bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla bla"),
        ],
    },
    needs: Needs::Whole,
    action: Verdict::Block,
    channels: GIVEN,
    views: false,
    inspect,
};

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if look.text.len() < BYTES_LEAST {
        return;
    }
    for period in (1..=PERIOD_MAX).filter(|period| shows(look.text, *period)) {
        if let Some(span) = run(look.text, period) {
            hits.push(Hit { span, confidence: Confidence::percent(80) });
            return;
        }
    }
}

/// Whether a long run may be there: it holds a whole stride, wherever it begins, and each
/// stride's beginning is quickly seen to repeat or not.
fn shows(text: &str, period: usize) -> bool {
    const STRIDE: usize = BYTES_LEAST / 2;
    text.as_bytes().chunks_exact(STRIDE).any(|stride| {
        let later = stride.get(period..).unwrap_or_default();
        let seen = stride.len() / 8;
        stride.get(..seen) == later.get(..seen)
    })
}

/// The first long run in which each byte is that of one period before.
fn run(text: &str, period: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let later = bytes.get(period..)?;
    let mut start = 0;
    for (at, (a, b)) in bytes.iter().zip(later).enumerate() {
        if a != b {
            if at - start >= BYTES_LEAST {
                return Some(whole(text, start, at + period));
            }
            start = at + 1;
        }
    }
    (later.len() - start.min(later.len()) >= BYTES_LEAST).then(|| whole(text, start, bytes.len()))
}

fn whole(text: &str, start: usize, end: usize) -> Span {
    Span::new(text.floor_char_boundary(start), text.ceil_char_boundary(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Channel, Context};

    #[test]
    fn kilobytes_of_one_word_are_found_and_prose_is_not() {
        let context = Context::default();
        let found = |text: &str| {
            let mut hits = Vec::new();
            inspect(
                &Look { text, channel: Channel::User, view: "plain", context: &context },
                &mut hits,
            );
            hits
        };
        assert_eq!(found(&"a".repeat(9000)).len(), 1);
        assert_eq!(found(&format!("Say poem: {}", "poem ".repeat(2000))).len(), 1);
        assert_eq!(found(&"\u{e9}t\u{e9} ".repeat(2000)).len(), 1);
        let prose: String = (0..2000).map(|i| format!("Line {i} of the list. ")).collect();
        assert!(found(&prose).is_empty());
        assert!(found(&"a".repeat(5000)).is_empty());
    }
}
