//! Notes and keys: any text ends in a checkpoint, a key or a problem; what is read has one form.
#![no_main]

use bartizan_ledger::{SigningKey, VerifierKey, fuzz};

libfuzzer_sys::fuzz_target!(|text: &str| {
    fuzz::note(text);
    let _key = VerifierKey::parse(text);
    let _private = SigningKey::parse(text);
});
