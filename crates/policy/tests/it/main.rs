//! The policy room, through its front door.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod approvals;
mod authorization;
mod forgery;
