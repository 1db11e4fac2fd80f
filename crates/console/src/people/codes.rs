//! Random texts that people and programs carry: made, written and compared.

use bartizan_core::{Cx, Id};
use ring::{
    digest::{SHA256, digest},
    hmac,
};

/// RFC 4648, section 6, in upper case and without padding.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// 256 random bits behind a prefix.
pub(crate) fn secret(cx: &Cx, prefix: &str) -> String {
    format!("{prefix}{}", hex(&cx.random::<32>()))
}

/// Such a secret needs no slow hash: it cannot be guessed.
pub(crate) fn hash(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

/// The id under which the record of something rests that is known by a text: so it is
/// found at once, and two of it cannot be made. A UUID of version 8 (RFC 9562).
pub(crate) fn id_of(kind: &str, text: &str) -> Id {
    let mut hashed = ring::digest::Context::new(&SHA256);
    hashed.update(kind.as_bytes());
    hashed.update(&[0]);
    hashed.update(text.as_bytes());
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hashed.finish().as_ref()) {
        *to = *from;
    }
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    Id::from_bytes(bytes)
}

/// Compares in a time that says nothing of where two texts differ: both go through a
/// keyed hash of a key that is used once, and ring compares those in constant time.
pub(crate) fn same(cx: &Cx, a: &str, b: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &cx.random::<32>());
    let tag = hmac::sign(&key, a.as_bytes());
    hmac::verify(&key, b.as_bytes(), tag.as_ref()).is_ok()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes in base 32.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(digit(held >> bits));
            held &= (1 << bits) - 1;
        }
    }
    if bits > 0 {
        out.push(digit(held << (5 - bits)));
    }
    out
}

fn digit(value: u32) -> char {
    let place = usize::try_from(value & 31).unwrap_or(0);
    BASE32.get(place).map_or('A', |byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_as_the_rfc_has_it() {
        // RFC 4648, section 10, without the padding.
        for (plain, encoded) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn only_equal_texts_are_the_same() {
        let (cx, _) = bartizan_core::sim::cx(7);
        assert!(same(&cx, "abc", "abc") && same(&cx, "", ""));
        for other in ["abd", "ab", "abcd", ""] {
            assert!(!same(&cx, "abc", other), "{other}");
        }
    }

    #[test]
    fn an_id_of_a_text_is_a_uuid_of_version_8_and_of_its_kind() {
        let id = id_of("person", "ada").to_string();
        assert_eq!(id.as_bytes().get(14), Some(&b'8'), "{id}");
        assert!(matches!(id.as_bytes().get(19), Some(b'8' | b'9' | b'a' | b'b')), "{id}");
        assert_eq!(id_of("person", "ada").to_string(), id);
        assert_ne!(id_of("link", "ada").to_string(), id);
        assert_ne!(id_of("person", "bob").to_string(), id);
    }
}
