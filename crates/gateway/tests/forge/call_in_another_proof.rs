//! A call that was inspected is taken out, and another put in its place.
use bartizan_gateway::{protocols::Call, upstream::Passage};
use bartizan_guard::Screened;

fn swap(screened: Screened<Call>, other: Call) -> Passage {
    drop(screened.into_inner());
    Passage::Screened(other)
}

fn main() {
    let _ = swap;
}
