//! The client that holds the connections of a target is taken out of the pool.
use bartizan_gateway::upstream::Pool;

fn steal(pool: Pool) {
    let _targets = pool.targets;
}

fn main() {
    let _ = steal;
}
