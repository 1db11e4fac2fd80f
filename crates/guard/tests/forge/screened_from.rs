//! A text is converted into a proof about itself.
use bartizan_guard::Screened;

fn main() {
    let _forged: Screened<String> = "unseen".to_owned().into();
}
