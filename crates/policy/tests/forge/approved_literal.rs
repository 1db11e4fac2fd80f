//! A token is written down without an approval.
fn forge(approval: bartizan_core::Id) -> bartizan_policy::Approved<String> {
    bartizan_policy::Approved { item: "delete everything".to_owned(), approval }
}

fn main() {
    let _ = forge;
}
