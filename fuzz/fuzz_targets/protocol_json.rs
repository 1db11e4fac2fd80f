//! Any JSON as a request, an answer and an event of every protocol: it is refused,
//! or every text of it is shown, and erasing what is shown erases what was planted.
#![no_main]

use bartizan_gateway::{
    protocols::{ALL, Piece},
    sse::Event,
};
use bartizan_guard::{Carrier, Slot};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// No word of any protocol, and not base64.
const PLANTED: &str = "planted words!";

fn erase(_: &Slot, text: &mut String) {
    // What is left may meet and say it again.
    while text.contains(PLANTED) {
        *text = text.replace(PLANTED, "");
    }
}

fn assert_erased(body: &Value) {
    assert!(!body.to_string().contains(PLANTED), "{body}");
}

fuzz_target!(|input: (u8, &str)| {
    let (which, text) = input;
    let protocol = ALL[usize::from(which) % ALL.len()];
    let Ok(value) = bartizan_core::json::parse(text.as_bytes(), 1 << 16) else { return };
    if let Ok(mut call) = protocol.read(value.clone()) {
        call.visit(&mut erase);
        assert_erased(call.body());
    }
    if let Ok(mut reply) = protocol.reply(value.clone()) {
        reply.visit(&mut erase);
        assert_erased(&reply.into_body());
    }
    let messages = json!([{"role": "user", "content": "x"}]);
    let least = json!({"model": "m", "max_tokens": 1, "messages": messages, "stream": true});
    let Ok(call) = protocol.read(least) else { return };
    let Some(mut reader) = protocol.stream(&call) else { return };
    for _ in 0..2 {
        let pieces = reader.read(&Event { name: String::new(), data: value.to_string() });
        for piece in pieces.unwrap_or_default() {
            match piece {
                Piece::Pass(mut envelope) => envelope.visit(&mut erase),
                // What carries a text holds nothing else of the event.
                Piece::Text { lane, .. } | Piece::Whole { lane, .. } => {
                    let carrier = reader.write(&lane, "");
                    assert!(!carrier.data.contains(PLANTED) && !carrier.name.contains(PLANTED));
                }
                Piece::End(_) | Piece::Over(_) | Piece::Usage(_) => {}
                Piece::Done(event) => assert!(!event.data.contains(PLANTED)),
            }
        }
    }
});
