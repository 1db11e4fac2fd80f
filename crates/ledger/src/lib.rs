//! The tamper-evident log.
//!
//! The threat is whoever may write the disk after the fact: an intruder, or an
//! operator with something to hide. What comes in is an [`Entry`]; what goes out is
//! [`Sealed`], the proof that it is on the disk under a signed checkpoint of an
//! RFC 6962 tree. Anyone with the directory and the public key can verify it all
//! offline ([`verify`]), and a [`witness`] makes rolling it back evident too.
//!
//! Promises: an acknowledged entry survives a crash; a crash never looks like
//! tampering; what does not verify is reported, never repaired.

#[doc(hidden)]
pub mod fuzz;
pub mod note;
pub mod tree;
pub mod verify;
pub mod witness;

mod canonical;
mod cosigned;
mod disk;
mod entry;
mod error;
mod export;
mod inventory;
mod journal;
mod keys;
mod ledger;
mod levels;
mod proof;
mod settle;
mod shared;
mod source;
mod state;
mod tiles;
mod walk;
mod writer;

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]
mod crashes;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
#[path = "../tests/it/damage.rs"]
mod damage;
#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod frail;
#[cfg(test)]
mod spoilt;

pub use entry::{Entry, Sealed};
pub use error::Error;
pub use export::export;
pub use ledger::{Ledger, Pending, Proof, Recovery, Settings};
pub use note::{Checkpoint, Head, SigningKey, VerifierKey};
pub use proof::{verify_consistency, verify_inclusion};
