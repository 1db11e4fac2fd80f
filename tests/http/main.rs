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
#[path = "../common/servers.rs"]
mod servers;

mod answers;
mod bad_input;
mod limits;
mod operation;
mod redis;
mod screening;
