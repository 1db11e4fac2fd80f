//! The record is approved by hand.
use bartizan_policy::{Approval, State};

fn approve(approval: Approval) {
    approval.state = State::Pending;
    approval.subject = "another".to_owned();
}

fn main() {
    let _ = approve;
}
