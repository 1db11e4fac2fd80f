//! The journal: any bytes, and any batch whose digests fit, are read as they are or refused.
#![no_main]

use bartizan_ledger::fuzz;

libfuzzer_sys::fuzz_target!(|input: (u64, u8, u16, &[u8])| {
    let (first, count, cut, bytes) = input;
    fuzz::journal(bytes);
    fuzz::sealed_journal(first, count.into(), bytes, cut.into());
});
