//! The ways in which a text is read. One line each.

use super::{Decoding, encoded, escapes, folded, shuffled, tags};

pub(crate) const ALL: &[Decoding] = &[
    Decoding { name: "folded", decode: folded::fold },
    Decoding { name: "tags", decode: tags::tags },
    Decoding { name: "base64", decode: encoded::base64 },
    Decoding { name: "hex", decode: encoded::hex },
    Decoding { name: "url", decode: escapes::url },
    Decoding { name: "html", decode: escapes::html },
    Decoding { name: "escapes", decode: escapes::unicode },
    Decoding { name: "rot13", decode: shuffled::rot13 },
    Decoding { name: "reversed", decode: shuffled::reversed },
    Decoding { name: "spaced", decode: shuffled::spaced },
    Decoding { name: "leet", decode: shuffled::leet },
];
