//! Bytes of a provider's stream: however they are cut, the same events come out, and
//! what is written again is one event.
#![no_main]

use bartizan_gateway::sse::{Event, Parser, Problem};
use libfuzzer_sys::fuzz_target;

fn read(chunks: &[&[u8]]) -> Result<Vec<Event>, Problem> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    for chunk in chunks {
        events.append(&mut parser.push(chunk)?);
    }
    Ok(events)
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&[head, tail]));
    for event in whole.unwrap_or_default() {
        let again = read(&[&event.to_bytes()]).expect("what we write is text");
        assert_eq!(again, [event]);
    }
});
