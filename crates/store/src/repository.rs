//! What a database must do for the store: rows as ciphertext, and nothing of keys in clear.
//!
//! One conformance suite (`conformance.rs`) runs against every implementation.

use std::{borrow::Cow, fmt, path::Path};

use async_trait::async_trait;
use bartizan_core::{Id, Timestamp};

use crate::{Class, Counts, Order, Result, Steps};

/// Names one data key; a tenant that was erased and came back has another.
pub(crate) type KeyId = [u8; 16];

/// A record as it rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) tenant: String,
    pub(crate) class: Cow<'static, str>,
    pub(crate) id: Id,
    pub(crate) time: Timestamp,
    pub(crate) version: u64,
    /// The metadata's JSON, byte for byte as it was authenticated.
    pub(crate) meta: String,
    pub(crate) sealed: Sealed,
    /// Authenticates all of the row.
    pub(crate) tag: Vec<u8>,
}

/// The sealed part of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    Absent,
    /// There is one, which was not asked for.
    Unread,
    Bytes(Vec<u8>),
}

impl Row {
    /// What retention by size counts.
    pub(crate) fn bytes(&self) -> u64 {
        let sealed = match &self.sealed {
            Sealed::Bytes(bytes) => bytes.len(),
            Sealed::Absent | Sealed::Unread => 0,
        };
        u64::try_from(self.meta.len().saturating_add(sealed)).unwrap_or(u64::MAX)
    }
}

/// A row to be written: with the values to find it by, and the data key it needs. The write
/// fails when that key is gone, so that nothing is encrypted under a destroyed key.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    pub(crate) row: Row,
    pub(crate) facets: Vec<(String, String)>,
    /// Those of the facets that are counted.
    pub(crate) counted: &'static [&'static str],
    pub(crate) key: KeyId,
}

/// An event as it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    /// Its place, given by the database.
    pub(crate) place: u64,
    pub(crate) tenant: String,
    pub(crate) id: Id,
    pub(crate) entity: String,
    pub(crate) time: Timestamp,
    pub(crate) body: Vec<u8>,
}

/// A tenant's data key, wrapped under a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrappedKey {
    pub(crate) tenant: String,
    pub(crate) id: KeyId,
    pub(crate) master: String,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) time: Timestamp,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// The id is taken.
    Exists,
    /// There is no such record.
    Missing,
    /// The record has this version, not the expected one.
    Version(u64),
    /// The data key was destroyed.
    KeyGone,
}

/// What became of an imported row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Merged {
    Added,
    Updated,
    Kept,
    KeyGone,
}

/// A place in the order of rows: what a cursor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) time: Timestamp,
    pub(crate) id: Id,
}

/// A query, checked.
#[derive(Clone, Debug)]
pub(crate) struct RowQuery<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) class: &'a str,
    pub(crate) filters: &'a [(&'a str, String)],
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) after: Option<Place>,
    pub(crate) order: Order,
    pub(crate) limit: u16,
    pub(crate) sealed: bool,
}

/// What to count, checked.
#[derive(Clone, Debug)]
pub(crate) struct CountQuery<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) class: &'a Class,
    pub(crate) filters: &'a [(&'a str, String)],
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) by: &'a [&'a str],
    pub(crate) values_max: usize,
    pub(crate) steps: Option<Steps<'a>>,
}

/// Rows of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// Whether there are more after them.
    pub(crate) more: bool,
}

/// Which rows a sweep removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Put before this time.
    Before(Timestamp),
    /// Up to this place in the order of time, and with it.
    UpTo(Place),
}

// LIMIT: a page is held in memory; one record may be larger, and then stands alone.
pub(crate) const PAGE_BYTES_MAX: usize = 32 << 20;

/// A database.
#[async_trait]
pub(crate) trait Repository: Send + Sync + fmt::Debug {
    /// Adds a row, and events beside it, in one transaction.
    async fn insert(&self, row: NewRow, events: Vec<OutboxRow>) -> Result<Written>;
    /// Replaces rows, each of its expected version, in one transaction; their times stay. What
    /// cannot be replaced stops none of the others. Durable when it returns.
    async fn replace(&self, rows: Vec<(NewRow, u64)>, class: &Class) -> Result<Vec<Written>>;
    /// Deletes a row; says whether it was there. Durable when it returns.
    async fn delete(&self, tenant: &str, class: &Class, id: Id) -> Result<bool>;
    async fn get(&self, tenant: &str, class: &str, id: Id) -> Result<Option<Row>>;
    async fn list(&self, query: &RowQuery<'_>) -> Result<Rows>;
    /// Counts rows, as of one moment.
    async fn count(&self, query: &CountQuery<'_>) -> Result<Counts>;
    /// Adds rows as they are, or replaces older versions of them.
    async fn merge(&self, rows: Vec<NewRow>, class: &Class) -> Result<Vec<Merged>>;
    /// The classes that a tenant has rows of.
    async fn classes(&self, tenant: &str) -> Result<Vec<String>>;
    /// Makes rows of these classes findable by their facets and counts them, where the facets
    /// have changed.
    async fn index(&self, classes: &[&Class]) -> Result<()>;
    /// The newest of the rows that lie beyond the newest `bytes` of a class.
    async fn beyond(&self, tenant: &str, class: &str, bytes: u64) -> Result<Option<Place>>;
    /// Removes some of the expired rows, so that other writers get their turn; 0 when none is left.
    async fn expire(&self, tenant: &str, class: &Class, which: Expired) -> Result<u64>;

    async fn data_key(&self, tenant: &str) -> Result<Option<WrappedKey>>;
    async fn data_keys(&self) -> Result<Vec<WrappedKey>>;
    /// Adds a tenant's data key, unless it has one; returns the one it has. Durable. `None`
    /// when this very key was destroyed before.
    async fn add_data_key(&self, key: WrappedKey) -> Result<Option<WrappedKey>>;
    /// Puts another wrapping in place of a key's present one. Durable.
    async fn rewrap(&self, key: &WrappedKey) -> Result<()>;
    /// Destroys a tenant's data key and removes all that it has. Returns how many records.
    async fn erase(&self, tenant: &str, now: Timestamp) -> Result<u64>;

    /// Adds events, unless nobody is subscribed. Durable.
    async fn publish(&self, events: Vec<OutboxRow>) -> Result<()>;
    /// The events after a place, in order.
    async fn outbox(&self, after: u64, limit: u16) -> Result<Vec<OutboxRow>>;
    /// How many events wait, at most: what was erased in between may be counted.
    async fn waiting(&self) -> Result<u64>;
    /// Makes a subscription, or finds it; returns the place up to which it is done.
    async fn subscribe(&self, name: &str) -> Result<u64>;
    async fn unsubscribe(&self, name: &str) -> Result<()>;
    /// Notes that a subscription is done up to a place, and drops what all are done with.
    async fn acknowledge(&self, name: &str, place: u64) -> Result<()>;
    /// Drops events from before a time; returns how many.
    async fn drop_events(&self, before: Timestamp) -> Result<u64>;

    /// Makes everything written so far durable.
    async fn flush(&self) -> Result<()>;
    /// Gives unused space back.
    async fn compact(&self) -> Result<()>;
    async fn backup(&self, to: &Path) -> Result<()>;
    async fn check(&self) -> Result<Vec<String>>;
    async fn close(&self) -> Result<()>;
    /// Whether other nodes may change it, too.
    fn shared(&self) -> bool {
        false
    }
}
