//! Finding rows.

use std::borrow::Cow;

use bartizan_core::{Id, Timestamp};
use futures_util::TryStreamExt;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::tally::Tallies;
use crate::{
    Counts, Order,
    columns::{id, number, stored},
    repository::{CountQuery, LOOK_MAX, PAGE_BYTES_MAX, Place, Row, RowQuery, Rows, Sealed},
    tallies,
};

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
    if query.filters.len() < 2 {
        return listed(&mut *readers.acquire().await?, query, &filters(query)).await;
    }
    // One transaction: what was looked at and what was found are of one moment.
    let mut transaction = readers.begin().await?;
    let filters = rarest_first(&mut transaction, query).await?;
    let mut rows = listed(&mut transaction, query, &filters).await?;
    if rows.next.is_none() {
        rows.next = last_looked(&mut transaction, query, &filters).await?;
    }
    transaction.rollback().await?;
    Ok(rows)
}

async fn listed(
    reader: &mut SqliteConnection,
    query: &RowQuery<'_>,
    filters: &[Filter<'_>],
) -> sqlx::Result<Rows> {
    let mut sql = select(query, filters);
    let mut found = sql.build().fetch(reader);
    let limit = usize::from(query.limit);
    let (mut rows, mut bytes) = (Vec::new(), 0usize);
    while let Some(next) = found.try_next().await? {
        let next = row(&next)?;
        bytes = bytes.saturating_add(usize::try_from(next.bytes()).unwrap_or(usize::MAX));
        if rows.len() >= limit || (bytes > PAGE_BYTES_MAX && !rows.is_empty()) {
            return Ok(Rows::cut(rows));
        }
        rows.push(next);
    }
    Ok(Rows { rows, next: None })
}

type Filter<'a> = (&'a str, &'a str);

fn filters<'a>(query: &'a RowQuery<'_>) -> Vec<Filter<'a>> {
    query.filters.iter().map(|(facet, value)| (*facet, value.as_str())).collect()
}

/// The filters, the one that the fewest rows pass first: the others are looked up row by row.
async fn rarest_first<'a>(
    reader: &mut SqliteConnection,
    query: &'a RowQuery<'_>,
) -> sqlx::Result<Vec<Filter<'a>>> {
    let mut counted = Vec::new();
    for filter in filters(query) {
        let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM (SELECT 1 FROM facets f WHERE ");
        push_filter(&mut sql, query, "f", filter);
        narrow(&mut sql, query, "f");
        sql.push(" LIMIT ").push_bind(LOOK_MAX).push(")");
        let count: i64 = sql.build_query_scalar().fetch_one(&mut *reader).await?;
        counted.push((count, filter));
    }
    counted.sort_by_key(|(count, _)| *count);
    Ok(counted.into_iter().map(|(_, filter)| filter).collect())
}

/// Where [`select`] ended that looked at as many as it may.
async fn last_looked(
    reader: &mut SqliteConnection,
    query: &RowQuery<'_>,
    filters: &[Filter<'_>],
) -> sqlx::Result<Option<Place>> {
    let [first, _, ..] = filters else { return Ok(None) };
    let mut sql = QueryBuilder::new("SELECT f.time_ms, f.id FROM facets f WHERE ");
    push_filter(&mut sql, query, "f", *first);
    narrow(&mut sql, query, "f");
    push_order(&mut sql, query, "f");
    sql.push(" LIMIT 1 OFFSET ").push_bind(LOOK_MAX.saturating_sub(1));
    let Some(row) = sql.build().fetch_optional(reader).await? else { return Ok(None) };
    Ok(Some(Place { time: Timestamp::from_millis(row.try_get(0)?), id: id(row.try_get(1)?)? }))
}

/// Without filters, along the index of time; with filters, along the first one's values, which
/// stand in the order of time, too. `CROSS JOIN` keeps SQLite to this order of tables.
fn select(query: &RowQuery<'_>, filters: &[Filter<'_>]) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(COLUMNS).push(if query.sealed { ", r.sealed FROM " } else { " FROM " });
    let Some((first, others)) = filters.split_first() else {
        sql.push("records r WHERE r.tenant = ").push_bind(query.tenant.to_owned());
        sql.push(" AND r.class = ").push_bind(query.class.to_owned());
        narrow(&mut sql, query, "r");
        push_order(&mut sql, query, "r");
        sql.push(" LIMIT ").push_bind(i64::from(query.limit).saturating_add(1));
        return sql;
    };
    sql.push("(SELECT f.time_ms, f.id FROM facets f WHERE ");
    push_filter(&mut sql, query, "f", *first);
    narrow(&mut sql, query, "f");
    push_order(&mut sql, query, "f");
    let looked =
        if others.is_empty() { i64::from(query.limit).saturating_add(1) } else { LOOK_MAX };
    sql.push(" LIMIT ").push_bind(looked).push(") f0");
    for at in 1..=others.len() {
        sql.push(format_args!(" CROSS JOIN facets f{at}"));
    }
    sql.push(" CROSS JOIN records r WHERE ");
    for (at, filter) in (1..).zip(others) {
        let name = format!("f{at}");
        push_filter(&mut sql, query, &name, *filter);
        sql.push(format_args!(" AND {name}.time_ms = f0.time_ms AND {name}.id = f0.id AND "));
    }
    sql.push("r.tenant = ").push_bind(query.tenant.to_owned());
    sql.push(" AND r.class = ").push_bind(query.class.to_owned()).push(" AND r.id = f0.id");
    push_order(&mut sql, query, "f0");
    sql.push(" LIMIT ").push_bind(i64::from(query.limit).saturating_add(1));
    sql
}

fn push_filter(
    sql: &mut QueryBuilder<Sqlite>,
    query: &RowQuery<'_>,
    name: &str,
    (facet, value): Filter<'_>,
) {
    sql.push(format_args!("{name}.tenant = ")).push_bind(query.tenant.to_owned());
    sql.push(format_args!(" AND {name}.class = ")).push_bind(query.class.to_owned());
    sql.push(format_args!(" AND {name}.facet = ")).push_bind(facet.to_owned());
    sql.push(format_args!(" AND {name}.value = ")).push_bind(value.to_owned());
}

fn narrow(sql: &mut QueryBuilder<Sqlite>, query: &RowQuery<'_>, along: &str) {
    if let Some(since) = query.since {
        sql.push(format_args!(" AND {along}.time_ms >= ")).push_bind(since.millis());
    }
    if let Some(until) = query.until {
        sql.push(format_args!(" AND {along}.time_ms < ")).push_bind(until.millis());
    }
    let beyond = match query.order {
        Order::Newest => "<",
        Order::Oldest => ">",
    };
    if let Some(Place { time, id }) = query.after {
        sql.push(format_args!(" AND ({along}.time_ms, {along}.id) {beyond} ("));
        sql.push_bind(time.millis()).push(", ").push_bind(id.as_bytes().to_vec()).push(")");
    }
}

fn push_order(sql: &mut QueryBuilder<Sqlite>, query: &RowQuery<'_>, along: &str) {
    let direction = match query.order {
        Order::Newest => "DESC",
        Order::Oldest => "ASC",
    };
    sql.push(format_args!(" ORDER BY {along}.time_ms {direction}, {along}.id {direction}"));
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
