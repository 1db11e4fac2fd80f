//! Finding rows.

use std::borrow::Cow;

use bartizan_core::{Id, Timestamp};
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::tally::Tallies;
use crate::{
    Counts, Order,
    columns::{id, number, stored},
    repository::{CountQuery, PAGE_BYTES_MAX, Place, Row, RowQuery, Rows, Sealed},
    tallies,
};

/// Reads a row's columns, and the sealed part where it was asked for.
fn row(from: &PgRow, asked: bool) -> sqlx::Result<Row> {
    let sealed = match (from.try_get(7)?, asked) {
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
        meta: text(from.try_get(5)?)?,
        tag: from.try_get(6)?,
        sealed,
    })
}

pub(super) fn text(bytes: Vec<u8>) -> sqlx::Result<String> {
    String::from_utf8(bytes).map_err(|_| sqlx::Error::Decode("a text is not UTF-8".into()))
}

pub(super) async fn get(
    pool: &PgPool,
    tenant: &str,
    class: &str,
    id: Id,
) -> sqlx::Result<Option<Row>> {
    const SQL: &str = "SELECT tenant, class, id, time_ms, version, meta, tag, sealed IS NOT NULL, sealed \
        FROM bartizan.records WHERE tenant = $1 AND class = $2 AND id = $3";
    let query = sqlx::query(SQL).bind(tenant).bind(class).bind(id.as_bytes().as_slice());
    query.fetch_optional(pool).await?.map(|found| row(&found, true)).transpose()
}

pub(super) async fn list(pool: &PgPool, query: &RowQuery<'_>) -> sqlx::Result<Rows> {
    let found = select(query).build().fetch_all(pool).await?;
    let limit = usize::from(query.limit);
    let there = found.first().map(|first| first.try_get::<i64, _>(9)).transpose()?.unwrap_or(0);
    let rows = found.iter().take(limit).map(|found| row(found, query.sealed));
    let rows = rows.collect::<sqlx::Result<Vec<_>>>()?;
    let more = usize::try_from(there).unwrap_or(0) > rows.len();
    Ok(Rows { rows, more })
}

/// Three layers: the rows in their order, one more than asked; how many they are, and how much
/// they and those before them weigh; and of these, what fits into a page.
fn select(query: &RowQuery<'_>) -> QueryBuilder<Postgres> {
    let (beyond, direction) = match query.order {
        Order::Newest => ("<", "DESC"),
        Order::Oldest => (">", "ASC"),
    };
    let sealed = if query.sealed { "r.sealed" } else { "NULL::BYTEA AS sealed" };
    let weight = if query.sealed { "r.bytes" } else { "OCTET_LENGTH(r.meta)::BIGINT" };
    let mut sql = QueryBuilder::new(
        "SELECT tenant, class, id, time_ms, version, meta, tag, has, sealed, there FROM ( \
         SELECT page.*, COUNT(*) OVER () AS there, \
         SUM(weight) OVER (ORDER BY time_ms ",
    );
    sql.push(format_args!("{direction}, id {direction}) AS sum FROM ( "));
    sql.push("SELECT r.tenant, r.class, r.id, r.time_ms, r.version, r.meta, r.tag, ");
    sql.push(format_args!("r.sealed IS NOT NULL AS has, {sealed}, {weight} AS weight FROM "));
    for at in 0..query.filters.len() {
        sql.push(format_args!("bartizan.facets f{at}, "));
    }
    sql.push("bartizan.records r WHERE r.tenant = ").push_bind(query.tenant.to_owned());
    sql.push(" AND r.class = ").push_bind(query.class.to_owned());
    for (at, (facet, value)) in query.filters.iter().enumerate() {
        sql.push(format_args!(" AND f{at}.tenant = ")).push_bind(query.tenant.to_owned());
        sql.push(format_args!(" AND f{at}.class = ")).push_bind(query.class.to_owned());
        sql.push(format_args!(" AND f{at}.facet = ")).push_bind((*facet).to_owned());
        sql.push(format_args!(" AND f{at}.value = ")).push_bind(value.clone().into_bytes());
        sql.push(format_args!(" AND f{at}.time_ms = r.time_ms AND f{at}.id = r.id"));
    }
    if let Some(since) = query.since {
        sql.push(" AND r.time_ms >= ").push_bind(since.millis());
    }
    if let Some(until) = query.until {
        sql.push(" AND r.time_ms < ").push_bind(until.millis());
    }
    if let Some(Place { time, id }) = query.after {
        sql.push(format_args!(" AND (r.time_ms, r.id) {beyond} ("));
        sql.push_bind(time.millis()).push(", ").push_bind(id.as_bytes().to_vec()).push(")");
    }
    sql.push(format_args!(" ORDER BY r.time_ms {direction}, r.id {direction} LIMIT "));
    sql.push_bind(i64::from(query.limit).saturating_add(1)).push(") page) weighed WHERE sum <= ");
    sql.push_bind(stored(PAGE_BYTES_MAX.try_into().unwrap_or(u64::MAX)));
    // The first one comes alone, however large.
    sql.push(" OR sum = weight ");
    sql.push(format_args!("ORDER BY time_ms {direction}, id {direction}"));
    sql
}

/// Counts within one transaction, so that tallies, log and records are of one moment.
pub(super) async fn count(pool: &PgPool, query: &CountQuery<'_>) -> sqlx::Result<Counts> {
    let mut transaction =
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut reader = Tallies { connection: &mut transaction, query };
    let counts = tallies::count(&mut reader, query).await?;
    transaction.commit().await?;
    Ok(counts)
}

pub(super) async fn classes(pool: &PgPool, tenant: &str) -> sqlx::Result<Vec<String>> {
    // One step of the index a class, however many records there are.
    const SQL: &str = "WITH RECURSIVE c (name) AS ( \
        SELECT MIN(class) FROM bartizan.records WHERE tenant = $1 UNION ALL \
        SELECT (SELECT MIN(class) FROM bartizan.records WHERE tenant = $1 AND class > c.name) \
        FROM c WHERE c.name IS NOT NULL) SELECT name FROM c WHERE name IS NOT NULL";
    sqlx::query_scalar(SQL).bind(tenant).fetch_all(pool).await
}

/// The running sum starts at the newest: where it passes the bound, the oldest begin.
pub(super) async fn beyond(
    pool: &PgPool,
    tenant: &str,
    class: &str,
    bytes: u64,
) -> sqlx::Result<Option<Place>> {
    const SQL: &str = "SELECT time_ms, id FROM ( \
        SELECT time_ms, id, SUM(bytes) OVER (ORDER BY time_ms DESC, id DESC) AS sum \
        FROM bartizan.records WHERE tenant = $1 AND class = $2) weighed \
        WHERE sum > $3 ORDER BY time_ms DESC, id DESC LIMIT 1";
    let query = sqlx::query(SQL).bind(tenant).bind(class).bind(stored(bytes));
    let Some(row) = query.fetch_optional(pool).await? else { return Ok(None) };
    Ok(Some(Place { time: Timestamp::from_millis(row.try_get(0)?), id: id(row.try_get(1)?)? }))
}
