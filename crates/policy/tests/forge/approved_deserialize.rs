//! A token comes from outside.
fn main() {
    let approved: bartizan_policy::Approved<String> = serde_json::from_str("{}").unwrap();
    drop(approved);
}
