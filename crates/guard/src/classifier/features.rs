//! What a text is made of, for a model: tokens, and the features that end at each.

use bartizan_core::Span;

use crate::Channel;

/// LIMIT: tokens of a text that are looked at; more than a text of `text_bytes_max` has as words.
const TOKENS_MAX: usize = 1 << 20;
/// Lengths of the parts of words, in letters, with their ends marked.
const PARTS: [usize; 2] = [4, 5];
/// LIMIT: letters of a word whose parts are features.
const PART_LETTERS_MAX: usize = 24;

/// A text taken apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Features {
    /// Where each token is.
    pub(super) tokens: Vec<Span>,
    /// How many features end at this token or before it.
    pub(super) ends: Vec<usize>,
    /// Buckets, in the order of the tokens at which they end.
    pub(super) buckets: Vec<u32>,
}

impl Features {
    /// Of a text in its channel; buckets are below two to the power of `bits`.
    pub(super) fn of(text: &str, channel: Channel, bits: u8) -> Self {
        let mut out = Self::default();
        let mut before = [START, START];
        let salt = group(channel);
        let mut parts = Vec::new();
        for token in Tokens::of(text).take(TOKENS_MAX) {
            let Token { span, hash, letters } = token;
            let mut put = |hash: u64| out.buckets.push(bucket(hash, bits));
            let two = mix(before[1], hash);
            put(mix(ONE, hash));
            put(mix(TWO, two));
            put(mix(THREE, mix(before[0], two)));
            put(mix(mix(ONE, salt), hash));
            put(mix(mix(TWO, salt), two));
            if letters.len() > 3 {
                parts.clear();
                parts.push('^');
                parts.extend(letters.iter().take(PART_LETTERS_MAX));
                parts.push('$');
                for size in PARTS {
                    for part in parts.windows(size) {
                        put(part.iter().fold(PART, |hash, letter| mix(hash, u64::from(*letter))));
                    }
                }
            }
            out.tokens.push(span);
            out.ends.push(out.buckets.len());
            before = [before[1], hash];
        }
        out
    }

    /// The buckets of the tokens from `first` up to, and without, `end`.
    pub(super) fn window(&self, first: usize, end: usize) -> &[u32] {
        let from = first.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
        let to = end.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(from);
        self.buckets.get(from..to).unwrap_or_default()
    }
}

const START: u64 = 0x51;
const ONE: u64 = 0x1001;
const TWO: u64 = 0x2002;
const THREE: u64 = 0x3003;
const PART: u64 = 0x4004;

/// What the person says is told apart from what the application or the model reads.
fn group(channel: Channel) -> u64 {
    match channel {
        Channel::User | Channel::Assistant | Channel::System => 1,
        Channel::Content | Channel::Output | Channel::Reasoning => 2,
        Channel::ToolResult | Channel::ToolCall => 3,
        Channel::ToolDescription => 4,
    }
}

/// Part of `SplitMix64` (Steele, Lea, Flood, 2014): spreads what it is given over all bits.
fn mix(hash: u64, more: u64) -> u64 {
    let mut z =
        (hash ^ more.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

fn bucket(hash: u64, bits: u8) -> u32 {
    let top = hash.wrapping_mul(0x94D0_49BB_1331_11EB) >> (64 - u32::from(bits.clamp(1, 32)));
    u32::try_from(top).unwrap_or(u32::MAX)
}

/// A word, a letter of a script without spaces between words, or a mark.
struct Token {
    span: Span,
    hash: u64,
    /// Of a word; of others none.
    letters: Vec<char>,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

/// Letters that are tokens by themselves: their scripts have no spaces between words.
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters, digits, and the marks that stand above or below letters.
fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric()
        || matches!(letter, '\u{300}'..='\u{36f}' | '\u{93a}'..='\u{94f}' | '\u{64b}'..='\u{65f}')
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = self.text.get(self.at..)?;
            let first = rest.chars().next()?;
            if first == '\n' {
                // A line's end is a mark, once, whatever blank lines follow.
                let span = Span::new(self.at, self.at + 1);
                self.at += rest.len() - rest.trim_start().len();
                return Some(Token { span, hash: mix(u64::from(first), 0), letters: Vec::new() });
            }
            if first.is_whitespace() {
                self.at += first.len_utf8();
                continue;
            }
            let start = self.at;
            if !is_of_word(first) || stands_alone(first) {
                self.at += first.len_utf8();
                let span = Span::new(start, self.at);
                return Some(Token { span, hash: mix(u64::from(first), 1), letters: Vec::new() });
            }
            let mut letters = Vec::new();
            let mut hash = 0;
            for letter in rest.chars().take_while(|c| is_of_word(*c) && !stands_alone(*c)) {
                self.at += letter.len_utf8();
                for low in letter.to_lowercase() {
                    // One number is like another.
                    let low = if low.is_ascii_digit() { '0' } else { low };
                    hash = mix(hash, u64::from(low));
                    letters.push(low);
                }
            }
            let span = Span::new(start, self.at);
            return Some(Token { span, hash: mix(hash, 2), letters });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        Tokens::of(text).filter_map(|token| token.span.of(text)).collect()
    }

    #[test]
    fn words_marks_and_lone_letters_are_tokens() {
        assert_eq!(tokens("Don't stop, Ärger!"), ["Don", "'", "t", "stop", ",", "Ärger", "!"]);
        assert_eq!(tokens("a\n\n  b"), ["a", "\n", "b"]);
        assert_eq!(tokens("指示を ok"), ["指", "示", "を", "ok"]);
        assert_eq!(tokens("नमस्ते दुनिया"), ["नमस्ते", "दुनिया"]);
        assert!(tokens("  \t ").is_empty());
    }

    #[test]
    fn case_and_numbers_do_not_matter_and_channels_do() {
        let of = |text: &str, channel| Features::of(text, channel, 18).buckets;
        assert_eq!(of("Order 4711 NOW", Channel::User), of("order 1234 now", Channel::User));
        assert_ne!(of("order", Channel::User), of("order", Channel::Content));
        let shared = of("order", Channel::User);
        let same = of("order", Channel::Content).iter().filter(|one| shared.contains(one)).count();
        assert!(same >= 3, "what a word says by itself is learned once: {same}");
    }

    proptest! {
        #[test]
        fn tokens_lie_in_order_on_borders_of_letters(text in "(\\PC|[ \\n\\t指a-z0-9]){0,80}") {
            let features = Features::of(&text, Channel::User, 16);
            let mut last = 0;
            for span in &features.tokens {
                prop_assert!(span.start >= last && span.end > span.start);
                prop_assert!(span.of(&text).is_some());
                last = span.end;
            }
            prop_assert_eq!(features.tokens.len(), features.ends.len());
            prop_assert_eq!(features.ends.last().copied().unwrap_or(0), features.buckets.len());
            prop_assert!(features.buckets.iter().all(|bucket| *bucket < 1 << 16));
            let whole = features.window(0, features.tokens.len());
            prop_assert_eq!(whole, features.buckets.as_slice());
        }
    }
}
