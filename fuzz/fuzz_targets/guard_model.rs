//! The classifier's model: any bytes are a model or refused; what is read scores any text, and is
//! written as it was read.
#![no_main]

use bartizan_guard::{Channel, classifier::Model};

libfuzzer_sys::fuzz_target!(|input: (&[u8], &str)| {
    let (bytes, text) = input;
    if let Ok(model) = Model::read(bytes) {
        assert_eq!(model.write(), bytes);
        if let Some(scored) = model.score(text, Channel::User) {
            assert!(scored.span.of(text).is_some());
        }
    }
});
