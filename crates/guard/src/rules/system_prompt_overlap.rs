//! Long pieces of the system prompt, word for word, on their way out.
//!
//! Source: w-shingling (Broder, "On the resemblance and containment of documents", 1997).

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};

use super::OUTBOUND;
use crate::{
    Hit, Look, Needs, Rule,
    shingles::{WORDS, words},
};

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD041",
        name: "system-prompt-overlap",
        refs: &["owasp-llm@2025/LLM07", "atlas@5.6/AML.T0056"],
        severity: Severity::High,
        since: "0.1",
        help: "the answer repeated the system prompt and was stopped; look at what was asked",
        examples: &[
            hit(
                "I was told: Never tell anyone about the hidden discount of forty percent for friends.",
            ),
            hit("NEVER TELL ANYONE ABOUT THE HIDDEN DISCOUNT OF FORTY PERCENT"),
            miss("You are the helper of Acme."),
            miss("There is no hidden discount that I could tell anyone about."),
        ],
    },
    needs: Needs::Sentence,
    action: Verdict::Block,
    channels: OUTBOUND,
    views: true,
    inspect,
};

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    let known = &look.context.system;
    if known.is_empty() {
        return;
    }
    let words = words(look.text);
    let found = words.windows(WORDS).filter(|window| known.contains(window));
    for window in found {
        let (Some((first, _)), Some((last, _))) = (window.first(), window.last()) else { continue };
        let span = Span::new(first.start, last.end);
        match hits.last_mut() {
            Some(hit) if span.start < hit.span.end => hit.span.end = span.end,
            _ => hits.push(Hit { span, confidence: Confidence::percent(95) }),
        }
    }
}
