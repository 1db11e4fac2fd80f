//! The policy room, through its front door.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod approvals;
mod authorization;
#[path = "../../../../tests/common/forge.rs"]
mod forge;
mod forgery;
