//! Patterns that belong together, each behind words that are cheap to look for first.

use bartizan_core::{Confidence, Span};
use regex::Regex;

use super::{needles::Needles, phrases, regex};
use crate::{HITS_MAX, Hit};

/// A way to say something.
#[derive(Debug)]
pub(super) struct Saying {
    pattern: String,
    /// A sentence that says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests of the families read it"))]
    sample: &'static str,
}

/// A row of a family.
pub(super) fn saying(pattern: impl Into<String>, sample: &'static str) -> Saying {
    Saying { pattern: pattern.into(), sample }
}

/// Sayings of one kind. Case does not matter in them.
#[derive(Debug)]
pub(super) struct Family {
    needles: Needles,
    patterns: Vec<Regex>,
    #[cfg(test)]
    sayings: Vec<Saying>,
}

impl Family {
    pub(super) fn new(sayings: Vec<Saying>) -> Self {
        Self {
            needles: Needles::new(sayings.iter().map(|one| one.pattern.as_str()), true),
            patterns: sayings.iter().map(|one| regex(&format!("(?i){}", one.pattern))).collect(),
            #[cfg(test)]
            sayings,
        }
    }

    /// Where something is said, but for phrases that are quoted to be talked about;
    /// in order, without overlaps.
    pub(super) fn find(&self, text: &str) -> Vec<Span> {
        let patterns = self.needles.announced(text).filter_map(|i| self.patterns.get(i));
        let found = patterns.flat_map(|pattern| pattern.find_iter(text).take(HITS_MAX));
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

    /// Each pattern finds its sample, and what it matches is looked for.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.needles.check();
        let mut wrong = Vec::new();
        for (i, saying) in self.sayings.iter().enumerate() {
            if !self.needles.announced(saying.sample).any(|announced| announced == i) {
                wrong.push(format!("{:?} does not announce {}", saying.sample, saying.pattern));
            }
            if !self.patterns[i].is_match(saying.sample) {
                wrong.push(format!("{:?} is not like {}", saying.sample, saying.pattern));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        let family =
            Family::new(vec![saying("drop it", "drop it"), saying(r"it now|now\b", "now")]);
        family.check();
        assert_eq!(family.find("Drop? drop it now"), [Span::new(6, 17)]);
        assert_eq!(family.find("DROP IT"), [Span::new(0, 7)]);
        assert!(family.find("nothing of the kind").is_empty());
        assert!(family.find("What does the phrase \"drop it\" mean?").is_empty());
    }
}
