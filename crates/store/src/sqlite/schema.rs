//! The tables, as steps from one format to the next: forward only, never edited once released.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::fault;
use crate::{Error, Result, files};

/// `BTZN`: marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: u32 = 0x4254_5A4E;
/// Step n leads from format n to format n + 1. `PRAGMA user_version` is the format.
const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2];

const FORMAT_1: &str = "
CREATE TABLE data_keys (
    tenant TEXT NOT NULL PRIMARY KEY,
    id BLOB NOT NULL,
    master TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    time_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE erased (
    key_id BLOB NOT NULL PRIMARY KEY,
    time_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE classes (
    name TEXT NOT NULL PRIMARY KEY,
    facets TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    class TEXT NOT NULL,
    id BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    meta TEXT NOT NULL,
    tag BLOB NOT NULL,
    sealed BLOB
);
CREATE UNIQUE INDEX records_by_id ON records (tenant, class, id);
CREATE INDEX records_by_time ON records (tenant, class, time_ms, id, bytes);
CREATE TABLE facets (
    tenant TEXT NOT NULL,
    class TEXT NOT NULL,
    facet TEXT NOT NULL,
    value TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (tenant, class, facet, value, time_ms, id)
) WITHOUT ROWID;
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    entity TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE subscribers (
    name TEXT NOT NULL PRIMARY KEY,
    done INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Tallies (`tallies.rs`). They are made from the records when the classes are indexed.
const FORMAT_2: &str = "
CREATE TABLE tally_names (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    class TEXT NOT NULL,
    facet TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE UNIQUE INDEX tally_names_by_value ON tally_names (tenant, class, facet, value);
CREATE TABLE tallies (
    name INTEGER NOT NULL,
    step_ms INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (name, step_ms, start_ms)
) WITHOUT ROWID;
CREATE INDEX tallies_empty ON tallies (count) WHERE count = 0;
CREATE TABLE tally_log (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    class TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX tally_log_by_class ON tally_log (tenant, class);
";

/// The format that this version writes.
pub(crate) const fn newest() -> i64 {
    #[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
    let newest = MIGRATIONS.len() as i64;
    newest
}

/// Refuses a file that is not ours, or newer than we are, without touching it. Says whether
/// there is a database at all.
pub(crate) async fn inspect(path: &Path) -> Result<bool> {
    let Some((application, format)) = header(path)? else { return Ok(false) };
    judge(path, application, format)?;
    // What a crash left in the write-ahead log may be of a newer format than the file.
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|e| fault(path, &e))?;
    let found = pragmas(&mut connection).await.map_err(|e| fault(path, &e));
    connection.close().await.map_err(|e| fault(path, &e))?;
    let (application, format) = found?;
    judge(path, application, format)?;
    Ok(true)
}

fn judge(path: &Path, application: u32, format: i64) -> Result<()> {
    let path = path.to_owned();
    if application != APPLICATION_ID && (application, format) != (0, 0) {
        return Err(Error::Foreign { path });
    }
    if format > newest() {
        return Err(Error::Newer { path, found: format, known: newest() });
    }
    Ok(())
}

/// The application id and format in the file's header (SQLite file format, section 1.3).
/// `None` for an absent or empty file.
fn header(path: &Path) -> Result<Option<(u32, i64)>> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut bytes = [0u8; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(files::failed("read", path, error)),
    };
    let fail = |source| Error::Io { what: "read", path: path.to_owned(), source };
    if file.metadata().map_err(fail)?.len() == 0 {
        return Ok(None);
    }
    let corrupt = |detail: &str| Error::Corrupt { path: path.to_owned(), detail: detail.into() };
    file.read_exact(&mut bytes).map_err(|_| corrupt("it is shorter than a database's header"))?;
    if !bytes.starts_with(MAGIC) {
        return Err(corrupt("its first bytes are not those of an SQLite database"));
    }
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
        u32::from_be_bytes(four.unwrap_or_default())
    };
    Ok(Some((number(68), i64::from(number(60)))))
}

async fn pragmas(connection: &mut SqliteConnection) -> sqlx::Result<(u32, i64)> {
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let format: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?;
    Ok((u32::try_from(application & 0xffff_ffff).unwrap_or(0), format))
}

/// Leads the database to the newest format, one transaction a step. The format is read within
/// it, so that of two processes that start at once, one does the step.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    loop {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let (_, format) = pragmas(&mut transaction).await?;
        let step = usize::try_from(format).ok().and_then(|done| MIGRATIONS.get(done));
        let Some(step) = step else { return transaction.rollback().await };
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
        let format = format + 1;
        let marks =
            format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {format};");
        sqlx::raw_sql(AssertSqlSafe(marks)).execute(&mut *transaction).await?;
        transaction.commit().await?;
        tracing::info!(format, "the database has a new format");
    }
}
