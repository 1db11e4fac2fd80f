//! What the head of an upstream's answer and the operator's list of addresses say:
//! any text is read or refused.
#![no_main]

use bartizan_net::{Allow, Coding, retry_after};
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _coding = Coding::parse(text);
    let _list = Allow::new(&[text.to_owned()]);
    let Ok(value) = HeaderValue::from_str(text) else { return };
    let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
    let _wait = retry_after(&headers);
});
