//! The model: weights of a byte each, read from a file of one known form.

use std::fmt;

use bartizan_core::Span;
use bartizan_ml::Sigmoid;

use super::features::Features;
use crate::Channel;

/// What a file of a model begins with.
const MAGIC: &[u8; 4] = b"BZGF";
/// The form of the file, and of the features that it weighs.
const VERSION: u16 = 1;
/// Bytes before the weights: magic, version, bits, a zero, scale, bias, a, b, and two thresholds.
const HEAD: usize = 4 + 2 + 1 + 1 + 4 + 4 + 8 + 8 + 8 + 8;
/// Bytes of the checksum at the end.
const SUM: usize = 8;
/// LIMIT: buckets, as a power of two.
const BITS_MAX: u8 = 24;

/// Tokens of a window; a text is looked at in windows of all these lengths that it is longer than,
/// and as a whole where it is not much longer than the longest.
pub(super) const WINDOWS: [usize; 3] = [16, 48, 128];
/// Windows of a length begin at every so manieth part of it.
const STRIDES: usize = 4;
/// LIMIT: tokens of a text that is also looked at as a whole.
pub(super) const WHOLE_MAX: usize = 256;

/// Why a file is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error(
        "it does not begin as a model of the guard does: name the file that `guard train` wrote"
    )]
    NotAModel,
    #[error("it is of version {found}, and this program reads version {VERSION}: train it again")]
    Version { found: u16 },
    #[error("it has {found} bytes where its head says {expected}: copy it again")]
    Length { found: usize, expected: usize },
    #[error("its checksum does not hold: copy it again")]
    Damaged,
    #[error("its head holds what no model has: train it again")]
    Head,
}

/// A window of a text, and how much it looks like an attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub span: Span,
    /// From 0 to 1.
    pub probability: f64,
}

/// A trained model.
#[derive(Clone, PartialEq)]
pub struct Model {
    pub(super) bits: u8,
    pub(super) scale: f32,
    pub(super) bias: f32,
    pub(super) sigmoid: Sigmoid,
    /// Probabilities from which on a text counts as an attack: of what the person says, and of
    /// what is read.
    pub(super) thresholds: [f64; 2],
    pub(super) weights: Vec<i8>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("bits", &self.bits).finish_non_exhaustive()
    }
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// When the bytes are none, of another version, cut, or altered.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut rest = bytes;
        if take::<4>(&mut rest)? != *MAGIC {
            return Err(ModelError::NotAModel);
        }
        let found = u16::from_le_bytes(take(&mut rest)?);
        if found != VERSION {
            return Err(ModelError::Version { found });
        }
        let [bits, zero] = take(&mut rest)?;
        if !(1..=BITS_MAX).contains(&bits) || zero != 0 {
            return Err(ModelError::Head);
        }
        let expected = HEAD + (1 << bits) + SUM;
        if bytes.len() != expected {
            return Err(ModelError::Length { found: bytes.len(), expected });
        }
        let scale = f32::from_le_bytes(take(&mut rest)?);
        let bias = f32::from_le_bytes(take(&mut rest)?);
        let mut double = || Ok::<f64, ModelError>(f64::from_le_bytes(take(&mut rest)?));
        let (a, b) = (double()?, double()?);
        let thresholds = [double()?, double()?];
        let finite = scale.is_finite() && bias.is_finite() && a.is_finite() && b.is_finite();
        if !finite || thresholds.iter().any(|one| !(0.0..=1.0).contains(one)) {
            return Err(ModelError::Head);
        }
        let (weights, sum) = rest.split_at_checked(1 << bits).ok_or(ModelError::Head)?;
        let body = bytes.get(..bytes.len() - SUM).unwrap_or_default();
        if sum != checksum(body).to_le_bytes() {
            return Err(ModelError::Damaged);
        }
        let weights = weights.iter().map(|byte| i8::from_le_bytes([*byte])).collect();
        Ok(Self { bits, scale, bias, sigmoid: Sigmoid { a, b }, thresholds, weights })
    }

    /// The model as a file.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD + self.weights.len() + SUM);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend([self.bits, 0]);
        out.extend(self.scale.to_le_bytes());
        out.extend(self.bias.to_le_bytes());
        for double in [self.sigmoid.a, self.sigmoid.b].iter().chain(&self.thresholds) {
            out.extend(double.to_le_bytes());
        }
        out.extend(self.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        out.extend(checksum(&out).to_le_bytes());
        out
    }

    /// The strongest window of a text; nothing of a text without a token.
    pub fn score(&self, text: &str, channel: Channel) -> Option<Scored> {
        let features = Features::of(text, channel, self.bits);
        let (raw, first, end) = self.strongest(&features)?;
        let start = features.tokens.get(first)?.start;
        let span = Span::new(start, features.tokens.get(end.checked_sub(1)?)?.end);
        Some(Scored { span, probability: self.sigmoid.probability(f64::from(raw)) })
    }

    /// From which probability on a text of this channel counts as an attack.
    pub fn threshold(&self, channel: Channel) -> f64 {
        let [said, read] = self.thresholds;
        if channel == Channel::User { said } else { read }
    }

    /// The strongest window: its score before the sigmoid, its first token, and the one after
    /// its last.
    pub(super) fn strongest(&self, features: &Features) -> Option<(f32, usize, usize)> {
        let mut sums = Vec::with_capacity(features.buckets.len() + 1);
        let mut sum = 0_i64;
        sums.push(sum);
        for bucket in &features.buckets {
            let weight = usize::try_from(*bucket).ok().and_then(|at| self.weights.get(at));
            sum += i64::from(weight.copied().unwrap_or_default());
            sums.push(sum);
        }
        let place = |token: usize| token.checked_sub(1).and_then(|at| features.ends.get(at));
        let mut best: Option<(f32, usize, usize)> = None;
        windows(features.tokens.len(), |first, end| {
            let (from, to) = (place(first).copied().unwrap_or(0), place(end).copied().unwrap_or(0));
            let (Some(low), Some(high)) = (sums.get(from), sums.get(to)) else { return };
            #[expect(clippy::cast_precision_loss, reason = "sums of bytes over a window")]
            let (total, count) = ((high - low) as f32, (to - from).max(1) as f32);
            let score = self.scale * total / count.sqrt() + self.bias;
            if best.is_none_or(|(known, ..)| score > known) {
                best = Some((score, first, end));
            }
        });
        best
    }
}

