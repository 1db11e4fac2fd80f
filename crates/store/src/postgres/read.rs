//! Finding rows.

use std::borrow::Cow;

use bartizan_core::{Id, Timestamp};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use super::tally::Tallies;
use crate::{
    Counts, Order,
    columns::{id, number, stored},
    repository::{CountQuery, LOOK_MAX, PAGE_BYTES_MAX, Place, Row, RowQuery, Rows, Sealed},
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
    if query.filters.len() < 2 {
        return listed(&mut *pool.acquire().await?, query, &filters_of(query)).await;
    }
    // One transaction: what was looked at and what was found are of one moment.
    let mut transaction = pool.begin_with(SNAPSHOT).await?;
    let filters = rarest_first(&mut transaction, query).await?;
    let mut rows = listed(&mut transaction, query, &filters).await?;
    if rows.next.is_none() {
        rows.next = last_looked(&mut transaction, query, &filters).await?;
    }
    transaction.commit().await?;
    Ok(rows)
}

type Filter<'a> = (&'a str, &'a str);

fn filters_of<'a>(query: &'a RowQuery<'_>) -> Vec<Filter<'a>> {
    query.filters.iter().map(|(facet, value)| (*facet, value.as_str())).collect()
}

async fn listed(
    connection: &mut PgConnection,
    query: &RowQuery<'_>,
    filters: &[Filter<'_>],
) -> sqlx::Result<Rows> {
    let found = select(query, filters).build().fetch_all(connection).await?;
    let limit = usize::from(query.limit);
    let there = found.first().map(|first| first.try_get::<i64, _>(9)).transpose()?.unwrap_or(0);
    let rows = found.iter().take(limit).map(|found| row(found, query.sealed));
    let rows = rows.collect::<sqlx::Result<Vec<_>>>()?;
    match usize::try_from(there).unwrap_or(0) > rows.len() {
        true => Ok(Rows::cut(rows)),
        false => Ok(Rows { rows, next: None }),
    }
}

/// The filters, the one that the fewest rows pass first: the others are looked up row by row.
async fn rarest_first<'a>(
    connection: &mut PgConnection,
    query: &'a RowQuery<'_>,
) -> sqlx::Result<Vec<Filter<'a>>> {
    let mut counted = Vec::new();
    for filter in filters_of(query) {
        let start = "SELECT COUNT(*) FROM (SELECT FROM bartizan.facets f WHERE ";
        let mut sql = QueryBuilder::new(start);
        push_filter(&mut sql, query, "f", filter);
        narrow(&mut sql, query, "f");
        sql.push(" LIMIT ").push_bind(LOOK_MAX).push(") few");
        let count: i64 = sql.build_query_scalar().fetch_one(&mut *connection).await?;
        counted.push((count, filter));
    }
    counted.sort_by_key(|(count, _)| *count);
    Ok(counted.into_iter().map(|(_, filter)| filter).collect())
}

