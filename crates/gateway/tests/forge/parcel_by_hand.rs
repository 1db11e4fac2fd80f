//! The pool's own way of sending is used past its door.
use bartizan_gateway::upstream::Pool;

fn main() {
    let _ = Pool::dispatch;
}
