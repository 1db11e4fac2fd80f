//! The gateway over HTTP, as a client meets it: bad input, limits, holds,
//! streams, reloads, and what an upstream may do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../crates/store/tests/it/redis_server.rs"]
mod redis_server;

mod answers;
mod bad_input;
mod limits;
mod operation;
mod redis;
mod screening;
