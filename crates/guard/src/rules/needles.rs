//! What a text must hold before a pattern can match: words taken from the patterns
//! themselves, so that a slow search runs only where it may find something.
//!
//! Every pattern is taken apart into groups of words; a match holds one of each group. The
//! words of all patterns of a family are looked for at once.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex_syntax::{
    Parser,
    hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition},
};

/// The shortest word worth looking for, in bytes.
const WORD_LEAST: usize = 2;
/// Words of one group: more would stand in every text.
const GROUP_MAX: usize = 64;
/// Groups of one pattern.
const GROUPS_MAX: usize = 8;

/// Words of which a match holds one.
type Group = BTreeSet<String>;

/// Groups that a word fills: pattern, and group as a bit.
type Fills = Vec<(usize, u8)>;

/// The words of some patterns, ready to be looked for.
#[derive(Debug)]
pub(super) struct Needles {
    /// Words of ASCII, in a table of all transitions: these are looked for in every text.
    ascii: Words,
    /// All others, which a text of ASCII does not hold.
    others: Words,
    /// For each pattern, the bits of all its groups.
    wanted: Vec<u8>,
    any_case: bool,
    /// The letter of a word that another is in another case, but for those of ASCII.
    letters: BTreeMap<char, char>,
    #[cfg(test)]
    patterns: Vec<String>,
}

#[derive(Debug)]
struct Words {
    automaton: AhoCorasick,
    fills: Vec<Fills>,
}

impl Words {
    fn new(words: BTreeMap<String, Fills>, kind: AhoCorasickKind) -> Self {
        let automaton = AhoCorasickBuilder::new()
            .kind(Some(kind))
            .build(words.keys())
            .expect("INVARIANT: words of patterns that compile make an automaton");
        Self { automaton, fills: words.into_values().collect() }
    }

    /// Notes the groups that the words of a text fill.
    fn fill(&self, text: &str, filled: &mut [u8]) {
        for word in self.automaton.find_overlapping_iter(text) {
            for (pattern, group) in self.fills.get(word.pattern().as_usize()).into_iter().flatten()
            {
                if let Some(filled) = filled.get_mut(*pattern) {
                    *filled |= group;
                }
            }
        }
    }
}

impl Needles {
    /// `any_case`: the patterns disregard case, as the flag `(?i)` does.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a str>, any_case: bool) -> Self {
        #[cfg(test)]
        let mut kept = Vec::new();
        let mut words: BTreeMap<String, Fills> = BTreeMap::new();
        let mut wanted = Vec::new();
        for (pattern, text) in patterns.enumerate() {
            let mut all = 0;
            for (at, group) in groups(text).into_iter().take(GROUPS_MAX).enumerate() {
                all |= 1 << at;
                for word in group {
                    let word = if any_case { word.to_lowercase() } else { word };
                    words.entry(word).or_default().push((pattern, 1 << at));
                }
            }
            wanted.push(all);
            #[cfg(test)]
            kept.push(text.to_owned());
        }
        let letters = if any_case {
            words.keys().flat_map(|word| cases(word)).collect()
        } else {
            BTreeMap::new()
        };
        let (ascii, others) = words.into_iter().partition(|(word, _)| word.is_ascii());
        Self {
            ascii: Words::new(ascii, AhoCorasickKind::DFA),
            others: Words::new(others, AhoCorasickKind::ContiguousNFA),
            wanted,
            any_case,
            letters,
            #[cfg(test)]
            patterns: kept,
        }
    }

    /// The patterns that may match, in order; all others do not.
    pub(super) fn announced(&self, text: &str) -> impl Iterator<Item = usize> + '_ {
        let mut filled = vec![0_u8; self.wanted.len()];
        let text = self.fold(text);
        self.ascii.fill(&text, &mut filled);
        if !text.is_ascii() {
            self.others.fill(&text, &mut filled);
        }
        let all = self.wanted.iter().zip(filled).enumerate();
        all.filter(|(_, (wanted, filled))| *wanted == filled).map(|(pattern, _)| pattern)
    }

    /// No pattern is looked for everywhere, and whatever one matches announces it, in any
    /// case of its letters.
    #[cfg(test)]
    pub(super) fn check(&self) {
        use proptest::{
            strategy::{Strategy, ValueTree},
            string::string_regex,
            test_runner::TestRunner,
        };
        let mut runner = TestRunner::deterministic();
        for (i, pattern) in self.patterns.iter().enumerate() {
            assert!(!self.announced("").any(|announced| announced == i), "{pattern} needs no word");
            // Edges make no words, and no text can be made of them.
            let bare = pattern.replace(r"\b", "").replace("(?m)", "").replace("[^", "\0");
            let bare = bare.replace(['^', '$'], "").replace('\0', "[^");
            let any = string_regex(&bare).unwrap_or_else(|error| panic!("{bare}: {error}"));
            for _ in 0..24 {
                let text = any.new_tree(&mut runner).expect("a text").current();
                let loud = if self.any_case { text.to_ascii_uppercase() } else { text.clone() };
                for text in [text, loud] {
                    let is_announced = self.announced(&text).any(|announced| announced == i);
                    assert!(is_announced, "{text:?} does not announce {pattern}");
                }
            }
        }
    }

    /// The text with the letters of the words in their case.
    fn fold<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.any_case {
            return Cow::Borrowed(text);
        }
        let lower = text.to_ascii_lowercase();
        let letter = |c: char| if c.is_ascii() { None } else { self.letters.get(&c).copied() };
        if text.is_ascii() || !lower.chars().any(|c| letter(c).is_some()) {
            return Cow::Owned(lower);
        }
        Cow::Owned(lower.chars().map(|c| letter(c).unwrap_or(c)).collect())
    }
}

