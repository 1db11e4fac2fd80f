//! Content codings from upstreams: whatever comes, in whatever pieces, what comes
//! out stays within the bound and does not depend on the pieces.
#![no_main]

use bartizan_net::{Coding, Decoder};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const MAX: u64 = 1 << 16;

fn decode(coding: Coding, data: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(coding, MAX);
    let mut out = Vec::new();
    for part in data.chunks(piece) {
        out.extend(decoder.push(&Bytes::copy_from_slice(part)).ok()?);
    }
    out.extend(decoder.finish().ok()?);
    Some(out)
}

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (which, piece, data) = input;
    let coding = match which % 3 {
        0 => Coding::Identity,
        1 => Coding::Gzip,
        _ => Coding::Deflate,
    };
    let pieces = decode(coding, &data, usize::from(piece).max(1));
    let whole = decode(coding, &data, data.len().max(1));
    assert_eq!(pieces, whole);
    assert!(whole.is_none_or(|out| out.len() as u64 <= MAX));
});
