//! One approval lets two things pass.
fn twice(approved: bartizan_policy::Approved<String>) {
    let again = approved.clone();
    drop((approved, again));
}

fn main() {
    let _ = twice;
}
