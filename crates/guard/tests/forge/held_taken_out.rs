//! A held text is taken out without anybody's word.
use bartizan_guard::Held;

fn take(held: Held<String>) -> String {
    held.into_inner()
}

fn main() {
    let _ = take;
}
