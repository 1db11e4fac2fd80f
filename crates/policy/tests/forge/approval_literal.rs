//! A record is made approved.
use bartizan_policy::{Approval, ApprovalRecord};

fn forge(record: ApprovalRecord) -> Approval {
    Approval(record)
}

fn main() {
    let _ = forge;
}
