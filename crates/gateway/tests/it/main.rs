//! The gateway, through its front door.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod clock;
#[path = "../../../../tests/common/forge.rs"]
mod forge;
mod forgery;
