//! SQLite, in write-ahead mode: one writer that groups what arrives together into one
//! transaction, and a few readers beside it.
//!
//! Puts commit with `synchronous = NORMAL`: they survive the death of the process, and after a
//! loss of power the newest may be missing, never half there; the ledger has the durable proof.
//! Everything else (replacing, deleting, keys, events) commits with `FULL`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use bartizan_core::{Id, Timestamp};
use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

mod backup;
mod keys;
mod log_heads;
mod look;
mod outbox;
mod read;
mod schema;
mod tally;
mod write;
mod writer;

pub(crate) use backup::restore;
pub(crate) use look::look;
use writer::Writer;

use crate::{
    Class, Counts, Error, LogHead, Result, files,
    repository::{
        CountQuery, Expired, Merged, NewRow, OutboxRow, Place, Repository, Row, RowQuery, Rows,
        WrappedKey, Written,
    },
};

/// The database's file in the data directory.
pub(crate) const FILE: &str = "store.db";
/// How long a statement waits for another process to let go of the database.
const BUSY_MAX: Duration = Duration::from_secs(5);
// LIMIT: readers are for people and authentication misses; each holds a page cache.
const READERS_MAX: u32 = 4;
/// How long a read waits for one of the readers.
const READER_WAIT_MAX: Duration = Duration::from_secs(10);
/// A database up to this size is checked whole at every start: it takes some tens of
/// milliseconds. Larger ones are checked by `bartizan doctor`.
const CHECK_BYTES_MAX: u64 = 16 << 20;

/// A database file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the database of a data directory, and makes what is missing.
    pub(crate) async fn open(dir: &Path) -> Result<Self> {
        files::prepare_dir(dir)?;
        let path = dir.join(FILE);
        let exists = schema::inspect(&path).await?;
        files::private(&path).map_err(|e| files::failed("write", &path, e))?;
        let fail = |error: sqlx::Error| fault(&path, &error);
        let mut connection = writing(&path).connect().await.map_err(fail)?;
        let small = std::fs::metadata(&path).is_ok_and(|data| data.len() <= CHECK_BYTES_MAX);
        if exists && small {
            let damage = read::damage(&mut connection).await.map_err(fail)?;
            if let Some(detail) = damage.into_iter().next() {
                return Err(Error::Corrupt { path, detail });
            }
        }
        schema::migrate(&mut connection).await.map_err(fail)?;
        log_heads::make(&mut connection).await.map_err(fail)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READER_WAIT_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(common(&path).read_only(true));
        Ok(Self { writer: Writer::start(connection, &path), path, readers })
    }

    fn fault(&self, error: sqlx::Error) -> Error {
        fault(&self.path, &error)
    }
}

fn common(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_MAX)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

fn writing(path: &Path) -> SqliteConnectOptions {
    common(path)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        // What is deleted is overwritten: erasing a tenant must not leave its key in a free page.
        .pragma("secure_delete", "ON")
        .pragma("cell_size_check", "ON")
        .pragma("cache_size", "-16384")
        // Pages that change often go from the log to the file once in 32 MiB, not once in 4: the
        // flush of the file keeps the ledger waiting, which rests on the same disk.
        .pragma("wal_autocheckpoint", "8192")
        .pragma("journal_size_limit", "67108864")
}

/// What an error of the database means for the operator.
fn fault(path: &Path, error: &sqlx::Error) -> Error {
    let path = path.to_owned();
    match error {
        sqlx::Error::Database(error) => {
            // The primary result code is the low byte of the extended one
            // (https://www.sqlite.org/rescode.html).
            let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or(0) & 0xff;
            let detail = error.message().to_owned();
            match code {
                5 | 6 => Error::Busy { path },
                8 => Error::ReadOnly { path },
                11 | 26 => Error::Corrupt { path, detail },
                13 => Error::Full { path },
                _ => Error::Database { path, detail },
            }
        }
        sqlx::Error::PoolTimedOut => Error::Busy { path },
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Error::Closed,
        sqlx::Error::Io(source) => files::failed("read", &path, source.kind().into()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Error::Corrupt { path, detail: error.to_string() }
        }
        other => Error::Database { path, detail: other.to_string() },
    }
}

#[async_trait]
impl Repository for Sqlite {
    async fn insert(&self, row: NewRow, events: Vec<OutboxRow>) -> Result<Written> {
        self.writer.insert(row, events).await
    }

    async fn replace(&self, rows: Vec<(NewRow, u64)>, class: &Class) -> Result<Vec<Written>> {
        let mut writer = self.writer.durable().await?;
        let written = write::replace(writer.connection()?, &rows, class).await;
        written.map_err(|e| self.fault(e))
    }

    async fn delete(&self, tenant: &str, class: &Class, id: Id) -> Result<bool> {
        let mut writer = self.writer.durable().await?;
        let deleted = write::delete(writer.connection()?, tenant, class, id).await;
        deleted.map_err(|e| self.fault(e))
    }

