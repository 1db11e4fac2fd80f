//! A person approves a call that the guard never saw.
use bartizan_gateway::{protocols::Call, upstream::Passage};
use bartizan_policy::Approved;

fn skip(approved: Approved<Call>) -> Passage {
    Passage::Approved(approved)
}

fn main() {
    let _ = skip;
}
