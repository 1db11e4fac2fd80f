//! PostgreSQL, which several nodes share.
//!
//! Every write is committed with the server's `synchronous_commit`, which is on unless the
//! database's administrator turned it off: what was acknowledged survives the server's death.
//! Nothing waits for ever: a statement that the server does not answer in time is given up, and
//! its outcome is unknown, as after any broken connection; ids make a repetition harmless.

use std::{path::Path, str::FromStr, time::Duration};

use async_trait::async_trait;
use bartizan_core::{Id, Timestamp};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
};

mod keys;
mod outbox;
mod read;
mod schema;
mod tally;
mod write;

use crate::{
    Class, Counts, Error, Result,
    repository::{
        CountQuery, Expired, Merged, NewRow, OutboxRow, Place, Repository, Row, RowQuery, Rows,
        WrappedKey, Written,
    },
};

// LIMIT: connections of one node; PostgreSQL takes 100 in all unless told otherwise.
const CONNECTIONS_MAX: u32 = 16;
/// How long a call waits for a free connection, or for the server to take one.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// After this the server ends a statement by itself.
const STATEMENT_MS_MAX: &str = "20000";
/// After this a call gives up on a server that says nothing.
const ANSWER_MAX: Duration = Duration::from_secs(25);
const KEY: &str = "store.database_url";

/// A database on a server.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: PgPool,
    /// Host, port and database, without user and password.
    place: String,
}

impl Postgres {
    /// Connects, and makes the tables that are missing.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let opened = Self::connect(url)?;
        schema::migrate(&opened.pool, &opened.place).await?;
        Ok(opened)
    }

    /// Says what is there, and changes nothing.
    pub(crate) async fn look(url: &str) -> Result<String> {
        let there = Self::connect(url)?;
        let found = match schema::inspect(&there.pool, &there.place).await? {
            0 => format!("{} answers, and has no tables of ours yet", there.place),
            format => format!("{} answers, with format {format}", there.place),
        };
        there.pool.close().await;
        Ok(found)
    }

    fn connect(url: &str) -> Result<Self> {
        let (options, place) = options(url)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECT_MAX)
            .connect_lazy_with(options);
        Ok(Self { pool, place })
    }

    /// Runs a call, and says what its failure means.
    async fn run<T>(&self, call: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        self.run_for(ANSWER_MAX, call).await
    }

    async fn run_for<T>(
        &self,
        most: Duration,
        call: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(most, call).await {
            Ok(done) => done.map_err(|error| fault(&self.place, error)),
            Err(_) => Err(away(&self.place, format!("no answer within {} s", most.as_secs()))),
        }
    }
}

/// Takes a URL apart. To a server that is not on this machine the connection is encrypted and
/// the server's certificate verified, unless the URL says otherwise.
fn options(url: &str) -> Result<(PgConnectOptions, String)> {
    let wrong = |problem: String| Error::Url {
        key: KEY,
        what: "PostgreSQL",
        problem,
        example: "`postgresql://user@host:5432/database`",
    };
    if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
        return Err(wrong("it does not begin with `postgresql://`".to_owned()));
    }
    // The parser's own words may hold the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| wrong("it cannot be read as a URL with known parameters".to_owned()))?;
    let host = options.get_host().to_owned();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let options = match options.get_ssl_mode() {
        PgSslMode::Prefer if !local => options.ssl_mode(PgSslMode::VerifyFull),
        _ => options,
    };
    let name = options.get_database().unwrap_or(options.get_username()).to_owned();
    let place = format!("postgresql://{host}:{}/{name}", options.get_port());
    let options = options
        .application_name("bartizan")
        .options([("statement_timeout", STATEMENT_MS_MAX), ("timezone", "UTC")]);
    Ok((sqlx::ConnectOptions::disable_statement_logging(options), place))
}

/// What a URL names, without user and password.
pub(crate) fn place(url: &str) -> Result<String> {
    options(url).map(|(_, place)| place)
}

fn away(place: &str, detail: String) -> Error {
    Error::Away { what: "PostgreSQL", place: place.to_owned(), key: KEY, detail }
}

/// What an error means for the operator. The codes are those of PostgreSQL's documentation,
/// appendix A.
fn fault(place: &str, error: sqlx::Error) -> Error {
    let path = place.into();
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default().into_owned();
            let detail = error.message().to_owned();
            match code.as_str() {
                "53100" => Error::Full { path },
                "25006" => Error::ReadOnly { path },
                "XX001" | "XX002" => Error::Corrupt { path, detail },
                // Shutting down, starting, too many connections; who we are is refused.
                "57P01" | "57P02" | "57P03" | "53300" => away(place, detail),
                code if code.starts_with("08") || code.starts_with("28") => away(place, detail),
                _ => Error::Database { path, detail },
            }
        }
        sqlx::Error::PoolTimedOut => {
            away(place, format!("no connection within {} s", CONNECT_MAX.as_secs()))
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Error::Closed,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            Error::Corrupt { path, detail: error.to_string() }
        }
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => {
            away(place, error.to_string())
        }
        other => Error::Database { path, detail: other.to_string() },
    }
}

#[async_trait]
impl Repository for Postgres {
    async fn insert(&self, row: NewRow, events: Vec<OutboxRow>) -> Result<Written> {
        self.run(write::insert(&self.pool, &row, &events)).await
    }

    async fn replace(&self, rows: Vec<(NewRow, u64)>, class: &Class) -> Result<Vec<Written>> {
        self.run(write::replace(&self.pool, &rows, class)).await
    }

    async fn delete(&self, tenant: &str, class: &Class, id: Id) -> Result<bool> {
        self.run(write::delete(&self.pool, tenant, class, id)).await
    }

