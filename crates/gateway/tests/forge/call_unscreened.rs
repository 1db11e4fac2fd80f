//! A call goes upstream that nobody inspected.
use bartizan_core::Cx;
use bartizan_gateway::{protocols::Call, upstream::Pool};

async fn skip(pool: &Pool, cx: &Cx, call: Call) {
    let _answer = pool.send(cx, call, "/v1/chat/completions").await;
}

fn main() {
    let _ = skip;
}
