//! One permission serves twice.
use bartizan_policy::{Authorized, Grant};

fn twice(authorized: Authorized<Grant>) {
    let again = authorized.clone();
    drop((authorized, again));
}

fn main() {
    let _ = twice;
}
