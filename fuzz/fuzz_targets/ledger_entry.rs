//! Entries: the fast check of the canonical form says what reading and writing again says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bartizan_ledger::fuzz::entry(bytes));