/// For the letters of a word, what each is in other cases by simple case folding (Unicode
/// standard, section 5.18), in which patterns disregard it.
fn cases(word: &str) -> impl Iterator<Item = (char, char)> + '_ {
    word.chars().flat_map(|letter| {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(letter, letter)]);
        class.case_fold_simple();
        let ranges = class.ranges().to_vec();
        let others = ranges.into_iter().flat_map(|range| range.start()..=range.end());
        others.filter(move |c| !c.is_ascii() && *c != letter).map(move |other| (other, letter))
    })
}

/// The groups of a pattern of this crate, the rarest first, as far as can be told.
fn groups(pattern: &str) -> Vec<Group> {
    let hir = Parser::new()
        .parse(pattern)
        .expect("INVARIANT: the shipped patterns compile, as a test shows");
    let mut found = Found::default();
    let words = found.read(&hir);
    found.close(words);
    let mut groups = found.groups;
    // Short words stand in every text: only where there are no others.
    let is_long = |group: &Group| group.iter().all(|word| word.len() > WORD_LEAST);
    if groups.iter().any(is_long) {
        groups.retain(is_long);
    }
    groups.sort_by_key(Group::len);
    groups.dedup();
    groups
}

/// The groups of a part of a pattern.
#[derive(Debug, Default)]
struct Found {
    groups: Vec<Group>,
}

impl Found {
    /// Reads a part: all that it can be, if that is little; groups that it needs are added.
    fn read(&mut self, hir: &Hir) -> Option<Group> {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Some(Group::from([String::new()])),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                Some(Group::from([text.to_owned()]))
            }
            HirKind::Class(class) => few(class),
            HirKind::Capture(capture) => self.read(&capture.sub),
            HirKind::Repetition(Repetition { min, max, sub, .. }) => {
                let mut inner = Self::default();
                let words = inner.read(sub);
                match (min, max) {
                    (1, Some(1)) => {
                        self.groups.append(&mut inner.groups);
                        words
                    }
                    // Groups within are not needed where it may be absent.
                    (0, Some(1)) => words.map(|mut words| {
                        words.insert(String::new());
                        words
                    }),
                    (0, _) => None,
                    _ => {
                        inner.close(words);
                        self.groups.append(&mut inner.groups);
                        None
                    }
                }
            }
            HirKind::Concat(parts) => {
                let (mut run, mut is_whole) = (Some(Group::from([String::new()])), true);
                for part in parts {
                    let next = self.read(part);
                    run = match (run, next) {
                        (Some(run), Some(next)) if run.len() * next.len() <= GROUP_MAX => {
                            let each = run.iter();
                            Some(
                                each.flat_map(|a| next.iter().map(move |b| format!("{a}{b}")))
                                    .collect(),
                            )
                        }
                        (run, next) => {
                            is_whole = false;
                            self.close(run);
                            next
                        }
                    };
                }
                if is_whole {
                    return run;
                }
                self.close(run);
                None
            }
            HirKind::Alternation(branches) => {
                let mut exact = Some(Group::new());
                let mut best = Some(Group::new());
                for branch in branches {
                    let mut inner = Self::default();
                    let words = inner.read(branch);
                    exact = exact.zip(words.clone()).map(|(mut all, words)| {
                        all.extend(words);
                        all
                    });
                    inner.close(words);
                    let rarest = inner.groups.into_iter().min_by_key(Group::len);
                    best = best.zip(rarest).map(|(mut all, rarest)| {
                        all.extend(rarest);
                        all
                    });
                }
                match exact {
                    Some(words) if words.len() <= GROUP_MAX => Some(words),
                    _ => {
                        self.close(best);
                        None
                    }
                }
            }
        }
    }

    /// Adds a group, if its words are fit to be looked for.
    fn close(&mut self, words: Option<Group>) {
        let Some(words) = words else { return };
        let fit = words.iter().all(|word| word.len() >= WORD_LEAST);
        if fit && !words.is_empty() && words.len() <= GROUP_MAX {
            self.groups.push(words);
        }
    }
}

