//! Texts that hide others, in every coding that the guard reads: whatever is decoded,
//! what is found lies within the text that came.
#![no_main]

use bartizan_guard::{Channel, Context, Guard, Profile};
use libfuzzer_sys::fuzz_target;

/// The text as one of the guard's views would find it.
fn hidden(how: u8, text: &str) -> String {
    let bytes = text.bytes();
    match how % 8 {
        0 => bytes.map(|byte| format!("{byte:02x}")).collect(),
        1 => bytes.map(|byte| format!("%{byte:02X}")).collect(),
        2 => text.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        3 => text.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect(),
        4 => text.chars().rev().collect(),
        5 => text.chars().flat_map(|c| [c, ' ']).collect(),
        6 => text.chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c) % 128)).collect(),
        _ => text.to_owned(),
    }
}

fuzz_target!(|input: (u8, u8, &str)| {
    let (outer, inner, text) = input;
    let (cx, _) = bartizan_core::sim::cx(1);
    let text = hidden(outer, &hidden(inner, text));
    let report = Guard::new().inspect(&cx, &Profile::default(), &Context::default(), Channel::User, &text);
    for judged in &report.findings {
        for evidence in &judged.finding.evidence {
            let span = evidence.span.start..evidence.span.end;
            assert!(text.get(span.clone()).is_some(), "{span:?} of {text:?}");
        }
    }
});
