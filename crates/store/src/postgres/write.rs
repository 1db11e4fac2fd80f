//! Changing rows. Whoever writes under a data key locks its row until the commit, so that a key
//! is not destroyed in between.

use bartizan_core::Id;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{outbox, read::text, schema};
use crate::{
    Class,
    columns::{id, stored},
    facets,
    repository::{Expired, KeyId, Merged, NewRow, OutboxRow, Row, Sealed, Written},
};

/// How many rows a sweep removes in one transaction.
const EXPIRE_MAX: i64 = 500;
/// How many rows are made findable in one go.
const INDEX_MAX: i64 = 1000;

/// Adds one row and its facets where its data key is there and its id is free: says which held.
const INSERT: &str = "WITH \
    k AS (SELECT FROM bartizan.data_keys WHERE tenant = $1 AND id = $2 FOR KEY SHARE), \
    r AS (INSERT INTO bartizan.records \
            (tenant, class, id, time_ms, version, bytes, meta, tag, sealed) \
        SELECT $1, $3, $4, $5, $6, $7, $8, $9, $10 FROM k ON CONFLICT DO NOTHING RETURNING 1), \
    f AS (INSERT INTO bartizan.facets (tenant, class, facet, value, time_ms, id) \
        SELECT $1, $3, n.facet, n.value, $5, $4 FROM r, UNNEST($11, $12) AS n (facet, value) \
        ON CONFLICT DO NOTHING) \
    SELECT EXISTS (SELECT FROM k), EXISTS (SELECT FROM r)";

pub(super) async fn insert(
    pool: &PgPool,
    new: &NewRow,
    events: &[OutboxRow],
) -> sqlx::Result<Written> {
    if events.is_empty() {
        // One statement is a transaction by itself.
        return add(&mut *pool.acquire().await?, new).await;
    }
    let mut transaction = pool.begin().await?;
    let written = add(&mut transaction, new).await?;
    if written == Written::Done {
        outbox::add(&mut transaction, events).await?;
        transaction.commit().await?;
    }
    Ok(written)
}

async fn add(connection: &mut PgConnection, new: &NewRow) -> sqlx::Result<Written> {
    let Row { tenant, class, id, time, version, meta, tag, .. } = &new.row;
    let names: Vec<&str> = new.facets.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<&[u8]> = new.facets.iter().map(|(_, value)| value.as_bytes()).collect();
    let query = sqlx::query_as(INSERT).bind(tenant).bind(new.key.as_slice());
    let query = query.bind(class.as_ref()).bind(id.as_bytes().as_slice()).bind(time.millis());
    let query = query.bind(stored(*version)).bind(stored(new.row.bytes())).bind(meta.as_bytes());
    let query = query.bind(tag).bind(sealed(&new.row)).bind(names).bind(values);
    let (key, row): (bool, bool) = query.fetch_one(connection).await?;
    Ok(match (key, row) {
        (false, _) => Written::KeyGone,
        (true, false) => Written::Exists,
        (true, true) => Written::Done,
    })
}

pub(super) async fn replace(
    pool: &PgPool,
    new: &NewRow,
    expected: u64,
    facets: &[&str],
) -> sqlx::Result<Written> {
    let mut transaction = pool.begin().await?;
    let row = &new.row;
    if !lock_key(&mut transaction, &row.tenant, &new.key).await? {
        return Ok(Written::KeyGone);
    }
    let Some(old) = lock_row(&mut transaction, &row.tenant, &row.class, row.id).await? else {
        return Ok(Written::Missing);
    };
    if old.version != stored(expected) {
        return Ok(Written::Version(u64::try_from(old.version).unwrap_or(0)));
    }
    change(&mut transaction, &old, new, facets).await?;
    transaction.commit().await?;
    Ok(Written::Done)
}

/// Puts a row in the place of a locked one. The row stays the same one, since whoever waits for
/// it would take a new one for none.
async fn change(
    connection: &mut PgConnection,
    old: &Old,
    new: &NewRow,
    facets: &[&str],
) -> sqlx::Result<()> {
    const SQL: &str = "UPDATE bartizan.records \
        SET time_ms = $2, version = $3, bytes = $4, meta = $5, tag = $6, sealed = $7 \
        WHERE number = $1";
    let row = &new.row;
    let mut gone = Facets::default();
    gone.of(old, &row.tenant, &row.class, facets);
    gone.run(connection, DROP_FACETS).await?;
    let mut fresh = Facets::default();
    fresh.add(&row.tenant, &row.class, new.facets.iter().cloned(), row.time.millis(), row.id);
    fresh.run(connection, ADD_FACETS).await?;
    let query = sqlx::query(SQL).bind(old.number).bind(row.time.millis());
    let query = query.bind(stored(row.version)).bind(stored(row.bytes())).bind(row.meta.as_bytes());
    query.bind(&row.tag).bind(sealed(row)).execute(connection).await.map(drop)
}