    async fn get(&self, tenant: &str, class: &str, id: Id) -> Result<Option<Row>> {
        read::get(&self.readers, tenant, class, id).await.map_err(|e| self.fault(e))
    }

    async fn list(&self, query: &RowQuery<'_>) -> Result<Rows> {
        read::list(&self.readers, query).await.map_err(|e| self.fault(e))
    }

    async fn count(&self, query: &CountQuery<'_>) -> Result<Counts> {
        read::count(&self.readers, query).await.map_err(|e| self.fault(e))
    }

    async fn merge(&self, rows: Vec<NewRow>, class: &Class) -> Result<Vec<Merged>> {
        let mut writer = self.writer.durable().await?;
        let merged = write::merge(writer.connection()?, &rows, class).await;
        merged.map_err(|e| self.fault(e))
    }

    async fn classes(&self, tenant: &str) -> Result<Vec<String>> {
        read::classes(&self.readers, tenant).await.map_err(|e| self.fault(e))
    }

    async fn index(&self, classes: &[&Class]) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        write::index(writer.connection()?, classes).await.map_err(|e| self.fault(e))
    }

    async fn beyond(&self, tenant: &str, class: &str, bytes: u64) -> Result<Option<Place>> {
        read::beyond(&self.readers, tenant, class, bytes).await.map_err(|e| self.fault(e))
    }

    async fn expire(&self, tenant: &str, class: &Class, which: Expired) -> Result<u64> {
        let mut writer = self.writer.quick().await?;
        let expired = write::expire(writer.connection()?, tenant, class, which).await;
        expired.map_err(|e| self.fault(e))
    }

    async fn data_key(&self, tenant: &str) -> Result<Option<WrappedKey>> {
        keys::one(&self.readers, tenant).await.map_err(|e| self.fault(e))
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        keys::all(&self.readers).await.map_err(|e| self.fault(e))
    }

    async fn add_data_key(&self, key: WrappedKey) -> Result<Option<WrappedKey>> {
        let mut writer = self.writer.durable().await?;
        keys::add(writer.connection()?, &key).await.map_err(|e| self.fault(e))
    }

    async fn rewrap(&self, key: &WrappedKey) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        keys::rewrap(writer.connection()?, key).await.map_err(|e| self.fault(e))
    }

    async fn erase(&self, tenant: &str, now: Timestamp) -> Result<u64> {
        let mut writer = self.writer.durable().await?;
        let erased = keys::erase(writer.connection()?, tenant, now).await;
        let erased = erased.map_err(|e| self.fault(e))?;
        // Old pages, with the key, leave the write-ahead log, too.
        write::checkpoint(writer.connection()?).await.map_err(|e| self.fault(e))?;
        Ok(erased)
    }

    async fn log_heads(&self) -> Result<Vec<LogHead>> {
        log_heads::all(&self.readers).await.map_err(|e| self.fault(e))
    }

    async fn remember_log_head(&self, head: &LogHead) -> Result<()> {
        let mut writer = self.writer.quick().await?;
        log_heads::remember(writer.connection()?, head).await.map_err(|e| self.fault(e))
    }

    async fn forget_log_head(&self, log: &[u8; 32]) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        log_heads::forget(writer.connection()?, log).await.map_err(|e| self.fault(e))
    }

    async fn publish(&self, events: Vec<OutboxRow>) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        outbox::publish(writer.connection()?, &events).await.map_err(|e| self.fault(e))
    }

    async fn outbox(&self, after: u64, limit: u16) -> Result<Vec<OutboxRow>> {
        outbox::after(&self.readers, after, limit).await.map_err(|e| self.fault(e))
    }

    async fn waiting(&self) -> Result<u64> {
        outbox::waiting(&self.readers).await.map_err(|e| self.fault(e))
    }

    async fn subscribe(&self, name: &str) -> Result<u64> {
        let mut writer = self.writer.durable().await?;
        outbox::subscribe(writer.connection()?, name).await.map_err(|e| self.fault(e))
    }

    async fn unsubscribe(&self, name: &str) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        outbox::unsubscribe(writer.connection()?, name).await.map_err(|e| self.fault(e))
    }

    async fn acknowledge(&self, name: &str, place: u64) -> Result<()> {
        let mut writer = self.writer.quick().await?;
        outbox::acknowledge(writer.connection()?, name, place).await.map_err(|e| self.fault(e))
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64> {
        let mut writer = self.writer.quick().await?;
        outbox::drop_before(writer.connection()?, before).await.map_err(|e| self.fault(e))
    }

    async fn flush(&self) -> Result<()> {
        let mut writer = self.writer.durable().await?;
        write::flush(writer.connection()?).await.map_err(|e| self.fault(e))
    }

    async fn compact(&self) -> Result<()> {
        let mut writer = self.writer.quick().await?;
        write::compact(writer.connection()?).await.map_err(|e| self.fault(e))
    }

    async fn backup(&self, to: &Path) -> Result<()> {
        backup::copy(&self.readers, &self.path, to).await
    }

    async fn check(&self) -> Result<Vec<String>> {
        let mut reader = self.readers.acquire().await.map_err(|e| self.fault(e))?;
        match read::damage(&mut reader).await.map_err(|e| self.fault(e)) {
            Err(Error::Corrupt { detail, .. }) => Ok(vec![detail]),
            other => other,
        }
    }

    async fn close(&self) -> Result<()> {
        self.readers.close().await;
        let connection = self.writer.stop().await;
        match connection {
            Some(connection) => connection.close().await.map_err(|e| self.fault(e)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::NOTE;

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite_conforms() {
        let dirs = std::sync::Mutex::new(Vec::new());
        crate::conformance::all(|| async {
            let dir = tempfile::tempdir().expect("a directory");
            let repo = Sqlite::open(dir.path()).await.expect("opened");
            dirs.lock().expect("not poisoned").push(dir);
            Arc::new(repo) as Arc<dyn Repository>
        })
        .await;
    }

    #[tokio::test]
    async fn what_must_last_is_committed_with_full_and_puts_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let repo = Sqlite::open(dir.path()).await.expect("opened");
        let level = async |held: Result<tokio::sync::OwnedMutexGuard<writer::Held>>| {
            let mut held = held.expect("the writer");
            let connection = held.connection().expect("open");
            let level = sqlx::query_scalar("PRAGMA synchronous").fetch_one(connection).await;
            level.expect("read")
        };
        // 1 is NORMAL, 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
        let seen: [i64; 3] = [
            level(repo.writer.quick().await).await,
            level(repo.writer.durable().await).await,
            level(repo.writer.quick().await).await,
        ];
        assert_eq!(seen, [1, 2, 1]);
    }

    /// A request that goes away in the middle of a write takes nothing with it.
    #[tokio::test(flavor = "multi_thread")]
    async fn writes_that_are_abandoned_anywhere_leave_the_writer_fit() {
        let dir = tempfile::tempdir().expect("a directory");
        let repo = Sqlite::open(dir.path()).await.expect("opened");
        let (cx, _) = bartizan_core::sim::cx(1);
        repo.add_data_key(crate::conformance::wrapped("a", [7; 16])).await.expect("a key");
        let mut row = crate::conformance::row(&cx, "a", "red");
        repo.insert(row.clone(), Vec::new()).await.expect("inserted");
        for polls in 0..40 {
            let version =
                repo.get("a", "note", row.row.id).await.expect("read").expect("there").version;
            row.row.version = version + 1;
            let mut replace = repo.replace(vec![(row.clone(), version)], &NOTE);
            for _ in 0..polls {
                let poll = |task: &mut std::task::Context<'_>| {
                    std::task::Poll::Ready(replace.as_mut().poll(task).is_ready())
                };
                if std::future::poll_fn(poll).await {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
            drop(replace);
            let inserted = repo.insert(crate::conformance::row(&cx, "a", "blue"), Vec::new()).await;
            assert_eq!(inserted.expect("the writer goes on"), Written::Done, "{polls} polls");
        }
        assert_eq!(repo.check().await.expect("checked"), Vec::<String>::new());
    }

    /// A full disk, played by a limit on the file's pages.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_disk_refuses_whole_records_and_keeps_what_it_had() {
        let dir = tempfile::tempdir().expect("a directory");
        let repo = Sqlite::open(dir.path()).await.expect("opened");
        let (cx, _) = bartizan_core::sim::cx(1);
        let limit = async |sql: &'static str| {
            let mut writer = repo.writer.quick().await.expect("the writer");
            let connection = writer.connection().expect("open");
            sqlx::query(sql).fetch_all(connection).await.expect("set");
        };
        let row = || crate::conformance::row(&cx, "a", &"x".repeat(5000));
        repo.add_data_key(crate::conformance::wrapped("a", [7; 16])).await.expect("a key");
        limit("PRAGMA max_page_count = 60").await;
        let (mut kept, mut refused) = (Vec::new(), 0);
        for _ in 0..100 {
            let row = row();
            match repo.insert(row.clone(), Vec::new()).await {
                Ok(written) => {
                    assert_eq!(written, Written::Done);
                    kept.push(row.row);
                }
                Err(Error::Full { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(!kept.is_empty() && refused > 0);
        for row in &kept {
            let found = repo.get("a", "note", row.id).await.expect("read");
            assert_eq!(found.as_ref(), Some(row));
        }
        assert_eq!(repo.check().await.expect("checked"), Vec::<String>::new());
        // The refusals above made the writer start afresh, without the limit.
        let again = repo.insert(row(), Vec::new()).await.expect("there is room again");
        assert_eq!(again, Written::Done);
    }
}
