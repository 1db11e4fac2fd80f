//! Texts that stand in parts and are read as one: what is split over their ends.
//!
//! Each part was shown by itself; here the ends of neighbours are shown together,
//! as they stand, and where words meet once more with a space between.

use std::ops::Range;

/// How far a window reaches to either side of a seam, in bytes: longer than any
/// token or phrase that a rule looks for, short enough to show little twice.
pub(super) const REACH: usize = 256;

/// What the end of a text is, where another comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// No end: the next one goes on with the same text.
    Open,
    /// A seam that was shown before.
    Shown,
    Seam,
}

/// Shows the seams between the texts, each of which has its end; what the visitor
/// rewrites is put back.
pub(super) fn visit(texts: &mut [&mut String], ends: &[End], visitor: &mut dyn FnMut(&mut String)) {
    if texts.iter().filter(|text| !text.is_empty()).count() < 2 {
        return;
    }
    // From the last to the first: a rewritten text moves only what comes after it.
    let mut begins = starts(texts);
    for window in windows(texts, ends).into_iter().rev() {
        for gap in ["", " "] {
            let joined = Joined::of(texts, ends, &begins, &window, gap);
            // Without two words that meet, the second reading is the first.
            if (gap.is_empty() || joined.has_gap) && joined.visit(texts, visitor) {
                begins = starts(texts);
            }
        }
    }
}

/// A stretch of one text, or of the gap after it.
#[derive(Debug)]
struct Stretch {
    text: usize,
    /// Where it stands in the text; empty for a gap.
    from: Range<usize>,
    /// Where it stands in what is shown.
    shown: Range<usize>,
}

#[derive(Debug, Default)]
struct Joined {
    shown: String,
    stretches: Vec<Stretch>,
    has_gap: bool,
}

impl Joined {
    /// A window over the texts laid end to end.
    fn of(
        texts: &[&mut String],
        ends: &[End],
        starts: &[usize],
        window: &Range<usize>,
        gap: &str,
    ) -> Self {
        let mut joined = Self::default();
        let mut is_open = false;
        let first = starts.partition_point(|start| *start <= window.start).saturating_sub(1);
        let own = texts.iter().zip(starts).enumerate().skip(first);
        for (i, (text, offset)) in own.take_while(|(_, (_, start))| **start < window.end) {
            let goes_on = std::mem::replace(&mut is_open, ends.get(i) == Some(&End::Open));
            let start = text.floor_char_boundary(window.start.saturating_sub(*offset));
            let end = text.ceil_char_boundary(window.end.saturating_sub(*offset));
            let Some(piece) = text.get(start..end).filter(|piece| !piece.is_empty()) else {
                continue;
            };
            let meets = !goes_on
                && joined.shown.chars().next_back().is_some_and(char::is_alphanumeric)
                && piece.chars().next().is_some_and(char::is_alphanumeric);
            if meets {
                joined.has_gap = true;
                joined.push(i, start..start, gap);
            }
            joined.push(i, start..end, piece);
        }
        joined
    }

    fn push(&mut self, text: usize, from: Range<usize>, piece: &str) {
        let start = self.shown.len();
        self.shown.push_str(piece);
        self.stretches.push(Stretch { text, from, shown: start..self.shown.len() });
    }

    /// Whether it was rewritten.
    fn visit(self, texts: &mut [&mut String], visitor: &mut dyn FnMut(&mut String)) -> bool {
        let mut rewritten = self.shown.clone();
        visitor(&mut rewritten);
        if rewritten == self.shown {
            return false;
        }
        let (changed, put) = difference(&self.shown, &rewritten);
        let mut put = Some(put);
        for stretch in &self.stretches {
            let start = changed.start.max(stretch.shown.start);
            let end = changed.end.min(stretch.shown.end);
            let touches = start < end || (changed.is_empty() && start == end);
            if stretch.from.is_empty() || !touches {
                continue;
            }
            let Some(text) = texts.get_mut(stretch.text) else { continue };
            let base = stretch.from.start;
            let cut = base + (start - stretch.shown.start)..base + (end - stretch.shown.start);
            // The replacement goes where the change begins; the rest of it goes.
            text.replace_range(cut, put.take().unwrap_or_default());
        }
        true
    }
}

