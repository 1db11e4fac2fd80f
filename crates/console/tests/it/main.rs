//! Administration through its front door: who gets in, what leaves a trace, and
//! whether the answers are what the document says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod acts;
mod answers;
mod assets;
mod entry;
mod fits;
mod house;
mod oidc;
mod people;
mod saved;
mod triage;
