//! A token out of nothing.
fn main() {
    let approved = bartizan_policy::Approved::<String>::default();
    drop(approved);
}
