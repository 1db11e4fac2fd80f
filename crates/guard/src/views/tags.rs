//! Unicode tag characters (U+E0020 to U+E007E): ASCII that no screen shows.
//!
//! Source: The Unicode Standard, section 23.9.

use bartizan_core::Span;

use super::Decoded;

pub(crate) fn tags(text: &str, out: &mut Vec<Decoded>) {
    let mut decoded = Decoded { text: String::new(), pieces: Vec::new() };
    for (at, c) in text.char_indices() {
        let ascii = u32::from(c).checked_sub(0xE0000).filter(|n| (0x20..0x7f).contains(n));
        if let Some(ascii) = ascii.and_then(char::from_u32) {
            decoded.pieces.push((decoded.text.len(), Span::new(at, at + c.len_utf8())));
            decoded.text.push(ascii);
        }
    }
    if !decoded.text.is_empty() {
        out.push(decoded);
    }
}
