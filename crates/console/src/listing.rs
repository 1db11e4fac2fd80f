//! Pages of records, as decisions and findings are listed.

use bartizan_store::{Query, Record};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Admin, Failure, permit::Permit};

/// A page of records.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Records {
    records: Vec<Listed>,
    /// What to ask for `after`; absent at the end.
    next: Option<String>,
    /// What to ask for `before`; absent at the beginning.
    previous: Option<String>,
}

/// A record without its text.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    id: String,
    /// RFC 3339.
    time: String,
    meta: Map<String, Value>,
}

/// A record with its text.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Whole {
    id: String,
    /// RFC 3339.
    time: String,
    meta: Map<String, Value>,
    /// What was sent, answered and found; absent where the route keeps no text, or
    /// its retention has ended.
    text: Option<Value>,
}

impl From<Record> for Listed {
    fn from(record: Record) -> Self {
        Self { id: record.id.to_string(), time: record.time.to_string(), meta: record.meta }
    }
}

impl From<Record> for Whole {
    fn from(Record { id, time, meta, sealed, .. }: Record) -> Self {
        Self { id: id.to_string(), time: time.to_string(), meta, text: sealed }
    }
}

pub(crate) async fn page(
    admin: &Admin,
    permit: &Permit,
    query: &Query<'_>,
) -> Result<Records, Failure> {
    let page = admin.gateway.store.list(permit.tenant(), query).await?;
    let shown = |cursor: bartizan_store::Cursor| cursor.as_str().to_owned();
    Ok(Records {
        records: page.records.into_iter().map(Listed::from).collect(),
        next: page.next.map(shown),
        previous: page.previous.map(shown),
    })
}
