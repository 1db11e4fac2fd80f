//! The client against upstreams that misbehave in every way, on sockets made by hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

mod addresses;
mod faults;
mod server;
mod trust;
