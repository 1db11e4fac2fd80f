//! Events that wait until every subscription has them.

use bartizan_core::Timestamp;
use sqlx::{PgConnection, PgPool, Row as _};

use crate::{
    columns::{id, number, stored},
    repository::OutboxRow,
};

/// Adds events within the caller's transaction; nobody subscribed, nothing to keep. From here
/// to the commit all other publishers wait: do it last.
pub(super) async fn add(connection: &mut PgConnection, events: &[OutboxRow]) -> sqlx::Result<()> {
    const SUBSCRIBED: &str = "SELECT EXISTS (SELECT FROM bartizan.subscribers)";
    const ADD: &str = "WITH taken AS ( \
            UPDATE bartizan.outbox_place SET last = last + CARDINALITY($1) RETURNING last) \
        INSERT INTO bartizan.outbox (place, tenant, id, entity, time_ms, body) \
        SELECT taken.last - CARDINALITY($1) + e.nth, e.tenant, e.id, e.entity, e.time_ms, e.body \
        FROM taken, UNNEST($1, $2, $3, $4, $5) WITH ORDINALITY \
            AS e (tenant, id, entity, time_ms, body, nth)";
    if events.is_empty() || !sqlx::query_scalar(SUBSCRIBED).fetch_one(&mut *connection).await? {
        return Ok(());
    }
    let tenants: Vec<&str> = events.iter().map(|event| event.tenant.as_str()).collect();
    let ids: Vec<&[u8]> = events.iter().map(|event| event.id.as_bytes().as_slice()).collect();
    let entities: Vec<&[u8]> = events.iter().map(|event| event.entity.as_bytes()).collect();
    let times: Vec<i64> = events.iter().map(|event| event.time.millis()).collect();
    let bodies: Vec<&[u8]> = events.iter().map(|event| event.body.as_slice()).collect();
    let query = sqlx::query(ADD).bind(tenants).bind(ids).bind(entities);
    query.bind(times).bind(bodies).execute(connection).await.map(drop)
}

pub(super) async fn publish(pool: &PgPool, events: &[OutboxRow]) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    add(&mut transaction, events).await?;
    transaction.commit().await
}

pub(super) async fn after(pool: &PgPool, place: u64, limit: u16) -> sqlx::Result<Vec<OutboxRow>> {
    const SQL: &str = "SELECT place, tenant, id, entity, time_ms, body FROM bartizan.outbox \
        WHERE place > $1 ORDER BY place LIMIT $2";
    let rows = sqlx::query(SQL).bind(stored(place)).bind(i64::from(limit)).fetch_all(pool).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(OutboxRow {
            place: number(row.try_get(0)?)?,
            tenant: row.try_get(1)?,
            id: id(row.try_get(2)?)?,
            entity: String::from_utf8(row.try_get(3)?)
                .map_err(|_| sqlx::Error::Decode("an entity is not UTF-8".into()))?,
            time: Timestamp::from_millis(row.try_get(4)?),
            body: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn waiting(pool: &PgPool) -> sqlx::Result<u64> {
    const SQL: &str = "SELECT COALESCE((SELECT MAX(place) FROM bartizan.outbox) \
        - (SELECT MIN(place) FROM bartizan.outbox) + 1, 0)";
    let count: i64 = sqlx::query_scalar(SQL).fetch_one(pool).await?;
    number(count)
}

/// A new subscription starts after everything that is there now.
pub(super) async fn subscribe(pool: &PgPool, name: &str) -> sqlx::Result<u64> {
    // Whoever publishes holds this row, and may not have seen the subscription.
    const NOW: &str = "SELECT last FROM bartizan.outbox_place FOR UPDATE";
    const ADD: &str = "INSERT INTO bartizan.subscribers (name, done) VALUES ($1, $2) \
        ON CONFLICT (name) DO NOTHING";
    const DONE: &str = "SELECT done FROM bartizan.subscribers WHERE name = $1";
    let mut transaction = pool.begin().await?;
    let now: i64 = sqlx::query_scalar(NOW).fetch_one(&mut *transaction).await?;
    sqlx::query(ADD).bind(name).bind(now).execute(&mut *transaction).await?;
    let done: i64 = sqlx::query_scalar(DONE).bind(name).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    number(done)
}

pub(super) async fn unsubscribe(pool: &PgPool, name: &str) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let gone = sqlx::query("DELETE FROM bartizan.subscribers WHERE name = $1").bind(name);
    gone.execute(&mut *transaction).await?;
    drop_done(&mut transaction).await?;
    transaction.commit().await
}

pub(super) async fn acknowledge(pool: &PgPool, name: &str, place: u64) -> sqlx::Result<()> {
    const NOTE: &str = "UPDATE bartizan.subscribers SET done = GREATEST(done, $1) WHERE name = $2";
    let mut transaction = pool.begin().await?;
    sqlx::query(NOTE).bind(stored(place)).bind(name).execute(&mut *transaction).await?;
    drop_done(&mut transaction).await?;
    transaction.commit().await
}

/// Drops what every subscription is done with; all of it when there is none.
async fn drop_done(connection: &mut PgConnection) -> sqlx::Result<()> {
    const SQL: &str = "DELETE FROM bartizan.outbox WHERE place <= \
        COALESCE((SELECT MIN(done) FROM bartizan.subscribers), 9223372036854775807)";
    sqlx::query(SQL).execute(connection).await.map(drop)
}

pub(super) async fn drop_before(pool: &PgPool, before: Timestamp) -> sqlx::Result<u64> {
    let query = sqlx::query("DELETE FROM bartizan.outbox WHERE time_ms < $1").bind(before.millis());
    Ok(query.execute(pool).await?.rows_affected())
}
