//! A permission is written down without a policy.
use bartizan_policy::{Authorized, Grant};

fn forge(grant: Grant) -> Authorized<Grant> {
    Authorized(grant)
}

fn main() {
    let _ = forge;
}
