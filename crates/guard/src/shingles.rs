//! Runs of words as numbers, to find a text's pieces in another.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use bartizan_core::Span;

/// Words in a run: shorter ones are anybody's.
pub(crate) const WORDS: usize = 9;
/// Runs that are remembered, of all texts together.
const SHINGLES_MAX: usize = 65_536;

/// The runs of some texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shingles(HashSet<u64>);

impl Shingles {
    pub(crate) fn of(texts: &[String]) -> Self {
        let mut set = HashSet::new();
        for text in texts {
            let words = words(text);
            set.extend(
                words.windows(WORDS).map(number).take(SHINGLES_MAX.saturating_sub(set.len())),
            );
        }
        Self(set)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, window: &[(Span, String)]) -> bool {
        self.0.contains(&number(window))
    }
}

/// The words of a text in small letters, and where they stand.
pub(crate) fn words(text: &str) -> Vec<(Span, String)> {
    let mut out = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain(std::iter::once((text.len(), ' '))) {
        match (start, c.is_alphanumeric()) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let span = Span::new(from, at);
                out.extend(span.of(text).map(|word| (span, word.to_lowercase())));
                start = None;
            }
            _ => {}
        }
    }
    out
}

fn number(window: &[(Span, String)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (_, word) in window {
        word.hash(&mut hasher);
    }
    hasher.finish()
}
