//! Patterns that belong together, behind words that are cheap to look for first.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use bartizan_core::{Confidence, Span};
use regex::Regex;

use super::{phrases, regex};
use crate::{HITS_MAX, Hit};

/// Patterns each of whose matches holds one of the stems.
#[derive(Debug)]
pub(super) struct Family {
    stems: AhoCorasick,
    patterns: Vec<Regex>,
}

impl Family {
    /// INVARIANT: whatever a pattern matches holds a stem, in any ASCII case.
    pub(super) fn new<P: AsRef<str>>(stems: &[&str], patterns: &[P]) -> Self {
        let stems = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(stems);
        Self {
            stems: stems.expect("INVARIANT: a few short words make an automaton"),
            patterns: patterns.iter().map(|pattern| regex(pattern.as_ref())).collect(),
        }
    }

    /// Where the patterns match, but for phrases that are quoted to be talked about;
    /// in order, without overlaps.
    pub(super) fn find(&self, text: &str) -> Vec<Span> {
        if !self.stems.is_match(text) {
            return Vec::new();
        }
        let found = self.patterns.iter().flat_map(|pattern| pattern.find_iter(text).take(HITS_MAX));
        let mut spans: Vec<Span> = found.map(|m| Span::new(m.start(), m.end())).collect();
        spans.retain(|span| !phrases::is_quoted_example(text, *span));
        merge(&mut spans);
        spans
    }

    /// The same as hits.
    pub(super) fn inspect(&self, text: &str, percent: u8, hits: &mut Vec<Hit>) {
        let confidence = Confidence::percent(percent);
        hits.extend(self.find(text).into_iter().map(|span| Hit { span, confidence }));
    }
}

/// Sorts spans and joins those that overlap.
pub(super) fn merge(spans: &mut Vec<Span>) {
    spans.sort_unstable();
    spans.dedup_by(|next, last| {
        let overlap = next.start < last.end;
        if overlap {
            last.end = last.end.max(next.end);
        }
        overlap
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_joined_and_quotations_left_out() {
        let family = Family::new(&["drop"], &[r"drop it", r"it now", r"now\b"]);
        assert_eq!(family.find("Drop? drop it now"), [Span::new(6, 17)]);
        assert!(family.find("it now, without the stem").is_empty());
        assert!(family.find("What does the phrase \"drop it\" mean?").is_empty());
    }
}
