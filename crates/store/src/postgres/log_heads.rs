//! Heads of logs: one row a log, of every node.
//!
//! The table is made where it is missing, and is no step from one format to the next: a version
//! that does not know of it may go on with the database, and brings no harm.

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use crate::LogHead;

const TABLE: &str = r#"CREATE TABLE IF NOT EXISTS bartizan.log_heads (
    log BYTEA NOT NULL PRIMARY KEY,
    origin TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL
)"#;

/// Whoever calls holds the lock of those who change the tables.
pub(super) async fn make(connection: &mut PgConnection) -> sqlx::Result<()> {
    const THERE: &str = "SELECT to_regclass('bartizan.log_heads') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(THERE).fetch_one(&mut *connection).await? {
        sqlx::query(TABLE).execute(connection).await?;
    }
    Ok(())
}

fn head(row: &PgRow) -> sqlx::Result<LogHead> {
    let size: i64 = row.try_get(2)?;
    Ok(LogHead {
        log: hash(row.try_get(0)?)?,
        origin: row.try_get(1)?,
        size: u64::try_from(size).map_err(|error| sqlx::Error::Decode(error.into()))?,
        root: hash(row.try_get(3)?)?,
    })
}

fn hash(bytes: &[u8]) -> sqlx::Result<[u8; 32]> {
    bytes.try_into().map_err(|_| sqlx::Error::Decode("a hash is not of 32 bytes".into()))
}

pub(super) async fn all(pool: &PgPool) -> sqlx::Result<Vec<LogHead>> {
    const SQL: &str = "SELECT log, origin, size, root FROM bartizan.log_heads ORDER BY log";
    sqlx::query(SQL).fetch_all(pool).await?.iter().map(head).collect()
}

pub(super) async fn remember(pool: &PgPool, head: &LogHead) -> sqlx::Result<()> {
    const SQL: &str = "INSERT INTO bartizan.log_heads (log, origin, size, root) \
        VALUES ($1, $2, $3, $4) \
        ON CONFLICT (log) DO UPDATE SET size = excluded.size, root = excluded.root";
    let size = i64::try_from(head.size).unwrap_or(i64::MAX);
    let query = sqlx::query(SQL).bind(head.log.as_slice()).bind(&head.origin);
    query.bind(size).bind(head.root.as_slice()).execute(pool).await.map(drop)
}

pub(super) async fn forget(pool: &PgPool, log: &[u8; 32]) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM bartizan.log_heads WHERE log = $1");
    query.bind(log.as_slice()).execute(pool).await.map(drop)
}
