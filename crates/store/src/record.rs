//! A record: what rests, as the rooms see it.

use bartizan_core::{Id, Timestamp};
use serde_json::{Map, Value};

/// One record of a class and a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: Id,
    /// When it was put.
    pub time: Timestamp,
    /// 1 when put, and one more with every replacement.
    pub version: u64,
    /// What rests in clear, and is authenticated.
    pub meta: Map<String, Value>,
    /// What rests encrypted. `None` where there is none, or where
    /// [`Query::sealed`](crate::Query::sealed) did not ask for it.
    pub sealed: Option<Value>,
}

// LIMIT: metadata is read in pages of hundreds and parsed by every listing.
pub(crate) const META_BYTES_MAX: usize = 1 << 20;
// LIMIT: the gateway's largest bodies with their answers fit; a record is held in memory whole.
pub(crate) const SEALED_BYTES_MAX: usize = 64 << 20;
