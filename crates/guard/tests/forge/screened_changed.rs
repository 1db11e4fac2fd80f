//! A text is changed behind its proof.
use bartizan_guard::Screened;

fn change(screened: &mut Screened<String>) {
    screened.get().push_str("more");
}

fn main() {
    let _ = change;
}
