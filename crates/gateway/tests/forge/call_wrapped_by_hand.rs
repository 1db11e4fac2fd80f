//! The proof is written down around a call that nobody inspected.
use bartizan_gateway::{protocols::Call, upstream::Passage};
use bartizan_guard::Screened;

fn forge(call: Call) -> Passage {
    Passage::Screened(Screened(call))
}

fn main() {
    let _ = forge;
}
