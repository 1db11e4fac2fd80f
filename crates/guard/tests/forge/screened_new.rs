//! The proof's own constructor is called from outside.
use bartizan_guard::Screened;

fn main() {
    let _forged = Screened::new("unseen".to_owned());
}
