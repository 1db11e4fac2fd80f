//! Invisible characters dropped, compatibility forms and look-alikes folded.
//!
//! Sources: UAX 15 (NFKC), UTS 39 (confusables: the crate `unicode-security`).

use bartizan_core::Span;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::confusable_detection::skeleton;

use super::Decoded;

/// Characters that show nothing: zero-width, joiners, bidi controls, variation
/// selectors, tags, soft hyphen, Hangul fillers, combining grapheme joiner.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The letter that a small capital is: phonetic signs, which have no compatibility form.
fn small_capital(c: char) -> Option<char> {
    Some(match c {
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        _ => return None,
    })
}

/// The text as it looks, in plain letters; nothing for plain ASCII.
pub(crate) fn fold(text: &str, out: &mut Vec<Decoded>) {
    if text.is_ascii() {
        return;
    }
    let mut folded = Decoded { text: String::with_capacity(text.len()), pieces: Vec::new() };
    for (at, c) in text.char_indices() {
        let span = Span::new(at, at + c.len_utf8());
        if c.is_ascii() {
            folded.pieces.push((folded.text.len(), span));
            folded.text.push(c);
            continue;
        }
        if is_invisible(c) || is_combining_mark(c) {
            continue;
        }
        let before = folded.text.len();
        let mut buffer = [0; 4];
        let normal: String =
            c.encode_utf8(&mut buffer).nfkd().filter(|c| !is_combining_mark(*c)).collect();
        let like: String = if normal.is_ascii() { normal } else { skeleton(&normal).collect() };
        match small_capital(c) {
            Some(letter) => folded.text.push(letter),
            None => folded.text.push_str(&like),
        }
        if folded.text.len() > before {
            folded.pieces.push((before, span));
        }
    }
    if folded.pieces.is_empty() {
        return;
    }
    out.push(folded);
}
