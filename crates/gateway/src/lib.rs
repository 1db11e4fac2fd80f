//! Stands between clients and models.
//!
//! The threats: prompts that hijack a model, secrets and personal data that leak
//! either way, keys that are stolen, budgets that are burnt. What comes in is a
//! request in a provider's own protocol; what goes out is that provider's answer,
//! inspected, or an error in its form.
//!
//! Promises: nothing goes upstream or to the client that the guard did not pass;
//! every decision is in the ledger, on the disk, before the first byte is delivered;
//! every failure is a denial with a reason.

pub mod config;
pub mod decisions;
pub mod holds;
pub mod identity;
pub mod keys;
pub mod made_up;
pub mod metrics;
pub mod protocols;
pub mod routes;
pub mod server;
pub mod sse;
pub mod upstream;

mod budgets;
mod error;
mod exchange;
mod gateway;
mod inspect;
mod intake;
mod paced;
mod passing;
mod pipeline;
mod recover;
mod refusals;
mod relay;
mod reply;
mod router;
mod tally;
mod traces;

pub use error::Error;
pub use gateway::{Gateway, Parts};
pub use recover::{When, recover};
pub use router::{health, router};

pub use tally::REFUSAL;

use bartizan_store::Class;

/// The classes of records that this room owns.
pub const CLASSES: &[&Class] =
    &[&keys::KEY, &holds::APPROVAL, &decisions::DECISION, &decisions::FINDING, &REFUSAL];
