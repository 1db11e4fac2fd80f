//! A permission is converted out of what it should prove.
use bartizan_policy::{Authorized, Grant};

fn forge(grant: Grant) -> Authorized<Grant> {
    grant.into()
}

fn main() {
    let _ = forge;
}
