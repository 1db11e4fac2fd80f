//! Administration: pages for people, and the JSON API, described by an OpenAPI document
//! that is made from the same catalogue that serves it.
//!
//! The threat is whoever reaches the listener without being let in, the page of another
//! site that acts in a person's name, and the administrator whose acts leave no trace.
//! What comes in is a request with a session's cookie, a person's API token or the
//! administrator's token, or over the Unix socket, whose file mode is the proof; what
//! goes out is HTML or JSON.
//!
//! Promises:
//! - Nothing but signing in, the document, health and metrics is answered without the proof.
//! - Nothing is changed for a browser unless the request comes from a page of ours.
//! - Every operation says what it needs, and the policies decide ([`bartizan_policy`]).
//! - Every act is in the ledger, on the disk, before it is done; when it fails, that
//!   is in the ledger too. Reading a person's words is an act.

mod admin;
mod charts;
mod config;
mod conversation;
mod counts;
mod desk;
mod door;
mod endpoints;
mod error;
mod facet;
mod files;
mod frame;
mod gate;
mod html;
mod listing;
mod openapi;
mod pages;
mod params;
mod people;
mod permit;
mod proof;
mod range;
mod record;
mod router;
mod saved;
mod take;
mod triage;
mod view;
mod visitor;
mod which;

pub use admin::{ADMIN, Admin, Secret};
pub use config::{OidcConfig, PeopleConfig, SecondFactor};
pub use desk::Setting;
pub use error::Failure;
pub use openapi::document;
pub use people::{People, Setup};
pub use router::{Trust, router};
pub use triage::TRIAGE;

use bartizan_store::Class;

/// The classes of records that this room owns.
pub const CLASSES: &[&Class] = &[
    &ADMIN,
    &TRIAGE,
    &people::account::PERSON,
    &people::sessions::SESSION,
    &people::links::LINK,
    &people::tokens::TOKEN,
    &people::oidc::UNDERWAY,
    &saved::FILTER,
];
