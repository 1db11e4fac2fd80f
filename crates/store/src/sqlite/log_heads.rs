//! Heads of logs: one row a log.
//!
//! The table is made where it is missing, and is no step from one format to the next: a version
//! that does not know of it may go on with the database, and brings no harm.

use sqlx::{Row as _, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use crate::LogHead;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS log_heads (
    log BLOB NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL
) WITHOUT ROWID";

pub(super) async fn make(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query(TABLE).execute(connection).await.map(drop)
}

fn head(row: &SqliteRow) -> sqlx::Result<LogHead> {
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

pub(super) async fn all(readers: &SqlitePool) -> sqlx::Result<Vec<LogHead>> {
    const SQL: &str = "SELECT log, origin, size, root FROM log_heads ORDER BY log";
    sqlx::query(SQL).fetch_all(readers).await?.iter().map(head).collect()
}

pub(super) async fn remember(
    connection: &mut SqliteConnection,
    head: &LogHead,
) -> sqlx::Result<()> {
    const SQL: &str = "INSERT INTO log_heads (log, origin, size, root) VALUES (?, ?, ?, ?) \
        ON CONFLICT (log) DO UPDATE SET size = excluded.size, root = excluded.root";
    let size = i64::try_from(head.size).unwrap_or(i64::MAX);
    let query = sqlx::query(SQL).bind(head.log.to_vec()).bind(head.origin.clone());
    query.bind(size).bind(head.root.to_vec()).execute(connection).await.map(drop)
}

pub(super) async fn forget(connection: &mut SqliteConnection, log: &[u8; 32]) -> sqlx::Result<()> {
    let query = sqlx::query("DELETE FROM log_heads WHERE log = ?").bind(log.to_vec());
    query.execute(connection).await.map(drop)
}

/// Forgets all: a backup knows the log only as it was then.
pub(super) async fn forget_all(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM log_heads").execute(connection).await.map(drop)
}
