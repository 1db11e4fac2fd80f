//! One inspection, or one approval, lets two requests pass.
use bartizan_core::Cx;
use bartizan_gateway::upstream::{Passage, Pool};

async fn twice(pool: &Pool, cx: &Cx, passage: Passage) {
    let _first = pool.send(cx, passage, "/v1/chat/completions").await;
    let _second = pool.send(cx, passage, "/v1/chat/completions").await;
}

fn main() {
    let _ = twice;
}
