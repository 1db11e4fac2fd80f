//! An approval of one sort of thing is used for another sort.
fn execute(approved: bartizan_policy::Approved<Vec<u8>>) {
    drop(approved);
}

fn smuggle(approved: bartizan_policy::Approved<String>) {
    execute(approved);
}

fn main() {
    let _ = smuggle;
}
