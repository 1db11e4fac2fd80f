//! Base64 and hexadecimal runs that hold text.
//!
//! Source: RFC 4648, sections 4, 5 and 8.

use bartizan_core::Span;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Decoded, printable, runs};

/// Shorter runs hold too little to say anything, and words look like them.
const BASE64_LEAST: usize = 16;
const HEX_LEAST: usize = 16;
/// Runs that are tried.
const RUNS_MAX: usize = 256;

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

pub(crate) fn base64(text: &str, out: &mut Vec<Decoded>) {
    let is = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=');
    for span in runs(text, BASE64_LEAST, is).into_iter().take(RUNS_MAX) {
        let Some(run) = span.of(text) else { continue };
        // A word of one case without digits is a word.
        if run.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_') {
            continue;
        }
        let decode = |engine: &GeneralPurpose| {
            let run = run.trim_end_matches('=');
            // One character too many: the last group is cut.
            let run = if run.len() % 4 == 1 { run.get(..run.len() - 1)? } else { run };
            engine.decode(run).ok().and_then(printable)
        };
        if let Some(text) = decode(&PLAIN).or_else(|| decode(&URL_SAFE)) {
            out.push(Decoded::block(text, span));
        }
    }
}

pub(crate) fn hex(text: &str, out: &mut Vec<Decoded>) {
    let is = |b: u8| b.is_ascii_hexdigit() || matches!(b, b' ' | b':' | b'x' | b'\\');
    for span in runs(text, HEX_LEAST, is).into_iter().take(RUNS_MAX) {
        let Some(run) = span.of(text) else { continue };
        let run = run.replace("0x", " ").replace("\\x", " ");
        let digits: Vec<u8> = run.bytes().filter(u8::is_ascii_hexdigit).collect();
        if digits.len() < HEX_LEAST {
            continue;
        }
        let (pairs, _) = digits.as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| {
            let digit = |b: u8| char::from(b).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        if let Some(text) = bytes.and_then(printable) {
            let trimmed = Span::new(span.start, span.end);
            out.push(Decoded::block(text, trimmed));
        }
    }
}
