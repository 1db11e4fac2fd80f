//! A held call goes as one that passed.
use bartizan_gateway::{protocols::Call, upstream::Passage};
use bartizan_guard::Held;

fn relabel(held: Held<Call>) -> Passage {
    Passage::Screened(held)
}

fn main() {
    let _ = relabel;
}