/// Every window of a text of so many tokens: its first, and the one after its last.
pub(super) fn windows(tokens: usize, mut see: impl FnMut(usize, usize)) {
    if tokens == 0 {
        return;
    }
    if tokens <= WHOLE_MAX {
        see(0, tokens);
    }
    for size in WINDOWS.into_iter().filter(|size| *size < tokens) {
        let mut first = 0;
        loop {
            let end = (first + size).min(tokens);
            see(end - size, end);
            if end == tokens {
                break;
            }
            first += size / STRIDES;
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ModelError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(ModelError::NotAModel)?;
    *rest = tail;
    Ok(*head)
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo): against damage, not against somebody.
fn checksum(bytes: &[u8]) -> u64 {
    fnv(bytes, 0)
}

/// The same, from a beginning that `seed` changes.
pub(super) fn fnv(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn model() -> Model {
        let mut weights = vec![0_i8; 1 << 10];
        for (at, weight) in (0_i32..).zip(&mut weights) {
            *weight = i8::try_from(at % 23 - 11).expect("small");
        }
        Model {
            bits: 10,
            scale: 0.01,
            bias: -0.5,
            sigmoid: Sigmoid { a: -2.0, b: 0.5 },
            thresholds: [0.7, 0.8],
            weights,
        }
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // FNV's own test suite: "", "a", "foobar".
        for (text, sum) in [
            ("", 0xCBF2_9CE4_8422_2325_u64),
            ("a", 0xAF63_DC4C_8601_EC8C),
            ("foobar", 0x8594_4171_F739_67E8),
        ] {
            assert_eq!(checksum(text.as_bytes()), sum, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_back_and_a_damaged_one_says_how() {
        let (model, bytes) = (model(), model().write());
        assert_eq!(Model::read(&bytes), Ok(model));
        assert_eq!(Model::read(b"GIF89a and more"), Err(ModelError::NotAModel));
        assert_eq!(Model::read(b"BZ"), Err(ModelError::NotAModel));
        let expected = bytes.len();
        let found = expected - 1;
        assert_eq!(Model::read(&bytes[..found]), Err(ModelError::Length { found, expected }));
        let mut newer = bytes.clone();
        newer[4] = 9;
        assert_eq!(Model::read(&newer), Err(ModelError::Version { found: 9 }));
        let mut altered = bytes.clone();
        altered[HEAD + 5] ^= 1;
        assert_eq!(Model::read(&altered), Err(ModelError::Damaged));
        let mut head = bytes;
        head[6] = 60;
        assert_eq!(Model::read(&head), Err(ModelError::Head));
    }

    #[test]
    fn windows_cover_every_token() {
        for tokens in [1, 15, 16, 17, 50, 128, 129, 256, 257, 1000] {
            let mut seen = vec![0; tokens];
            let mut count = 0;
            windows(tokens, |first, end| {
                count += 1;
                for at in &mut seen[first..end] {
                    *at += 1;
                }
            });
            assert!(seen.iter().all(|times| *times > 0), "{tokens}");
            assert!(count <= 3 + tokens, "{tokens}: {count} windows");
        }
        windows(0, |_, _| panic!("nothing has no window"));
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_model_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Model::read(&bytes).is_err());
        }

        #[test]
        fn running_sums_find_what_adding_up_finds(text in "([a-z]{1,6} ){0,60}") {
            let model = model();
            let features = Features::of(&text, Channel::User, model.bits);
            let mut best: Option<f32> = None;
            windows(features.tokens.len(), |first, end| {
                let buckets = features.window(first, end);
                let sum: i64 = buckets.iter().map(|b| i64::from(model.weights[*b as usize])).sum();
                #[expect(clippy::cast_precision_loss, reason = "small")]
                let score = model.scale * sum as f32 / (buckets.len().max(1) as f32).sqrt() + model.bias;
                if best.is_none_or(|known| score > known) {
                    best = Some(score);
                }
            });
            prop_assert_eq!(model.strongest(&features).map(|(score, ..)| score), best);
        }
    }
}
