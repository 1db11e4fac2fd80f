//! What pages read of a record's metadata, which other rooms wrote: whatever is not there, or
//! is of another type, is shown as nothing.

use bartizan_core::{Id, Tenant, Timestamp};
use bartizan_store::{Class, Order, Query, Record};
use serde_json::{Map, Value};

use crate::{Admin, Failure};

/// LIMIT: records of one moment that are looked through for a neighbour.
const NEIGHBOURS_MAX: u16 = 50;

/// Metadata.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Meta<'a> {
    /// The text at a path such as `/finding/title`.
    pub(crate) fn text(self, path: &str) -> &'a str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(self, path: &str) -> Option<u64> {
        self.at(path).and_then(Value::as_u64)
    }

    pub(crate) fn texts(self, path: &str) -> Vec<&'a str> {
        let list = self.at(path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(crate) fn at(self, path: &str) -> Option<&'a Value> {
        let (first, rest) = match path.strip_prefix('/') {
            Some(path) => path.split_once('/').unwrap_or((path, "")),
            None => (path, ""),
        };
        let value = self.0.get(first)?;
        if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
    }
}

/// The whole of a record, as people read JSON.
pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The records just after and just before this one, among those that pass the filters.
///
/// # Errors
/// When the store fails.
pub(crate) async fn neighbours(
    admin: &Admin,
    tenant: &Tenant,
    class: &Class,
    filters: &[(&str, String)],
    (time, id): (Timestamp, Id),
) -> Result<(Option<Id>, Option<Id>), Failure> {
    let store = &admin.gateway.store;
    let query = |order| Query {
        filters: filters.to_vec(),
        order,
        limit: NEIGHBOURS_MAX,
        sealed: false,
        ..Query::new(class)
    };
    let place = |record: &Record| (record.time, record.id);
    let newer = store.list(tenant, &Query { since: Some(time), ..query(Order::Oldest) }).await?;
    let newer = newer.records.iter().find(|other| place(other) > (time, id));
    let until = Some(Timestamp::from_millis(time.millis().saturating_add(1)));
    let older = store.list(tenant, &Query { until, ..query(Order::Newest) }).await?;
    let older = older.records.iter().find(|other| place(other) < (time, id));
    Ok((newer.map(|record| record.id), older.map(|record| record.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_nothing() {
        let value = serde_json::json!({"a": {"b": "c", "n": 7}, "t": ["x", 1, "y"], "s": "text"});
        let Value::Object(map) = value else { return };
        let meta = Meta(&map);
        assert_eq!((meta.text("/a/b"), meta.text("s"), meta.text("/a/n")), ("c", "text", ""));
        assert_eq!(
            (meta.number("/a/n"), meta.number("/a/x"), meta.number("s")),
            (Some(7), None, None)
        );
        assert_eq!((meta.texts("t"), meta.texts("s")), (vec!["x", "y"], vec![]));
    }
}
