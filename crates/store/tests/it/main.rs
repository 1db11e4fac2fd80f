//! The store through its front door.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test may fail loudly"
)]

mod backups;
mod bus;
mod damage;
mod keys;
mod limits;
mod nats;
mod nats_server;
mod portable;
mod postgres;
#[path = "../../../../tests/common/postgres.rs"]
mod postgres_server;
mod records;
mod redis;
mod redis_server;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bartizan_core::{Cx, Id, Tenant, sim};
use bartizan_store::{Class, Counting, Retention, Store, StoreSettings};
use serde_json::{Map, Value};
use sqlx::Connection;

const NOTE: Class = Class {
    name: "note",
    facets: &["color", "tags"],
    counted: &["color", "tags"],
    retention: Retention::days(10),
};
const BLOB: Class =
    Class { name: "blob", facets: &[], counted: &[], retention: Retention::FOREVER };
const CLASSES: &[&Class] = &[&NOTE, &BLOB];

/// A store in a directory that goes when the test ends.
struct House {
    store: Store,
    settings: StoreSettings,
    dir: tempfile::TempDir,
    cx: Cx,
    clock: Arc<sim::ManualClock>,
}

impl House {
    async fn new() -> Self {
        Self::with(StoreSettings::default()).await
    }

    async fn with(settings: StoreSettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (cx, clock) = sim::cx(rand_seed());
        let store = Store::open(&settings, dir.path(), CLASSES, &cx).await.expect("opened");
        Self { store, settings, dir, cx, clock }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn db(&self) -> PathBuf {
        self.path().join("store.db")
    }

    /// Puts a note; its id.
    async fn note(&self, tenant: &Tenant, color: &str, text: &str) -> Id {
        let id = Id::new(&self.cx);
        let text = Value::from(text);
        let put = self.store.put(tenant, &NOTE, id, meta(&[("color", color)]), Some(&text));
        put.await.expect("put");
        id
    }

    /// Closes the store and opens it again.
    async fn reopen(&mut self) -> bartizan_store::Result<()> {
        self.store.close().await.expect("closed");
        self.store = Store::open(&self.settings, self.dir.path(), CLASSES, &self.cx).await?;
        Ok(())
    }

    /// Runs SQL in the closed or open database, as an intruder would.
    async fn tamper(&self, sql: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.db());
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("open");
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("changed");
        connection.close().await.expect("closed");
    }
}

/// Stores share nothing, so every one may have the same seed; two in one test must not.
fn rand_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn open(dir: &Path, cx: &Cx) -> bartizan_store::Result<Store> {
    Store::open(&StoreSettings::default(), dir, CLASSES, cx).await
}

/// How many notes have each value of a facet.
async fn count(store: &Store, of: &Tenant, facet: &str) -> Vec<(String, u64)> {
    let what = Counting { by: vec![facet], ..Counting::new(&NOTE) };
    let counts = store.count(of, &what).await.expect("counted");
    assert!(counts.exact && counts.facets[0].exact);
    counts.facets[0].values.clone()
}

fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant")
}

fn meta(fields: &[(&str, &str)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

/// All bytes of all files of a directory and those in it.
fn bytes_of(dir: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("a file"));
    let read = |path: PathBuf| {
        if path.is_dir() { bytes_of(&path) } else { std::fs::read(path).expect("read") }
    };
    entries.flat_map(|entry| read(entry.path())).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