/// The characters of a class, if they are few.
fn few(class: &Class) -> Option<Group> {
    const FEW: usize = 4;
    let Class::Unicode(class) = class else { return None };
    let size: usize = class.ranges().iter().map(ClassUnicodeRange::len).sum();
    (size <= FEW).then(|| {
        let chars = class.ranges().iter().flat_map(|range| range.start()..=range.end());
        chars.map(String::from).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&[&str]]) {
        let found = groups(pattern);
        let found: Vec<Vec<&str>> =
            found.iter().map(|group| group.iter().map(String::as_str).collect()).collect();
        assert_eq!(found, expected, "{pattern}");
    }

    #[test]
    fn a_pattern_is_taken_apart() {
        check(r"\bdo\s+anything\s+now\b", &[&["anything"], &["now"]]);
        check(
            r"(?:ignor(?:e|ing)|forget)\s+(?:all\s+)?rules?",
            &[&["rule", "rules"], &["forget", "ignore", "ignoring"]],
        );
        // Where one branch needs a word and another none, none is needed.
        check(r"(?:ignore|\w+)\s+rules", &[&["rules"]]);
        check(r"(?:give me|tell\s+us)\s+it", &[&["give me", "tell"]]);
        check(r"(?:abc\d+def|ghi)jkl", &[&["jkl"], &["abc", "ghi"]]);
        check(r"(?:abc){2,3}(?:def)*", &[&["abc"]]);
        check(r"\w+@\w+", &[]);
        // The end of a part is not joined to what stands before the part.
        check(r"xyz(abc\s+def)", &[&["abc"], &["def"], &["xyz"]]);
        check(r"[oó]rdenes|glöm", &[&["glöm", "ordenes", "órdenes"]]);
        check("忽略|無視", &[&["忽略", "無視"]]);
    }

    #[test]
    fn a_pattern_is_announced_by_a_word_of_each_group() {
        let needles = Needles::new([r"give\s+them", r"\d+", "a|you"].into_iter(), true);
        let announced = |text: &str| needles.announced(text).collect::<Vec<_>>();
        assert_eq!(announced("GIVE it"), [1, 2]);
        assert_eq!(announced("GIVE it to Them"), [0, 1, 2]);
        // Long s and the Kelvin sign are letters of ASCII in another case.
        let needles = Needles::new(["kiste", "Öl?fass", "приказ"].into_iter(), true);
        let announced = |text: &str| needles.announced(text).collect::<Vec<_>>();
        assert_eq!(announced("\u{212a}i\u{17f}te, öLFA\u{17f}S, ПРИКАЗ"), [0, 1, 2]);
        assert!(announced("kite, Ölfahs, приказ\u{301}".replace("каз", "ка").as_str()).is_empty());
        let needles = Needles::new(["give", "given"].into_iter(), false);
        assert_eq!(needles.announced("given").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(needles.announced("Given").count(), 0);
    }
}
