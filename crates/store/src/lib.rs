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
//!
//! ```
//! use bartizan_core::{Id, Tenant};
//! use bartizan_store::{Class, Counting, Query, Retention, Store, StoreSettings};
//!
//! const NOTE: Class = Class {
//!     name: "note",
//!     facets: &["color"],
//!     counted: &["color"],
//!     retention: Retention::days(90),
//! };
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! let (cx, _) = bartizan_core::sim::cx(1);
//! let store = Store::open(&StoreSettings::default(), dir, &[&NOTE], &cx).await?;
//! let (tenant, id) = (Tenant::default(), Id::new(&cx));
//! let meta = [("color".to_owned(), "red".into())].into_iter().collect();
//! store.put(&tenant, &NOTE, id, meta, Some(&"a text that rests encrypted".into())).await?;
//!
//! let red = Query { filters: vec![("color", "red".into())], ..Query::new(&NOTE) };
//! assert_eq!(store.list(&tenant, &red).await?.records[0].id, id);
//! let colors = Counting { by: vec!["color"], ..Counting::new(&NOTE) };
//! assert_eq!(store.count(&tenant, &colors).await?.facets[0].values, [("red".to_owned(), 1)]);
//! let other: Tenant = "another".parse()?;
//! assert!(store.get(&other, &NOTE, id).await?.is_none());
//! # Ok(()) }
//! ```

mod bus;
mod class;
mod columns;
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
mod postgres;
mod query;
mod record;
mod repository;
mod sqlite;
mod store;
mod tallies;
mod vault;

pub use bus::{Bus, BusHealth, Delivery, Feed, Filter, Subscription, entity};
pub use class::{Class, Retention};
pub use config::{RetentionSettings, StoreSettings, WhenAway};
pub use error::{Error, Result};
pub use limits::{
    Budget, Exceeded, Limits, LimitsClock, MemoryLimits, Reason, RedisLimits, RedisOptions,
    Reservation, SLOTS,
};
pub use portable::{ExportOptions, Exported, Imported, Sealing};
pub use query::{
    Counting, Counts, Cursor, FacetCounts, Order, PAGE_RECORDS_MAX, Page, Query, STEPS_MAX, Step,
    StepCount, StepCounts, Steps, VALUES_MAX,
};
pub use record::Record;
pub use store::{NewMasterKey, Restored, Store, Swept, look, restore};

/// The database's file in the data directory.
pub const DATABASE_FILE: &str = sqlite::FILE;
