//! The executor is given the thing itself.
fn execute(approved: bartizan_policy::Approved<String>) {
    drop(approved.into_inner());
}

fn main() {
    execute("delete everything".to_owned());
}
