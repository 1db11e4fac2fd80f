//! The tables, as steps from one format to the next: forward only, never edited once released.
//!
//! They stand in a schema of their own, so that a database may be shared with others' tables.
//! Values that are compared byte by byte are `BYTEA`, or `TEXT` of collation "C": the order is
//! the same whatever the database's locale, and a text may hold a NUL.

use sqlx::{PgConnection, PgPool};

use crate::{Error, Result};

/// Step n leads from format n to format n + 1.
const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2];

const FORMAT_1: &str = r#"
CREATE TABLE bartizan.data_keys (
    tenant TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id BYTEA NOT NULL,
    master TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    time_ms BIGINT NOT NULL
);
CREATE TABLE bartizan.erased (
    key_id BYTEA NOT NULL PRIMARY KEY,
    time_ms BIGINT NOT NULL
);
CREATE TABLE bartizan.classes (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    facets TEXT NOT NULL
);
CREATE TABLE bartizan.records (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    id BYTEA NOT NULL,
    time_ms BIGINT NOT NULL,
    version BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    meta BYTEA NOT NULL,
    tag BYTEA NOT NULL,
    sealed BYTEA
);
-- What is encrypted does not compress: do not try.
ALTER TABLE bartizan.records ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX records_by_id ON bartizan.records (tenant, class, id);
CREATE INDEX records_by_time ON bartizan.records (tenant, class, time_ms, id) INCLUDE (bytes);
CREATE TABLE bartizan.facets (
    tenant TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    facet TEXT COLLATE "C" NOT NULL,
    value BYTEA NOT NULL,
    time_ms BIGINT NOT NULL,
    id BYTEA NOT NULL,
    PRIMARY KEY (tenant, class, facet, value, time_ms, id)
);
CREATE TABLE bartizan.outbox (
    place BIGINT NOT NULL PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    id BYTEA NOT NULL,
    entity BYTEA NOT NULL,
    time_ms BIGINT NOT NULL,
    body BYTEA NOT NULL
);
-- The last place that was given. A writer holds this row until it commits, so that places
-- become visible in their order: a reader that has seen one has seen all before it.
CREATE TABLE bartizan.outbox_place (last BIGINT NOT NULL);
INSERT INTO bartizan.outbox_place VALUES (0);
CREATE TABLE bartizan.subscribers (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    done BIGINT NOT NULL
);
"#;

/// Tallies (`tallies.rs`). They are made from the records when the classes are indexed.
const FORMAT_2: &str = r#"
CREATE TABLE bartizan.tally_names (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    facet TEXT COLLATE "C" NOT NULL,
    value BYTEA NOT NULL,
    UNIQUE (tenant, class, facet, value)
);
CREATE TABLE bartizan.tallies (
    name BIGINT NOT NULL,
    step_ms BIGINT NOT NULL,
    start_ms BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (name, step_ms, start_ms)
);
CREATE TABLE bartizan.tally_log (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    line TEXT NOT NULL
);
"#;

/// `BTZN`: the advisory lock of whoever leads the tables to another format.
const LOCK: i64 = 0x4254_5A4E;

/// The format that this version writes.
const fn newest() -> i64 {
    #[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
    let newest = MIGRATIONS.len() as i64;
    newest
}

/// Leads the database to the newest format, in one transaction: of several nodes that start at
/// once, one does it. A newer format is refused, and not touched.
pub(super) async fn migrate(pool: &PgPool, place: &str) -> Result<()> {
    let fail = |error: sqlx::Error| super::fault(place, error);
    let mut transaction = pool.begin().await.map_err(fail)?;
    alone(&mut transaction).await.map_err(fail)?;
    let format = format(&mut transaction).await.map_err(fail)?;
    if format > newest() {
        return Err(Error::Newer { path: place.into(), found: format, known: newest() });
    }
    if format < newest() {
        lead(&mut transaction, format).await.map_err(fail)?;
        transaction.commit().await.map_err(fail)?;
        tracing::info!(format = newest(), "the database has a new format");
    }
    Ok(())
}

/// Looks at the format, and changes nothing; 0 where nothing was made yet.
pub(super) async fn inspect(pool: &PgPool, place: &str) -> Result<i64> {
    let fail = |error: sqlx::Error| super::fault(place, error);
    let mut connection = pool.acquire().await.map_err(fail)?;
    let found = format(&mut connection).await.map_err(fail)?;
    if found > newest() {
        return Err(Error::Newer { path: place.into(), found, known: newest() });
    }
    Ok(found)
}

/// Waits until no other node changes the tables, and takes as much time as it needs.
pub(super) async fn alone(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *connection).await?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(connection).await.map(drop)
}

/// The format of what is there; 0 for nothing.
async fn format(connection: &mut PgConnection) -> sqlx::Result<i64> {
    const TABLE: &str = "SELECT to_regclass('bartizan.format') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(TABLE).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT number FROM bartizan.format").fetch_one(connection).await
}

async fn lead(connection: &mut PgConnection, from: i64) -> sqlx::Result<()> {
    if from == 0 {
        const FIRST: &str = "CREATE SCHEMA IF NOT EXISTS bartizan;
            CREATE TABLE bartizan.format (number BIGINT NOT NULL);
            INSERT INTO bartizan.format VALUES (0);";
        sqlx::raw_sql(FIRST).execute(&mut *connection).await?;
    }
    let done = usize::try_from(from).unwrap_or(usize::MAX);
    for step in MIGRATIONS.iter().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    let note = sqlx::query("UPDATE bartizan.format SET number = $1").bind(newest());
    note.execute(connection).await.map(drop)
}