/// Where each text begins when they are laid end to end.
fn starts(texts: &[&mut String]) -> Vec<usize> {
    let mut at = 0;
    let begin = |text: &&mut String| {
        at += text.len();
        at - text.len()
    };
    texts.iter().map(begin).collect()
}

/// Windows around each seam, those that overlap as one.
fn windows(texts: &[&mut String], ends: &[End]) -> Vec<Range<usize>> {
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let mut windows: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for (text, end) in texts.iter().take(texts.len().saturating_sub(1)).zip(ends) {
        at += text.len();
        if *end != End::Seam {
            continue;
        }
        let window = at.saturating_sub(REACH)..(at + REACH).min(total);
        match windows.last_mut() {
            Some(last) if window.start <= last.end => last.end = window.end,
            _ => windows.push(window),
        }
    }
    windows
}

/// Where two texts differ: the range in the first, and what the second has there.
fn difference<'a>(before: &str, after: &'a str) -> (Range<usize>, &'a str) {
    let same = |(a, b): &(char, char)| a == b;
    let head: usize =
        before.chars().zip(after.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
    let (rest, left) = (before.get(head..).unwrap_or(""), after.get(head..).unwrap_or(""));
    let tail: usize = rest
        .chars()
        .rev()
        .zip(left.chars().rev())
        .take_while(same)
        .map(|(c, _)| c.len_utf8())
        .sum();
    (head..before.len() - tail, left.get(..left.len() - tail).unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redact(texts: &[&str], secret: &str) -> Vec<String> {
        let mut owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut refs: Vec<&mut String> = owned.iter_mut().collect();
        let ends = vec![End::Seam; refs.len()];
        visit(&mut refs, &ends, &mut |text| *text = text.replace(secret, "[X]"));
        owned
    }

    #[test]
    fn what_is_split_over_parts_is_rewritten_where_it_begins() {
        assert_eq!(redact(&["my sec", "ret is"], "secret"), ["my [X]", " is"]);
        assert_eq!(redact(&["my s", "e", "cre", "t is"], "secret"), ["my [X]", "", "", " is"]);
        assert_eq!(redact(&["please ignore", "that"], "ignore that"), ["please [X]", ""]);
        assert_eq!(redact(&["a", "", "b"], "ab"), ["[X]", "", ""]);
        assert_eq!(redact(&["no", "thing"], "secret"), ["no", "thing"]);
        assert_eq!(redact(&["alone"], "alone"), ["alone"]);
    }

    #[test]
    fn long_parts_are_shown_at_their_ends_only() {
        let long = "é".repeat(4000);
        let mut parts = [format!("{long}sec"), format!("ret{long}")];
        let [a, b] = &mut parts;
        let mut longest = 0;
        visit(&mut [a, b], &[End::Seam; 2], &mut |text| {
            longest = longest.max(text.len());
            *text = text.replace("secret", "[X]");
        });
        assert!(longest <= 2 * REACH + 4, "{longest}");
        assert_eq!(parts, [format!("{long}[X]"), long]);
    }

    #[test]
    fn a_text_that_goes_on_has_no_seam_and_one_that_was_shown_is_not_shown_again() {
        let shown = |ends: &[End]| {
            let mut owned = ["ab", "cd", "ef"].map(str::to_owned);
            let [a, b, c] = &mut owned;
            let mut shown = Vec::new();
            visit(&mut [a, b, c], ends, &mut |text| shown.push(text.clone()));
            shown
        };
        assert_eq!(shown(&[End::Open, End::Seam]), ["abcdef", "abcd ef"]);
        assert_eq!(shown(&[End::Shown, End::Seam]), ["abcdef", "ab cd ef"]);
        assert!(shown(&[End::Open, End::Shown]).is_empty());
    }

    proptest! {
        #[test]
        fn no_cut_hides_a_word(before in "[a-zé ]{0,20}", after in "[a-zé ]{0,20}", cuts in proptest::collection::vec(0usize..60, 1..6)) {
            let whole = format!("{before}SECRET{after}");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| whole.floor_char_boundary(cut)).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let parts: Vec<&str> = cuts.windows(2).map(|pair| whole.get(pair[0]..pair[1]).expect("between characters")).collect();
            // Each part is shown by itself first, as the walk does.
            let own: Vec<String> = parts.iter().map(|part| part.replace("SECRET", "[X]")).collect();
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            prop_assert_eq!(redact(&own, "SECRET").concat(), format!("{before}[X]{after}"));
        }
    }
}