fn sealed(row: &Row) -> Option<&[u8]> {
    match &row.sealed {
        Sealed::Bytes(bytes) => Some(bytes),
        Sealed::Absent | Sealed::Unread => None,
    }
}

pub(super) async fn delete(
    pool: &PgPool,
    tenant: &str,
    class: &str,
    id: Id,
    facets: &[&str],
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let Some(old) = lock_row(&mut transaction, tenant, class, id).await? else {
        return Ok(false);
    };
    remove(&mut transaction, tenant, class, &[old], facets).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn merge(
    pool: &PgPool,
    rows: &[NewRow],
    facets: &[&str],
) -> sqlx::Result<Vec<Merged>> {
    let mut transaction = pool.begin().await?;
    let mut merged = Vec::with_capacity(rows.len());
    for new in rows {
        merged.push(merge_one(&mut transaction, new, facets).await?);
    }
    transaction.commit().await?;
    Ok(merged)
}

async fn merge_one(
    connection: &mut PgConnection,
    new: &NewRow,
    facets: &[&str],
) -> sqlx::Result<Merged> {
    let row = &new.row;
    loop {
        match add(connection, new).await? {
            Written::KeyGone => return Ok(Merged::KeyGone),
            Written::Exists => {}
            _ => return Ok(Merged::Added),
        }
        // Gone in between: there is room now.
        let old = lock_row(connection, &row.tenant, &row.class, row.id).await?;
        let Some(old) = old else { continue };
        if old.version >= stored(row.version) {
            return Ok(Merged::Kept);
        }
        change(connection, &old, new, facets).await?;
        return Ok(Merged::Updated);
    }
}

pub(super) async fn expire(
    pool: &PgPool,
    tenant: &str,
    class: &str,
    which: Expired,
    facets: &[&str],
) -> sqlx::Result<u64> {
    // What another node is removing, or somebody is changing, is for the next sweep.
    const SQL: &str = "SELECT number, id, time_ms, version, meta FROM bartizan.records \
        WHERE tenant = $1 AND class = $2 AND (time_ms, id) < ($3, $4) \
        ORDER BY time_ms, id LIMIT $5 FOR UPDATE SKIP LOCKED";
    // An id longer than all ids, and a time's first id: so that both bounds are one comparison.
    let (time, bound) = match which {
        Expired::Before(time) => (time, Vec::new()),
        Expired::UpTo(place) => (place.time, [place.id.as_bytes().as_slice(), &[0]].concat()),
    };
    let mut transaction = pool.begin().await?;
    let query = sqlx::query(SQL).bind(tenant).bind(class).bind(time.millis());
    let found = query.bind(bound).bind(EXPIRE_MAX).fetch_all(&mut *transaction).await?;
    let found = found.iter().map(Old::read).collect::<sqlx::Result<Vec<_>>>()?;
    remove(&mut transaction, tenant, class, &found, facets).await?;
    transaction.commit().await?;
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// Compares the facets of each class with those that its rows were indexed by, and indexes them
/// anew where they differ: all in one transaction, since a half index would hide rows.
pub(super) async fn index(pool: &PgPool, classes: &[&Class]) -> sqlx::Result<()> {
    const KNOWN: &str = "SELECT facets FROM bartizan.classes WHERE name = $1";
    for class in classes {
        let names = class.facets.join("\n");
        let known: Option<String> =
            sqlx::query_scalar(KNOWN).bind(class.name).fetch_optional(pool).await?;
        if known.as_ref() != Some(&names) {
            index_class(pool, class, &names).await?;
        }
    }
    Ok(())
}

async fn index_class(pool: &PgPool, class: &Class, names: &str) -> sqlx::Result<()> {
    const PAGE: &str = "SELECT number, id, time_ms, version, meta, tenant FROM bartizan.records \
        WHERE class = $1 AND number > $2 ORDER BY number LIMIT $3";
    const NOTE: &str = "INSERT INTO bartizan.classes (name, facets) VALUES ($1, $2) \
        ON CONFLICT (name) DO UPDATE SET facets = EXCLUDED.facets";
    let mut transaction = pool.begin().await?;
    schema::alone(&mut transaction).await?;
    // Writers wait; readers go on with the old index until the commit.
    let lock = sqlx::query("LOCK TABLE bartizan.records IN SHARE MODE");
    lock.execute(&mut *transaction).await?;
    let clear = sqlx::query("DELETE FROM bartizan.facets WHERE class = $1").bind(class.name);
    clear.execute(&mut *transaction).await?;
    let mut after = 0i64;
    loop {
        let page = sqlx::query(PAGE).bind(class.name).bind(after).bind(INDEX_MAX);
        let page = page.fetch_all(&mut *transaction).await?;
        let Some(last) = page.last() else { break };
        after = last.try_get(0)?;
        let mut found = Facets::default();
        for row in &page {
            let tenant: String = row.try_get(5)?;
            found.of(&Old::read(row)?, &tenant, class.name, class.facets);
        }
        found.run(&mut transaction, ADD_FACETS).await?;
    }
    sqlx::query(NOTE).bind(class.name).bind(names).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn lock_key(connection: &mut PgConnection, tenant: &str, key: &KeyId) -> sqlx::Result<bool> {
    const SQL: &str =
        "SELECT 1 FROM bartizan.data_keys WHERE tenant = $1 AND id = $2 FOR KEY SHARE";
    let query = sqlx::query(SQL).bind(tenant).bind(key.as_slice());
    Ok(query.fetch_optional(connection).await?.is_some())
}

async fn lock_row(
    connection: &mut PgConnection,
    tenant: &str,
    class: &str,
    id: Id,
) -> sqlx::Result<Option<Old>> {
    const SQL: &str = "SELECT number, id, time_ms, version, meta FROM bartizan.records \
        WHERE tenant = $1 AND class = $2 AND id = $3 FOR UPDATE";
    let query = sqlx::query(SQL).bind(tenant).bind(class).bind(id.as_bytes().as_slice());
    query.fetch_optional(connection).await?.as_ref().map(Old::read).transpose()
}

/// What has to be known of a row to remove it.
struct Old {
    number: i64,
    id: Id,
    time_ms: i64,
    version: i64,
    meta: String,
}

impl Old {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            number: row.try_get(0)?,
            id: id(row.try_get(1)?)?,
            time_ms: row.try_get(2)?,
            version: row.try_get(3)?,
            meta: text(row.try_get(4)?)?,
        })
    }
}