    async fn get(&self, tenant: &str, class: &str, id: Id) -> Result<Option<Row>> {
        self.run(read::get(&self.pool, tenant, class, id)).await
    }

    async fn list(&self, query: &RowQuery<'_>) -> Result<Rows> {
        self.run(read::list(&self.pool, query)).await
    }

    async fn count(&self, query: &CountQuery<'_>) -> Result<Counts> {
        self.run(read::count(&self.pool, query)).await
    }

    async fn merge(&self, rows: Vec<NewRow>, class: &Class) -> Result<Vec<Merged>> {
        self.run(write::merge(&self.pool, &rows, class)).await
    }

    async fn classes(&self, tenant: &str) -> Result<Vec<String>> {
        self.run(read::classes(&self.pool, tenant)).await
    }

    async fn index(&self, classes: &[&Class]) -> Result<()> {
        self.run_for(LONG, write::index(&self.pool, classes)).await
    }

    async fn beyond(&self, tenant: &str, class: &str, bytes: u64) -> Result<Option<Place>> {
        self.run(read::beyond(&self.pool, tenant, class, bytes)).await
    }

    async fn expire(&self, tenant: &str, class: &Class, which: Expired) -> Result<u64> {
        self.run(write::expire(&self.pool, tenant, class, which)).await
    }

    async fn data_key(&self, tenant: &str) -> Result<Option<WrappedKey>> {
        self.run(keys::one(&self.pool, tenant)).await
    }

    async fn data_keys(&self) -> Result<Vec<WrappedKey>> {
        self.run(keys::all(&self.pool)).await
    }

    async fn add_data_key(&self, key: WrappedKey) -> Result<Option<WrappedKey>> {
        self.run(keys::add(&self.pool, &key)).await
    }

    async fn rewrap(&self, key: &WrappedKey) -> Result<()> {
        self.run(keys::rewrap(&self.pool, key)).await
    }

    async fn erase(&self, tenant: &str, now: Timestamp) -> Result<u64> {
        self.run_for(LONG, keys::erase(&self.pool, tenant, now)).await
    }

    async fn publish(&self, events: Vec<OutboxRow>) -> Result<()> {
        self.run(outbox::publish(&self.pool, &events)).await
    }

    async fn outbox(&self, after: u64, limit: u16) -> Result<Vec<OutboxRow>> {
        self.run(outbox::after(&self.pool, after, limit)).await
    }

    async fn waiting(&self) -> Result<u64> {
        self.run(outbox::waiting(&self.pool)).await
    }

    async fn subscribe(&self, name: &str) -> Result<u64> {
        self.run(outbox::subscribe(&self.pool, name)).await
    }

    async fn unsubscribe(&self, name: &str) -> Result<()> {
        self.run(outbox::unsubscribe(&self.pool, name)).await
    }

    async fn acknowledge(&self, name: &str, place: u64) -> Result<()> {
        self.run(outbox::acknowledge(&self.pool, name, place)).await
    }

    async fn drop_events(&self, before: Timestamp) -> Result<u64> {
        self.run(outbox::drop_before(&self.pool, before)).await
    }

    /// Every commit was durable already.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    /// The server's own autovacuum does it; here, what was counted and is gone is forgotten.
    async fn compact(&self) -> Result<()> {
        self.run(tally::forget(&self.pool)).await
    }

    async fn backup(&self, _to: &Path) -> Result<()> {
        Err(Error::BackupElsewhere { place: self.place.clone() })
    }

    /// Whether it answers; its own checks (`pg_amcheck`) are for its administrator.
    async fn check(&self) -> Result<Vec<String>> {
        self.run(async { sqlx::query("SELECT 1").execute(&self.pool).await }).await?;
        Ok(Vec::new())
    }

    async fn close(&self) -> Result<()> {
        self.pool.close().await;
        Ok(())
    }

    fn shared(&self) -> bool {
        true
    }
}

/// How long a change of the whole database may take.
const LONG: Duration = Duration::from_secs(3600);

#[cfg(test)]
#[path = "../../../../tests/common/postgres.rs"]
mod server;

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::{server::PostgresServer, *};

    #[tokio::test(flavor = "multi_thread")]
    async fn postgres_conforms() {
        let Some(server) = PostgresServer::start() else { return };
        let count = AtomicU32::new(0);
        crate::conformance::all(|| async {
            let name = format!("conformance_{}", count.fetch_add(1, Ordering::Relaxed));
            let repo = Postgres::open(&server.database(&name)).await.expect("opened");
            Arc::new(repo) as Arc<dyn Repository>
        })
        .await;
    }

    #[test]
    fn connections_beyond_this_machine_are_verified_unless_the_url_says_otherwise() {
        let mode = |url: &str| options(url).expect("read").0.get_ssl_mode();
        assert!(matches!(mode("postgresql://u@db.example/b"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgresql://u@10.0.0.7/b"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgresql://u@127.0.0.1/b"), PgSslMode::Prefer));
        assert!(matches!(mode("postgresql://u@localhost/b"), PgSslMode::Prefer));
        assert!(matches!(mode("postgresql://u@db/b?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgresql://u@db/b?sslmode=disable"), PgSslMode::Disable));
    }

    #[test]
    fn a_wrong_url_is_refused_without_its_password() {
        for url in ["mysql://u:secret@h/d", "postgresql://u:secret@h:port/d", "secret", ""] {
            let said = options(url).expect_err("refused").to_string();
            assert!(said.contains(KEY) && !said.contains("secret"), "{said}");
        }
        let (_, place) = options("postgresql://u:secret@db.example:99/b").expect("read");
        assert_eq!(place, "postgresql://db.example:99/b");
    }
}
