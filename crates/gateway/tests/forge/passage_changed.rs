//! A call is changed after it was inspected.
use bartizan_gateway::{protocols::Call, upstream::Passage};

fn change(passage: &mut Passage, other: Call) {
    if let Passage::Screened(screened) = passage {
        *screened.get() = other;
    }
}

fn main() {
    let _ = change;
}
