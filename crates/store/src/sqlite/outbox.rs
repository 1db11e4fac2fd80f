//! Events that wait until every subscription has them.

use bartizan_core::Timestamp;
use sqlx::{Connection, Row as _, SqliteConnection, SqlitePool};

use crate::{
    columns::{id, number, stored},
    repository::OutboxRow,
};

/// Adds events within the caller's transaction; nobody subscribed, nothing to keep.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    events: &[&OutboxRow],
) -> sqlx::Result<()> {
    const SUBSCRIBED: &str = "SELECT 1 FROM subscribers LIMIT 1";
    const ADD: &str =
        "INSERT INTO outbox (tenant, id, entity, time_ms, body) VALUES (?, ?, ?, ?, ?)";
    if events.is_empty()
        || sqlx::query(SUBSCRIBED).fetch_optional(&mut *connection).await?.is_none()
    {
        return Ok(());
    }
    for event in events {
        let query = sqlx::query(ADD).bind(event.tenant.clone()).bind(event.id.as_bytes().to_vec());
        let query = query.bind(event.entity.clone()).bind(event.time.millis());
        query.bind(event.body.clone()).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn publish(
    connection: &mut SqliteConnection,
    events: &[OutboxRow],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    add(&mut transaction, &events.iter().collect::<Vec<_>>()).await?;
    transaction.commit().await
}

pub(super) async fn after(
    readers: &SqlitePool,
    place: u64,
    limit: u16,
) -> sqlx::Result<Vec<OutboxRow>> {
    const SQL: &str = "SELECT place, tenant, id, entity, time_ms, body FROM outbox \
        WHERE place > ? ORDER BY place LIMIT ?";
    let rows = sqlx::query(SQL).bind(stored(place)).bind(limit).fetch_all(readers).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        Ok(OutboxRow {
            place: number(row.try_get(0)?)?,
            tenant: row.try_get(1)?,
            id: id(row.try_get(2)?)?,
            entity: row.try_get(3)?,
            time: Timestamp::from_millis(row.try_get(4)?),
            body: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

pub(super) async fn waiting(readers: &SqlitePool) -> sqlx::Result<u64> {
    const SQL: &str = "SELECT COALESCE((SELECT MAX(place) FROM outbox) \
        - (SELECT MIN(place) FROM outbox) + 1, 0)";
    let count: i64 = sqlx::query_scalar(SQL).fetch_one(readers).await?;
    number(count)
}

/// A new subscription starts after everything that is there now.
pub(super) async fn subscribe(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<u64> {
    const ADD: &str = "INSERT INTO subscribers (name, done) \
        VALUES (?, COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)) \
        ON CONFLICT (name) DO NOTHING";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(ADD).bind(name.to_owned()).execute(&mut *transaction).await?;
    let done = sqlx::query_scalar("SELECT done FROM subscribers WHERE name = ?");
    let done: i64 = done.bind(name.to_owned()).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    number(done)
}

pub(super) async fn unsubscribe(connection: &mut SqliteConnection, name: &str) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let gone = sqlx::query("DELETE FROM subscribers WHERE name = ?").bind(name.to_owned());
    gone.execute(&mut *transaction).await?;
    drop_done(&mut transaction).await?;
    transaction.commit().await
}

pub(super) async fn acknowledge(
    connection: &mut SqliteConnection,
    name: &str,
    place: u64,
) -> sqlx::Result<()> {
    const NOTE: &str = "UPDATE subscribers SET done = MAX(done, ?) WHERE name = ?";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let note = sqlx::query(NOTE).bind(stored(place)).bind(name.to_owned());
    note.execute(&mut *transaction).await?;
    drop_done(&mut transaction).await?;
    transaction.commit().await
}

/// Drops what every subscription is done with; all of it when there is none.
async fn drop_done(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    const SQL: &str = "DELETE FROM outbox WHERE place <= \
        COALESCE((SELECT MIN(done) FROM subscribers), 9223372036854775807)";
    sqlx::query(SQL).execute(connection).await.map(drop)
}

pub(super) async fn drop_before(
    connection: &mut SqliteConnection,
    before: Timestamp,
) -> sqlx::Result<u64> {
    let query = sqlx::query("DELETE FROM outbox WHERE time_ms < ?").bind(before.millis());
    Ok(query.execute(connection).await?.rows_affected())
}
