//! Letters moved or swapped: rot13, reversed, spaced apart, leet. The first two are
//! tried only where a word that matters shows in that disguise, which is cheap to see.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use bartizan_core::Span;

use super::Decoded;

/// Words that make a disguised text worth reading.
const TELLING: &[&str] = &[
    "ignore",
    "instruction",
    "previous",
    "prompt",
    "system",
    "reveal",
    "disregard",
    "forget",
    "override",
    "password",
    "secret",
    "assistant",
    "send",
    "email",
    "forward",
];
/// Single letters in a row that are a word spaced apart.
const SPACED_LEAST: usize = 6;
/// Leet characters within words before a text is read so.
const LEET_LEAST: usize = 3;

static ROT13: LazyLock<AhoCorasick> =
    LazyLock::new(|| words(|word| word.chars().map(turn).collect()));
static REVERSED: LazyLock<AhoCorasick> =
    LazyLock::new(|| words(|word| word.chars().rev().collect()));

fn words(disguise: impl Fn(&str) -> String) -> AhoCorasick {
    let words = TELLING.iter().filter(|word| word.len() > 4).map(|word| disguise(word));
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .build(words)
        .expect("INVARIANT: a few short words make an automaton")
}

fn turn(c: char) -> char {
    let turned =
        |base: u8| char::from(base + (u8::try_from(u32::from(c)).unwrap_or(base) - base + 13) % 26);
    match c {
        'a'..='z' => turned(b'a'),
        'A'..='Z' => turned(b'A'),
        other => other,
    }
}

pub(crate) fn rot13(text: &str, out: &mut Vec<Decoded>) {
    if ROT13.is_match(text) {
        let pieces =
            text.char_indices().map(|(at, c)| (at, Span::new(at, at + c.len_utf8()))).collect();
        out.push(Decoded { text: text.chars().map(turn).collect(), pieces });
    }
}

pub(crate) fn reversed(text: &str, out: &mut Vec<Decoded>) {
    if !REVERSED.is_match(text) {
        return;
    }
    let mut decoded = Decoded { text: String::with_capacity(text.len()), pieces: Vec::new() };
    for (at, c) in text.char_indices().rev() {
        decoded.pieces.push((decoded.text.len(), Span::new(at, at + c.len_utf8())));
        decoded.text.push(c);
    }
    out.push(decoded);
}

/// Runs of single letters with one separator between them; two separators part words.
pub(crate) fn spaced(text: &str, out: &mut Vec<Decoded>) {
    let is_gap = |c: char| matches!(c, ' ' | '.' | '-' | '_' | '*' | '|');
    if !has_singles(text, is_gap) {
        return;
    }
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut at = 0;
    while let Some((start, run, next)) = run_from(&chars, at, is_gap) {
        if run.chars().filter(|c| c.is_alphabetic()).count() >= SPACED_LEAST {
            let end = chars.get(next).map_or(text.len(), |(end, _)| *end);
            out.push(Decoded::block(run, Span::new(start, end)));
        }
        at = next;
    }
}

/// Whether so many words of one letter follow one another that there may be a run.
fn has_singles(text: &str, is_gap: impl Fn(char) -> bool) -> bool {
    let mut singles = 0;
    text.split(is_gap).filter(|word| !word.is_empty()).any(|word| {
        let is_single = word.chars().filter(|c| c.is_alphanumeric()).take(2).count() == 1;
        singles = if is_single { singles + 1 } else { 0 };
        singles >= SPACED_LEAST
    })
}

/// The next run from a place on: its start in bytes, its letters, where it ends.
fn run_from(
    chars: &[(usize, char)],
    from: usize,
    is_gap: impl Fn(char) -> bool,
) -> Option<(usize, String, usize)> {
    let letter = |i: usize| chars.get(i).map(|(_, c)| *c).filter(|c| c.is_alphanumeric());
    let gap = |i: usize| chars.get(i).is_some_and(|(_, c)| is_gap(*c));
    let starts =
        |i: usize| letter(i).is_some() && gap(i + 1) && (i == 0 || letter(i - 1).is_none());
    let first = (from..chars.len()).find(|i| starts(*i))?;
    let (start, _) = chars.get(first)?;
    let mut run = String::new();
    let mut at = first;
    while let Some(c) = letter(at).filter(|_| letter(at + 1).is_none()) {
        run.push(c);
        at += 1;
        if !gap(at) {
            break;
        }
        let gaps = (at..).take_while(|i| gap(*i)).count();
        if gaps > 3 || letter(at + gaps).is_none() {
            break;
        }
        if gaps > 1 {
            run.push(' ');
        }
        at += gaps;
    }
    Some((*start, run, at.max(first + 1)))
}

/// Digits and signs that stand for letters, within words that have letters too.
pub(crate) fn leet(text: &str, out: &mut Vec<Decoded>) {
    if !text.bytes().any(|b| matches!(b, b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'@' | b'$')) {
        return;
    }
    let words = || text.split_inclusive(char::is_whitespace);
    if words().map(leet_in).sum::<usize>() < LEET_LEAST {
        return;
    }
    let mut decoded = Decoded { text: String::with_capacity(text.len()), pieces: Vec::new() };
    let mut at = 0;
    for word in words() {
        let is_leet = leet_in(word) > 0;
        for (i, c) in word.char_indices() {
            let to = if is_leet { like(c) } else { c };
            decoded.pieces.push((decoded.text.len(), Span::new(at + i, at + i + c.len_utf8())));
            decoded.text.push(to);
        }
        at += word.len();
    }
    out.push(decoded);
}

/// How many characters of a word stand for letters; none where the word is none.
fn leet_in(word: &str) -> usize {
    let digits = word.chars().filter(|c| like(*c) != *c).count();
    if digits == 0 || word.len() >= 32 {
        return 0;
    }
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    if letters > 0 && digits <= 2 * letters { digits } else { 0 }
}

fn like(c: char) -> char {
    match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}
