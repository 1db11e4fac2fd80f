//! Faults, against the real binary: upstreams and clients that die, stall, lie or
//! never end, disks that are full, a database that another process holds.
//!
//! After each one: nothing that the guard would take out has reached the client, the
//! request ended within its bounds, its end is on record, an honest request is
//! served, and the ledger verifies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

mod client;
mod disk;
mod form;
mod house;
mod upstream;
mod volume;
