//! The known word nearest to one that is not known: for messages about typing slips.

/// LIMIT: longer words are not compared; the table below grows with their product.
const WORD_BYTES_MAX: usize = 128;

/// The candidate that takes the fewest edits to become, where those are few
/// enough (a third of the word, at least two) for a slip to be likely.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let most = (word.chars().count() / 3).max(2);
    let scored = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let best =
        scored.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance);
    best.map(|(_, candidate)| candidate)
}

/// Edits that turn one into the other: insertions, deletions, replacements (V. Levenshtein, 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(WORD_BYTES_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.windows(2)) {
            let [diagonal, above] = above else { continue };
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_textbook_ones() {
        for (a, b, expected) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("flaw", "lawn", 2),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let known = ["listen", "tls", "body_bytes_max"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("body_byte_max", known), Some("body_bytes_max"));
        assert_eq!(nearest("nonsense", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
    }
}
