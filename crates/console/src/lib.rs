//! Administration: the JSON API, described by an OpenAPI document that is made from
//! the same catalogue that serves it. Pages come later.
//!
//! The threat is whoever reaches the listener without being the administrator, and
//! the administrator whose acts leave no trace. What comes in is a request with the
//! administrator's token, or over the Unix socket, whose file mode is the proof;
//! every act is in the ledger, on the disk, before it is done.

mod admin;
mod endpoints;
mod error;
mod openapi;
mod router;

pub use admin::{ADMIN, Admin, Secret};
pub use error::Failure;
pub use openapi::document;
pub use router::{Trust, router};

use bartizan_store::Class;

/// The classes of records that this room owns.
pub const CLASSES: &[&Class] = &[&ADMIN];
