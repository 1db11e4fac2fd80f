//! Data keys: added, wrapped anew, destroyed.

use bartizan_core::Timestamp;
use sqlx::{Connection, Row as _, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use crate::repository::WrappedKey;

const COLUMNS_OF_ONE: &str =
    "SELECT tenant, id, master, wrapped, time_ms FROM data_keys WHERE tenant = ?";

fn key(row: &SqliteRow) -> sqlx::Result<WrappedKey> {
    let id: &[u8] = row.try_get(1)?;
    Ok(WrappedKey {
        tenant: row.try_get(0)?,
        id: id
            .try_into()
            .map_err(|_| sqlx::Error::Decode("a key's id is not of 16 bytes".into()))?,
        master: row.try_get(2)?,
        wrapped: row.try_get(3)?,
        time: Timestamp::from_millis(row.try_get(4)?),
    })
}

pub(super) async fn one(readers: &SqlitePool, tenant: &str) -> sqlx::Result<Option<WrappedKey>> {
    let query = sqlx::query(COLUMNS_OF_ONE).bind(tenant.to_owned());
    query.fetch_optional(readers).await?.as_ref().map(key).transpose()
}

pub(super) async fn all(readers: &SqlitePool) -> sqlx::Result<Vec<WrappedKey>> {
    const SQL: &str = "SELECT tenant, id, master, wrapped, time_ms FROM data_keys ORDER BY tenant";
    sqlx::query(SQL).fetch_all(readers).await?.iter().map(key).collect()
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    new: &WrappedKey,
) -> sqlx::Result<Option<WrappedKey>> {
    const SQL: &str = "INSERT INTO data_keys (tenant, id, master, wrapped, time_ms) VALUES (?, ?, ?, ?, ?) \
        ON CONFLICT (tenant) DO NOTHING";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let erased = sqlx::query("SELECT 1 FROM erased WHERE key_id = ?").bind(new.id.to_vec());
    if erased.fetch_optional(&mut *transaction).await?.is_some() {
        return Ok(None);
    }
    let query = sqlx::query(SQL).bind(new.tenant.clone()).bind(new.id.to_vec());
    let query = query.bind(new.master.clone()).bind(new.wrapped.clone()).bind(new.time.millis());
    query.execute(&mut *transaction).await?;
    let stored = sqlx::query(COLUMNS_OF_ONE).bind(new.tenant.clone());
    let stored = key(&stored.fetch_one(&mut *transaction).await?)?;
    transaction.commit().await?;
    Ok(Some(stored))
}

pub(super) async fn rewrap(
    connection: &mut SqliteConnection,
    key: &WrappedKey,
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE data_keys SET master = ?, wrapped = ? WHERE tenant = ? AND id = ?";
    let query = sqlx::query(SQL).bind(key.master.clone()).bind(key.wrapped.clone());
    let query = query.bind(key.tenant.clone()).bind(key.id.to_vec());
    query.execute(connection).await.map(drop)
}

/// Destroys the key and removes all that the tenant has. The key's id stays, so that a backup
/// that still has the key cannot bring it back unnoticed.
pub(super) async fn erase(
    connection: &mut SqliteConnection,
    tenant: &str,
    now: Timestamp,
) -> sqlx::Result<u64> {
    const NOTE: &str = "INSERT OR IGNORE INTO erased (key_id, time_ms) \
        SELECT id, ? FROM data_keys WHERE tenant = ?";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let note = sqlx::query(NOTE).bind(now.millis()).bind(tenant.to_owned());
    note.execute(&mut *transaction).await?;
    let mut records = 0;
    for sql in [
        "DELETE FROM data_keys WHERE tenant = ?",
        "DELETE FROM facets WHERE tenant = ?",
        "DELETE FROM tallies WHERE name IN (SELECT id FROM tally_names WHERE tenant = ?)",
        "DELETE FROM tally_names WHERE tenant = ?",
        "DELETE FROM tally_log WHERE tenant = ?",
        "DELETE FROM outbox WHERE tenant = ?",
        "DELETE FROM records WHERE tenant = ?",
    ] {
        let query = sqlx::query(sql).bind(tenant.to_owned());
        records = query.execute(&mut *transaction).await?.rows_affected();
    }
    transaction.commit().await?;
    Ok(records)
}
