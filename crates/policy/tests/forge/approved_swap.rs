//! The approved thing is exchanged for another.
fn swap(mut approved: bartizan_policy::Approved<String>) {
    approved.item = "another".to_owned();
    *approved.get() = "another".to_owned();
}

fn main() {
    let _ = swap;
}
