//! Tiles, bundles and their paths: any bytes are read as they are or refused.
#![no_main]

use bartizan_ledger::fuzz;

libfuzzer_sys::fuzz_target!(|input: (&str, &[u8])| {
    let (path, bytes) = input;
    fuzz::tile(path, bytes);
});