async fn remove(
    connection: &mut PgConnection,
    tenant: &str,
    class: &str,
    rows: &[Old],
    facets: &[&str],
) -> sqlx::Result<()> {
    let mut gone = Facets::default();
    for row in rows {
        gone.of(row, tenant, class, facets);
    }
    gone.run(connection, DROP_FACETS).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    let query = sqlx::query("DELETE FROM bartizan.records WHERE number = ANY($1)").bind(numbers);
    query.execute(connection).await.map(drop)
}

const ADD_FACETS: &str = "INSERT INTO bartizan.facets (tenant, class, facet, value, time_ms, id) \
    SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const DROP_FACETS: &str = "DELETE FROM bartizan.facets f \
    USING UNNEST($1, $2, $3, $4, $5, $6) AS gone (tenant, class, facet, value, time_ms, id) \
    WHERE f.tenant = gone.tenant AND f.class = gone.class AND f.facet = gone.facet \
    AND f.value = gone.value AND f.time_ms = gone.time_ms AND f.id = gone.id";

/// Rows of the index, as columns.
#[derive(Default)]
struct Facets {
    tenants: Vec<String>,
    classes: Vec<String>,
    names: Vec<String>,
    values: Vec<Vec<u8>>,
    times: Vec<i64>,
    ids: Vec<Vec<u8>>,
}

impl Facets {
    /// Adds those of a row.
    fn of(&mut self, row: &Old, tenant: &str, class: &str, names: &[&str]) {
        // Metadata that is no JSON was altered outside; reading the record will say so.
        let meta: Map<String, Value> = serde_json::from_str(&row.meta).unwrap_or_default();
        self.add(tenant, class, facets::of(&meta, names).into_iter(), row.time_ms, row.id);
    }

    fn add(
        &mut self,
        tenant: &str,
        class: &str,
        values: impl Iterator<Item = (String, String)>,
        time_ms: i64,
        id: Id,
    ) {
        for (name, value) in values {
            self.tenants.push(tenant.to_owned());
            self.classes.push(class.to_owned());
            self.names.push(name);
            self.values.push(value.into_bytes());
            self.times.push(time_ms);
            self.ids.push(id.as_bytes().to_vec());
        }
    }

    async fn run(self, connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(sql).bind(self.tenants).bind(self.classes).bind(self.names);
        let query = query.bind(self.values).bind(self.times).bind(self.ids);
        query.execute(connection).await.map(drop)
    }
}
