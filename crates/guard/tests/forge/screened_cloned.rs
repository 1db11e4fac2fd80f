//! One inspection proves two texts.
use bartizan_guard::Screened;

fn twice(screened: &Screened<String>) -> Screened<String> {
    screened.clone()
}

fn main() {
    let _ = twice;
}
