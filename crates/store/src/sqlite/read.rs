//! Finding rows.

use std::borrow::Cow;

use bartizan_core::{Id, Timestamp};
use futures_util::TryStreamExt;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::tally::Tallies;
use crate::{
    Counts, Order,
    columns::{id, number, stored},
    repository::{CountQuery, PAGE_BYTES_MAX, Place, Row, RowQuery, Rows, Sealed},
    tallies,
};

/// To find the rarest filter, each is counted this far.
const RARE_MAX: i64 = 1000;
pub(super) const COLUMNS: &str =
    "r.tenant, r.class, r.id, r.time_ms, r.version, r.meta, r.tag, r.sealed IS NOT NULL";

/// Reads the columns of [`COLUMNS`], and `sealed` where it was asked for.
pub(super) fn row(from: &SqliteRow) -> sqlx::Result<Row> {
    let sealed = match (from.try_get(7)?, from.len() > 8) {
        (false, _) => Sealed::Absent,
        (true, false) => Sealed::Unread,
        (true, true) => Sealed::Bytes(from.try_get(8)?),
    };
    Ok(Row {
        tenant: from.try_get(0)?,
        class: Cow::Owned(from.try_get(1)?),
        id: id(from.try_get(2)?)?,
        time: Timestamp::from_millis(from.try_get(3)?),
        version: number(from.try_get(4)?)?,
        meta: from.try_get(5)?,
        tag: from.try_get(6)?,
        sealed,
    })
}

pub(super) async fn get(
    readers: &SqlitePool,
    tenant: &str,
    class: &str,
    id: Id,
) -> sqlx::Result<Option<Row>> {
    const SQL: &str = "SELECT r.tenant, r.class, r.id, r.time_ms, r.version, r.meta, r.tag, r.sealed IS NOT NULL, r.sealed \
        FROM records r WHERE r.tenant = ? AND r.class = ? AND r.id = ?";
    let query = sqlx::query(SQL).bind(tenant.to_owned()).bind(class.to_owned());
    let found = query.bind(id.as_bytes().to_vec()).fetch_optional(readers).await?;
    found.as_ref().map(row).transpose()
}

pub(super) async fn list(readers: &SqlitePool, query: &RowQuery<'_>) -> sqlx::Result<Rows> {
    let mut reader = readers.acquire().await?;
    let filters = rarest_first(&mut reader, query).await?;
    let mut sql = select(query, &filters);
    let mut found = sql.build().fetch(&mut *reader);
    let limit = usize::from(query.limit);
    let (mut rows, mut bytes) = (Vec::new(), 0usize);
    while let Some(next) = found.try_next().await? {
        let next = row(&next)?;
        bytes = bytes.saturating_add(usize::try_from(next.bytes()).unwrap_or(usize::MAX));
        if rows.len() >= limit || (bytes > PAGE_BYTES_MAX && !rows.is_empty()) {
            return Ok(Rows { rows, more: true });
        }
        rows.push(next);
    }
    Ok(Rows { rows, more: false })
}

type Filter<'a> = (&'a str, &'a str);

/// The filters, the one that the fewest rows pass first: the others are looked up row by row.
async fn rarest_first<'a>(
    reader: &mut SqliteConnection,
    query: &'a RowQuery<'_>,
) -> sqlx::Result<Vec<Filter<'a>>> {
    const SQL: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM facets \
        WHERE tenant = ? AND class = ? AND facet = ? AND value = ? LIMIT ?)";
    let mut counted = Vec::new();
    for (facet, value) in query.filters {
        let mut count = 0;
        if query.filters.len() > 1 {
            let sql = sqlx::query_scalar(SQL).bind(query.tenant.to_owned());
            let sql = sql.bind(query.class.to_owned()).bind((*facet).to_owned());
            count = sql.bind(value.clone()).bind(RARE_MAX).fetch_one(&mut *reader).await?;
        }
        counted.push((count, (*facet, value.as_str())));
    }
    counted.sort_by_key(|(count, _): &(i64, _)| *count);
    Ok(counted.into_iter().map(|(_, filter)| filter).collect())
}

