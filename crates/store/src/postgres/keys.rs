//! Data keys: added, wrapped anew, destroyed.

use bartizan_core::Timestamp;
use sqlx::{PgPool, Row as _, postgres::PgRow};

use super::tally;
use crate::repository::WrappedKey;

const ONE: &str =
    "SELECT tenant, id, master, wrapped, time_ms FROM bartizan.data_keys WHERE tenant = $1";

fn key(row: &PgRow) -> sqlx::Result<WrappedKey> {
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

pub(super) async fn one(pool: &PgPool, tenant: &str) -> sqlx::Result<Option<WrappedKey>> {
    sqlx::query(ONE).bind(tenant).fetch_optional(pool).await?.as_ref().map(key).transpose()
}

pub(super) async fn all(pool: &PgPool) -> sqlx::Result<Vec<WrappedKey>> {
    const SQL: &str =
        "SELECT tenant, id, master, wrapped, time_ms FROM bartizan.data_keys ORDER BY tenant";
    sqlx::query(SQL).fetch_all(pool).await?.iter().map(key).collect()
}

pub(super) async fn add(pool: &PgPool, new: &WrappedKey) -> sqlx::Result<Option<WrappedKey>> {
    const SQL: &str = "INSERT INTO bartizan.data_keys (tenant, id, master, wrapped, time_ms) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant) DO NOTHING";
    const ERASED: &str = "SELECT EXISTS (SELECT FROM bartizan.erased WHERE key_id = $1)";
    loop {
        let mut transaction = pool.begin().await?;
        let erased = sqlx::query_scalar(ERASED).bind(new.id.as_slice());
        if erased.fetch_one(&mut *transaction).await? {
            return Ok(None);
        }
        let query = sqlx::query(SQL).bind(&new.tenant).bind(new.id.as_slice());
        let query = query.bind(&new.master).bind(&new.wrapped).bind(new.time.millis());
        query.execute(&mut *transaction).await?;
        let stored = sqlx::query(ONE).bind(&new.tenant).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        // Nothing there although it was in the way: it was destroyed in between.
        if let Some(stored) = stored {
            return key(&stored).map(Some);
        }
    }
}

pub(super) async fn rewrap(pool: &PgPool, key: &WrappedKey) -> sqlx::Result<()> {
    const SQL: &str =
        "UPDATE bartizan.data_keys SET master = $1, wrapped = $2 WHERE tenant = $3 AND id = $4";
    let query = sqlx::query(SQL).bind(&key.master).bind(&key.wrapped);
    query.bind(&key.tenant).bind(key.id.as_slice()).execute(pool).await.map(drop)
}

/// Destroys the key and removes all that the tenant has. The key's id stays, so that a copy
/// that still has the key cannot bring it back unnoticed. The key's row goes first: whoever
/// writes under it has a lock on it until the commit, and is waited for.
pub(super) async fn erase(pool: &PgPool, tenant: &str, now: Timestamp) -> sqlx::Result<u64> {
    const NOTE: &str = "WITH gone AS (DELETE FROM bartizan.data_keys WHERE tenant = $1 RETURNING id) \
        INSERT INTO bartizan.erased (key_id, time_ms) SELECT id, $2 FROM gone ON CONFLICT DO NOTHING";
    let mut transaction = pool.begin().await?;
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    sqlx::query(NOTE).bind(tenant).bind(now.millis()).execute(&mut *transaction).await?;
    // Whoever folds the tallies' log would bring back what is removed here.
    tally::alone(&mut transaction).await?;
    let mut records = 0;
    for sql in [
        "DELETE FROM bartizan.facets WHERE tenant = $1",
        "DELETE FROM bartizan.tallies t USING bartizan.tally_names n WHERE t.name = n.id AND n.tenant = $1",
        "DELETE FROM bartizan.tally_names WHERE tenant = $1",
        "DELETE FROM bartizan.tally_log WHERE tenant = $1",
        "DELETE FROM bartizan.outbox WHERE tenant = $1",
        "DELETE FROM bartizan.records WHERE tenant = $1",
    ] {
        let gone = sqlx::query(sql).bind(tenant).execute(&mut *transaction).await?;
        records = gone.rows_affected();
    }
    transaction.commit().await?;
    Ok(records)
}