/// Where [`select`] ended that looked at as many as it may.
async fn last_looked(
    connection: &mut PgConnection,
    query: &RowQuery<'_>,
    filters: &[Filter<'_>],
) -> sqlx::Result<Option<Place>> {
    let [first, _, ..] = filters else { return Ok(None) };
    let mut sql = QueryBuilder::new("SELECT f.time_ms, f.id FROM bartizan.facets f WHERE ");
    push_filter(&mut sql, query, "f", *first);
    narrow(&mut sql, query, "f");
    push_order(&mut sql, query, "f");
    sql.push(" LIMIT 1 OFFSET ").push_bind(LOOK_MAX.saturating_sub(1));
    let Some(row) = sql.build().fetch_optional(connection).await? else { return Ok(None) };
    Ok(Some(Place { time: Timestamp::from_millis(row.try_get(0)?), id: id(row.try_get(1)?)? }))
}

/// Three layers: the rows in their order, one more than asked; how many they are, and how much
/// they and those before them weigh; and of these, what fits into a page.
fn select(query: &RowQuery<'_>, filters: &[Filter<'_>]) -> QueryBuilder<Postgres> {
    let direction = direction(query);
    let sealed = if query.sealed { "r.sealed" } else { "NULL::BYTEA AS sealed" };
    let weight = if query.sealed { "r.bytes" } else { "OCTET_LENGTH(r.meta)::BIGINT" };
    let most = i64::from(query.limit).saturating_add(1);
    let mut sql = QueryBuilder::new("");
    if let Some(first) = filters.first() {
        sql.push("WITH f0 AS MATERIALIZED (SELECT f.time_ms, f.id FROM bartizan.facets f WHERE ");
        push_filter(&mut sql, query, "f", *first);
        narrow(&mut sql, query, "f");
        push_order(&mut sql, query, "f");
        sql.push(" LIMIT ").push_bind(if filters.len() > 1 { LOOK_MAX } else { most }).push(") ");
    }
    sql.push("SELECT tenant, class, id, time_ms, version, meta, tag, has, sealed, there FROM ( ");
    sql.push("SELECT page.*, COUNT(*) OVER () AS there, SUM(weight) OVER (ORDER BY time_ms ");
    sql.push(format_args!("{direction}, id {direction}) AS sum FROM ( "));
    sql.push("SELECT r.tenant, r.class, r.id, r.time_ms, r.version, r.meta, r.tag, ");
    sql.push(format_args!("r.sealed IS NOT NULL AS has, {sealed}, {weight} AS weight FROM "));
    if filters.is_empty() {
        sql.push("bartizan.records r WHERE r.tenant = ").push_bind(query.tenant.to_owned());
        sql.push(" AND r.class = ").push_bind(query.class.to_owned());
        narrow(&mut sql, query, "r");
    } else {
        // A limit within keeps the planner to one look into the index for each row, whatever it
        // believes of tables that were not analyzed yet.
        sql.push("f0");
        for (at, filter) in filters.iter().enumerate().skip(1) {
            sql.push(" CROSS JOIN LATERAL (SELECT FROM bartizan.facets f WHERE ");
            push_filter(&mut sql, query, "f", *filter);
            sql.push(" AND f.time_ms = f0.time_ms AND f.id = f0.id LIMIT 1");
            sql.push(format_args!(") f{at}"));
        }
        sql.push(" CROSS JOIN LATERAL (SELECT * FROM bartizan.records r WHERE r.tenant = ");
        sql.push_bind(query.tenant.to_owned());
        sql.push(" AND r.class = ").push_bind(query.class.to_owned());
        sql.push(" AND r.id = f0.id LIMIT 1) r");
    }
    push_order(&mut sql, query, "r");
    sql.push(" LIMIT ").push_bind(most).push(") page) weighed WHERE sum <= ");
    sql.push_bind(stored(PAGE_BYTES_MAX.try_into().unwrap_or(u64::MAX)));
    // The first one comes alone, however large.
    sql.push(" OR sum = weight ");
    sql.push(format_args!("ORDER BY time_ms {direction}, id {direction}"));
    sql
}

const fn direction(query: &RowQuery<'_>) -> &'static str {
    match query.order {
        Order::Newest => "DESC",
        Order::Oldest => "ASC",
    }
}

fn push_filter(
    sql: &mut QueryBuilder<Postgres>,
    query: &RowQuery<'_>,
    name: &str,
    (facet, value): Filter<'_>,
) {
    sql.push(format_args!("{name}.tenant = ")).push_bind(query.tenant.to_owned());
    sql.push(format_args!(" AND {name}.class = ")).push_bind(query.class.to_owned());
    sql.push(format_args!(" AND {name}.facet = ")).push_bind(facet.to_owned());
    sql.push(format_args!(" AND {name}.value = ")).push_bind(value.as_bytes().to_vec());
}

fn narrow(sql: &mut QueryBuilder<Postgres>, query: &RowQuery<'_>, along: &str) {
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

fn push_order(sql: &mut QueryBuilder<Postgres>, query: &RowQuery<'_>, along: &str) {
    let direction = direction(query);
    sql.push(format_args!(" ORDER BY {along}.time_ms {direction}, {along}.id {direction}"));
}

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Counts within one transaction, so that tallies, log and records are of one moment.
pub(super) async fn count(pool: &PgPool, query: &CountQuery<'_>) -> sqlx::Result<Counts> {
    let mut transaction = pool.begin_with(SNAPSHOT).await?;
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
