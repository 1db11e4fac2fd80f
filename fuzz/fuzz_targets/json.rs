//! The strict JSON reader: any bytes end in a value or a problem.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = bartizan_core::json::parse(bytes, 1 << 20) {
        let _canonical = bartizan_core::json::canonical(&value);
    }
});
