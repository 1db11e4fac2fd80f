//! Notes and keys: any text ends in a checkpoint, a key or a problem.
#![no_main]

use bartizan_ledger::{Checkpoint, SigningKey, VerifierKey};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _note = Checkpoint::parse(text);
    let _key = VerifierKey::parse(text);
    let _private = SigningKey::parse(text);
});
