//! The vocabulary that every room of Bartizan shares.
//!
//! Everything that happens is an [`Event`]; everything that is wrong is a
//! [`Finding`]; a [`Verdict`] is what we decide about it. Identities, time and
//! randomness come through a [`Cx`], so that any test replays from a seed.
//!
//! Invariant: no I/O and no async here, and no dependency on another room.

pub mod constants;
pub mod json;
pub mod sim;
pub mod text;

mod asset;
mod cx;
mod event;
mod finding;
mod id;
mod meta;
mod nearest;
mod reference;
mod tenant;
mod verdict;

pub use asset::{Asset, AssetKind};
pub use cx::{Clock, Cx, Entropy, Timestamp};
pub use event::{Activity, Event, EventClass};
pub use finding::{Confidence, Evidence, Finding, Severity, Span};
pub use id::{Id, InvalidId};
pub use meta::{Example, Meta, hit, miss};
pub use nearest::nearest;
pub use reference::{InvalidReference, Reference};
pub use tenant::{InvalidTenant, Tenant};
pub use verdict::{Mode, Verdict};
