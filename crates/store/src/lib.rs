//! Where things rest and how they travel: records, events, shared limits.
//!
//! The threats are the copied disk, the curious administrator of the database, the tenant that
//! reads another's records, and the crash in the middle of a write. So every record carries a
//! tenant, whose data key encrypts what is sealed and authenticates all of it; the data keys
//! rest wrapped under a master key that is not in the database; and to erase a tenant is to
//! destroy its data key.
//!
//! What comes in are records of a [`Class`], as metadata (in clear, found by its facets) and a
//! sealed part; what goes out are the same, by id or page by page. [`Bus`] carries events,
//! durable with the record that caused them; [`Limits`] counts budgets exactly.
//!
//! Invariant: no function reads or writes across tenants, but for those that an operator calls
//! for the whole store: sweeping, export, import, backup, restore and key rotation.

mod bus;
mod class;
mod config;
#[cfg(test)]
mod conformance;
mod cursor;
mod error;
mod facets;
mod files;
mod hex;
mod limits;
mod portable;
mod query;
mod record;
mod repository;
mod sqlite;
mod store;
mod vault;

pub use bus::{Bus, Delivery, Feed, Filter, Subscription, entity};
pub use class::{Class, Retention};
pub use config::{RetentionSettings, StoreSettings};
pub use error::{Error, Result};
pub use limits::{Budget, Exceeded, Limits, MemoryLimits, Reason, Reservation, SLOTS};
pub use portable::{ExportOptions, Exported, Imported, Sealing};
pub use query::{Cursor, Order, PAGE_RECORDS_MAX, Page, Query};
pub use record::Record;
pub use store::{NewMasterKey, Restored, Store, Swept, restore};
