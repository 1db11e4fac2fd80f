//! Administration: the JSON API, described by an OpenAPI document that is made from
//! the same catalogue that serves it. Pages come later.
//!
//! The threat is whoever reaches the listener without being the administrator, and
//! the administrator whose acts leave no trace. What comes in is a request with the
//! administrator's token, or over the Unix socket, whose file mode is the proof;
//! what goes out is JSON.
//!
//! Promises:
//! - Nothing but the document, health and metrics is answered without the proof.
//! - Every operation says what it needs, and the policies decide ([`bartizan_policy`]).
//! - Every act is in the ledger, on the disk, before it is done; when it fails, that
//!   is in the ledger too. Reading a person's words is an act.

mod admin;
mod charts;
mod conversation;
mod desk;
mod endpoints;
mod error;
mod facet;
mod files;
mod frame;
mod html;
mod openapi;
mod pages;
mod params;
mod people;
mod permit;
mod proof;
mod range;
mod record;
mod router;
mod take;
mod triage;
mod view;
mod visitor;

pub use admin::{ADMIN, Admin, Secret};
pub use desk::Setting;
pub use error::Failure;
pub use openapi::document;
pub use router::{Trust, router};

use bartizan_store::Class;

/// The classes of records that this room owns.
pub const CLASSES: &[&Class] = &[&ADMIN, &triage::TRIAGE];