/// Without filters, along the index of time; with filters, along the first one's values, which
/// stand in the order of time, too. `CROSS JOIN` keeps SQLite to this order of tables.
fn select(query: &RowQuery<'_>, filters: &[Filter<'_>]) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(COLUMNS).push(if query.sealed { ", r.sealed FROM " } else { " FROM " });
    for at in 0..filters.len() {
        sql.push(format_args!("facets f{at} CROSS JOIN "));
    }
    sql.push("records r WHERE ");
    for (at, (facet, value)) in filters.iter().enumerate() {
        sql.push(format_args!("f{at}.tenant = ")).push_bind(query.tenant.to_owned());
        sql.push(format_args!(" AND f{at}.class = ")).push_bind(query.class.to_owned());
        sql.push(format_args!(" AND f{at}.facet = ")).push_bind((*facet).to_owned());
        sql.push(format_args!(" AND f{at}.value = ")).push_bind((*value).to_owned());
        if at > 0 {
            sql.push(format_args!(" AND f{at}.time_ms = f0.time_ms AND f{at}.id = f0.id"));
        }
        sql.push(" AND ");
    }
    sql.push("r.tenant = ").push_bind(query.tenant.to_owned());
    sql.push(" AND r.class = ").push_bind(query.class.to_owned());
    let along = if filters.is_empty() { "r" } else { "f0" };
    if along == "f0" {
        sql.push(" AND r.id = f0.id");
    }
    narrow(&mut sql, query, along);
    sql
}

fn narrow(sql: &mut QueryBuilder<Sqlite>, query: &RowQuery<'_>, along: &str) {
    if let Some(since) = query.since {
        sql.push(format_args!(" AND {along}.time_ms >= ")).push_bind(since.millis());
    }
    if let Some(until) = query.until {
        sql.push(format_args!(" AND {along}.time_ms < ")).push_bind(until.millis());
    }
    let (beyond, direction) = match query.order {
        Order::Newest => ("<", "DESC"),
        Order::Oldest => (">", "ASC"),
    };
    if let Some(Place { time, id }) = query.after {
        sql.push(format_args!(" AND ({along}.time_ms, {along}.id) {beyond} ("));
        sql.push_bind(time.millis()).push(", ").push_bind(id.as_bytes().to_vec()).push(")");
    }
    sql.push(format_args!(" ORDER BY {along}.time_ms {direction}, {along}.id {direction} LIMIT "));
    sql.push_bind(i64::from(query.limit).saturating_add(1));
}

/// Counts within one transaction, so that tallies, log and records are of one moment.
pub(super) async fn count(readers: &SqlitePool, query: &CountQuery<'_>) -> sqlx::Result<Counts> {
    let mut transaction = readers.begin().await?;
    let mut reader = Tallies { connection: &mut transaction, query };
    let counts = tallies::count(&mut reader, query).await?;
    transaction.rollback().await?;
    Ok(counts)
}

pub(super) async fn classes(readers: &SqlitePool, tenant: &str) -> sqlx::Result<Vec<String>> {
    // One step of the index a class, however many records there are.
    const SQL: &str = "WITH RECURSIVE c(name) AS ( \
        SELECT MIN(class) FROM records WHERE tenant = ?1 UNION ALL \
        SELECT (SELECT MIN(class) FROM records WHERE tenant = ?1 AND class > c.name) FROM c WHERE c.name IS NOT NULL) \
        SELECT name FROM c WHERE name IS NOT NULL";
    sqlx::query_scalar(SQL).bind(tenant.to_owned()).fetch_all(readers).await
}

/// The running sum starts at the newest: where it passes the bound, the oldest begin.
pub(super) async fn beyond(
    readers: &SqlitePool,
    tenant: &str,
    class: &str,
    bytes: u64,
) -> sqlx::Result<Option<Place>> {
    const SQL: &str = "SELECT time_ms, id FROM ( \
        SELECT time_ms, id, SUM(bytes) OVER (ORDER BY time_ms DESC, id DESC) AS sum \
        FROM records WHERE tenant = ? AND class = ?) \
        WHERE sum > ? ORDER BY time_ms DESC, id DESC LIMIT 1";
    let query = sqlx::query(SQL).bind(tenant.to_owned()).bind(class.to_owned());
    let Some(row) = query.bind(stored(bytes)).fetch_optional(readers).await? else {
        return Ok(None);
    };
    Ok(Some(Place { time: Timestamp::from_millis(row.try_get(0)?), id: id(row.try_get(1)?)? }))
}

/// What SQLite finds wrong with the file: the first twenty places.
pub(super) async fn damage(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let found: Vec<String> =
        sqlx::query_scalar("PRAGMA quick_check(20)").fetch_all(connection).await?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}
