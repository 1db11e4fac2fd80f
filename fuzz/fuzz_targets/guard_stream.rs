//! Text in pieces: however it is cut, the same text is released and the same is found.
#![no_main]

use std::sync::Arc;

use bartizan_guard::{Channel, Context, Guard, Profile};

libfuzzer_sys::fuzz_target!(|input: (u8, String)| {
    let (size, text) = input;
    let (cx, _) = bartizan_core::sim::cx(1);
    let guard = Guard::new();
    let run = |size: usize| {
        let mut stream = guard.stream(&Profile::default(), Arc::new(Context::default()), Channel::Output, "x");
        let chars: Vec<char> = text.chars().collect();
        let mut out = String::new();
        for piece in chars.chunks(size.max(1)) {
            let step = stream.push(&cx, &piece.iter().collect::<String>());
            out.extend(step.released.map(|text| text.into_inner()));
        }
        let step = stream.finish(&cx);
        out.extend(step.released.map(|text| text.into_inner()));
        (out, step.stop, stream.report().findings.len())
    };
    assert_eq!(run(usize::from(size)), run(usize::MAX / 2));
});
