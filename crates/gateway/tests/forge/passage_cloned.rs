//! A passage is kept for the next request.
use bartizan_gateway::upstream::Passage;

fn keep(passage: &Passage) -> Passage {
    passage.clone()
}

fn main() {
    let _ = keep;
}
