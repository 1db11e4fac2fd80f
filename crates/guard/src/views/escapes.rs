//! Characters written as escapes: percent, HTML references, `\uXXXX` and `\xXX`.
//!
//! Sources: RFC 3986 section 2.1, HTML section 13.5, RFC 8259 section 7.

use bartizan_core::Span;

use super::Decoded;

/// Escapes that a text must hold before it is read so: a lone one is punctuation.
const LEAST: usize = 3;

pub(crate) fn url(text: &str, out: &mut Vec<Decoded>) {
    replace(text, '%', LEAST, out, |rest| {
        let digits = rest.get(1..3)?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
        Some((char::from(byte), 3))
    });
}

pub(crate) fn html(text: &str, out: &mut Vec<Decoded>) {
    // A letter is written so only to hide it: one is enough.
    let least = if text.contains("&#") { 1 } else { LEAST };
    replace(text, '&', least, out, |rest| {
        let end = rest.bytes().take(12).position(|b| b == b';')?;
        let name = rest.get(1..end)?;
        let c = match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            _ => {
                let number = name.strip_prefix('#')?;
                let hex = number.strip_prefix(['x', 'X']);
                let code = hex
                    .map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())?;
                char::from_u32(code)?
            }
        };
        Some((c, end + 1))
    });
}

pub(crate) fn unicode(text: &str, out: &mut Vec<Decoded>) {
    replace(text, '\\', LEAST, out, |rest| {
        let (digits, len) = match rest.as_bytes().get(1)? {
            b'u' => (rest.get(2..6)?, 6),
            b'x' => (rest.get(2..4)?, 4),
            _ => return None,
        };
        Some((u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?, len))
    });
}

/// The text with each escape replaced, where there are enough of them.
fn replace(
    text: &str,
    mark: char,
    least: usize,
    out: &mut Vec<Decoded>,
    read: impl Fn(&str) -> Option<(char, usize)>,
) {
    if text.matches(mark).take(least).count() < least {
        return;
    }
    let mut decoded = Decoded { text: String::with_capacity(text.len()), pieces: Vec::new() };
    let mut count = 0;
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        let escape = (c == mark).then(|| read(text.get(at..).unwrap_or_default())).flatten();
        let (c, len) = match escape {
            Some(escape) => {
                count += 1;
                escape
            }
            None => (c, c.len_utf8()),
        };
        decoded.pieces.push((decoded.text.len(), Span::new(at, at + len)));
        decoded.text.push(c);
        skip = at + len;
    }
    if count >= least {
        out.push(decoded);
    }
}
