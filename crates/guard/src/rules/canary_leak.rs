//! A mark planted in a system prompt, seen on its way out.

use bartizan_core::{Confidence, Meta, Severity, Span, Verdict, hit, miss};

use super::OUTBOUND;
use crate::{HITS_MAX, Hit, Look, Needs, Rule};

/// Shorter marks would be found everywhere.
const LEAST: usize = 4;

pub(super) const RULE: Rule = Rule {
    meta: Meta {
        code: "GD040",
        name: "canary-leak",
        refs: &["owasp-llm@2025/LLM07", "atlas@5.6/AML.T0056"],
        severity: Severity::High,
        since: "0.1",
        help: "the answer gave the system prompt away and was stopped; look at what was asked",
        examples: &[
            hit("My instructions begin with CANARY-5b1f and then go on."),
            hit("canary-5B1F"),
            miss("My instructions are to be helpful."),
            miss("CANARY-5b1"),
        ],
    },
    needs: Needs::Automaton,
    action: Verdict::Block,
    channels: OUTBOUND,
    views: true,
    inspect,
};

fn inspect(look: &Look<'_>, hits: &mut Vec<Hit>) {
    if look.context.canaries.is_empty() {
        return;
    }
    // In ASCII only, so that places in it are places in the text.
    let text = look.text.to_ascii_lowercase();
    for canary in look.context.canaries.iter().filter(|canary| canary.len() >= LEAST) {
        let canary = canary.to_ascii_lowercase();
        let found = text.match_indices(&canary).take(HITS_MAX);
        hits.extend(found.map(|(at, seen)| Hit {
            span: Span::new(at, at + seen.len()),
            confidence: Confidence::CERTAIN,
        }));
    }
    hits.sort_by_key(|hit| hit.span);
}
