//! Changing rows. Whoever writes under a data key locks its row until the commit, so that a key
//! is not destroyed in between.

use bartizan_core::{Id, Timestamp};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{outbox, read::text, schema, tally};
use crate::{
    Class,
    columns::{id, stored},
    facets,
    repository::{Expired, KeyId, Merged, NewRow, OutboxRow, Row, Sealed, Written},
    tallies::Changes,
};

/// How many rows a sweep removes in one transaction.
const EXPIRE_MAX: i64 = 500;
/// How many rows are made findable in one go.
const INDEX_MAX: i64 = 1000;

/// Adds one row, its facets and a line to the tallies' log where its data key is there and its id is free: says which held.
const INSERT: &str = "WITH \
    k AS (SELECT FROM bartizan.data_keys WHERE tenant = $1 AND id = $2 FOR KEY SHARE), \
    r AS (INSERT INTO bartizan.records \
            (tenant, class, id, time_ms, version, bytes, meta, tag, sealed) \
        SELECT $1, $3, $4, $5, $6, $7, $8, $9, $10 FROM k ON CONFLICT DO NOTHING RETURNING 1), \
    f AS (INSERT INTO bartizan.facets (tenant, class, facet, value, time_ms, id) \
        SELECT $1, $3, n.facet, n.value, $5, $4 FROM r, UNNEST($11, $12) AS n (facet, value) \
        ON CONFLICT DO NOTHING), \
    t AS (INSERT INTO bartizan.tally_log (tenant, class, line) \
        SELECT $1, $3, $13::TEXT FROM r WHERE $13::TEXT IS NOT NULL RETURNING number) \
    SELECT EXISTS (SELECT FROM k), EXISTS (SELECT FROM r), (SELECT number FROM t)";

pub(super) async fn insert(
    pool: &PgPool,
    new: &NewRow,
    events: &[OutboxRow],
) -> sqlx::Result<Written> {
    let (written, full) = if events.is_empty() {
        // One statement is a transaction by itself.
        add(&mut *pool.acquire().await?, new).await?
    } else {
        let mut transaction = pool.begin().await?;
        let added = add(&mut transaction, new).await?;
        if added.0 == Written::Done {
            outbox::add(&mut transaction, events).await?;
            transaction.commit().await?;
        }
        added
    };
    tally::fold_if(full, pool).await;
    Ok(written)
}

/// Says what became of it, and whether it is time to fold the tallies' log.
async fn add(connection: &mut PgConnection, new: &NewRow) -> sqlx::Result<(Written, bool)> {
    let Row { tenant, class, id, time, version, meta, tag, .. } = &new.row;
    let names: Vec<&str> = new.facets.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<&[u8]> = new.facets.iter().map(|(_, value)| value.as_bytes()).collect();
    let mut changes = Changes::default();
    changes.add((tenant, class), new.counted, *time, &new.facets, 1);
    let line = changes.lines().pop().map(|(_, _, line)| line);
    let query = sqlx::query_as(INSERT).bind(tenant).bind(new.key.as_slice());
    let query = query.bind(class.as_ref()).bind(id.as_bytes().as_slice()).bind(time.millis());
    let query = query.bind(stored(*version)).bind(stored(new.row.bytes())).bind(meta.as_bytes());
    let query = query.bind(tag).bind(sealed(&new.row)).bind(names).bind(values).bind(line);
    let (key, row, number): (bool, bool, Option<i64>) = query.fetch_one(connection).await?;
    let written = match (key, row) {
        (false, _) => Written::KeyGone,
        (true, false) => Written::Exists,
        (true, true) => Written::Done,
    };
    Ok((written, number.is_some_and(tally::is_full)))
}

/// Replaces each row that is still of its expected version, all in one transaction. Rows are
/// locked in the order of their ids, so that of two that change the same ones, one waits.
pub(super) async fn replace(
    pool: &PgPool,
    rows: &[(NewRow, u64)],
    class: &Class,
) -> sqlx::Result<Vec<Written>> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| rows.get(*at).map(|(new, _)| new.row.id));
    let mut written = vec![Written::Missing; rows.len()];
    let mut gone = Vec::new();
    let mut changes = Changes::default();
    let mut transaction = pool.begin().await?;
    for at in order {
        let (Some((new, expected)), Some(written)) = (rows.get(at), written.get_mut(at)) else {
            continue;
        };
        let row = &new.row;
        if !lock_key(&mut transaction, &row.tenant, &new.key).await? {
            *written = Written::KeyGone;
            continue;
        }
        let Some(old) = lock_row(&mut transaction, &row.tenant, &row.class, row.id).await? else {
            continue;
        };
        if old.version != stored(*expected) {
            *written = Written::Version(u64::try_from(old.version).unwrap_or(0));
            continue;
        }
        gone.push((row.tenant.as_str(), change(&mut transaction, &old, new, class).await?));
        changes.add((&row.tenant, &row.class), new.counted, row.time, &new.facets, 1);
        *written = Written::Done;
    }
    let full = tally::note(&mut transaction, without(changes, &gone, class)).await?;
    transaction.commit().await?;
    tally::fold_if(full, pool).await;
    Ok(written)
}

/// When and with which values a row was counted that is gone.
struct Gone {
    time: Timestamp,
    facets: Vec<(String, String)>,
}

/// The changes, less what is gone.
fn without<'a>(
    mut changes: Changes<'a>,
    gone: &'a [(&'a str, Gone)],
    class: &'a Class,
) -> Changes<'a> {
    for (tenant, Gone { time, facets }) in gone {
        changes.add((tenant, class.name), class.counted, *time, facets, -1);
    }
    changes
}

/// Puts a row in the place of a locked one. The row stays the same one, since whoever waits for
/// it would take a new one for none.
async fn change(
    connection: &mut PgConnection,
    old: &Old,
    new: &NewRow,
    class: &Class,
) -> sqlx::Result<Gone> {
    const SQL: &str = "UPDATE bartizan.records \
        SET time_ms = $2, version = $3, bytes = $4, meta = $5, tag = $6, sealed = $7 \
        WHERE number = $1";
    let row = &new.row;
    let gone = old.gone(class);
    let mut stale = Facets::default();
    stale.add(&row.tenant, class.name, &gone.facets, old.time_ms, row.id);
    stale.run(connection, DROP_FACETS).await?;
    let mut fresh = Facets::default();
    fresh.add(&row.tenant, &row.class, &new.facets, row.time.millis(), row.id);
    fresh.run(connection, ADD_FACETS).await?;
    let query = sqlx::query(SQL).bind(old.number).bind(row.time.millis());
    let query = query.bind(stored(row.version)).bind(stored(row.bytes())).bind(row.meta.as_bytes());
    query.bind(&row.tag).bind(sealed(row)).execute(connection).await?;
    Ok(gone)
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
    class: &Class,
    id: Id,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let Some(old) = lock_row(&mut transaction, tenant, class.name, id).await? else {
        return Ok(false);
    };
    let full = remove(&mut transaction, tenant, class, &[old]).await?;
    transaction.commit().await?;
    tally::fold_if(full, pool).await;
    Ok(true)
}

pub(super) async fn merge(
    pool: &PgPool,
    rows: &[NewRow],
    class: &Class,
) -> sqlx::Result<Vec<Merged>> {
    let mut transaction = pool.begin().await?;
    let mut merged = Vec::with_capacity(rows.len());
    let mut full = false;
    for new in rows {
        let (outcome, fold) = merge_one(&mut transaction, new, class).await?;
        merged.push(outcome);
        full |= fold;
    }
    transaction.commit().await?;
    tally::fold_if(full, pool).await;
    Ok(merged)
}

async fn merge_one(
    connection: &mut PgConnection,
    new: &NewRow,
    class: &Class,
) -> sqlx::Result<(Merged, bool)> {
    let row = &new.row;
    loop {
        match add(connection, new).await? {
            (Written::KeyGone, full) => return Ok((Merged::KeyGone, full)),
            (Written::Exists, _) => {}
            (_, full) => return Ok((Merged::Added, full)),
        }
        // Gone in between: there is room now.
        let old = lock_row(connection, &row.tenant, &row.class, row.id).await?;
        let Some(old) = old else { continue };
        if old.version >= stored(row.version) {
            return Ok((Merged::Kept, false));
        }
        let gone = [(row.tenant.as_str(), change(connection, &old, new, class).await?)];
        let mut changes = Changes::default();
        changes.add((&row.tenant, &row.class), new.counted, row.time, &new.facets, 1);
        let full = tally::note(connection, without(changes, &gone, class)).await?;
        return Ok((Merged::Updated, full));
    }
}

pub(super) async fn expire(
    pool: &PgPool,
    tenant: &str,
    class: &Class,
    which: Expired,
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
    let query = sqlx::query(SQL).bind(tenant).bind(class.name).bind(time.millis());
    let found = query.bind(bound).bind(EXPIRE_MAX).fetch_all(&mut *transaction).await?;
    let found = found.iter().map(Old::read).collect::<sqlx::Result<Vec<_>>>()?;
    let full = remove(&mut transaction, tenant, class, &found).await?;
    transaction.commit().await?;
    tally::fold_if(full, pool).await;
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// Compares the facets of each class with those that its rows were indexed by, and indexes and
/// counts them anew where they differ: all in one transaction, since a half index would hide rows.
pub(super) async fn index(pool: &PgPool, classes: &[&Class]) -> sqlx::Result<()> {
    const KNOWN: &str = "SELECT facets FROM bartizan.classes WHERE name = $1";
    for class in classes {
        let names = class.indexed();
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
    tally::alone(&mut transaction).await?;
    tally::clear(&mut transaction, class.name).await?;
    let mut after = 0i64;
    loop {
        let page = sqlx::query(PAGE).bind(class.name).bind(after).bind(INDEX_MAX);
        let page = page.fetch_all(&mut *transaction).await?;
        let Some(last) = page.last() else { break };
        after = last.try_get(0)?;
        let mut found = Facets::default();
        let mut rows: Vec<(String, Gone)> = Vec::with_capacity(page.len());
        for row in &page {
            let old = Old::read(row)?;
            let (tenant, gone): (String, Gone) = (row.try_get(5)?, old.gone(class));
            found.add(&tenant, class.name, &gone.facets, old.time_ms, old.id);
            rows.push((tenant, gone));
        }
        found.run(&mut transaction, ADD_FACETS).await?;
        let mut changes = Changes::default();
        for (tenant, Gone { time, facets }) in &rows {
            changes.add((tenant, class.name), class.counted, *time, facets, 1);
        }
        tally::note(&mut transaction, changes).await?;
    }
    tally::fold_all(&mut transaction).await?;
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

    /// As what it goes.
    fn gone(&self, class: &Class) -> Gone {
        let facets = facets::of_text(&self.meta, class.facets);
        Gone { time: Timestamp::from_millis(self.time_ms), facets }
    }
}

/// Removes rows. Says whether it is time to fold the tallies' log.
async fn remove(
    connection: &mut PgConnection,
    tenant: &str,
    class: &Class,
    rows: &[Old],
) -> sqlx::Result<bool> {
    let mut stale = Facets::default();
    let mut gone = Vec::with_capacity(rows.len());
    for row in rows {
        let as_what = row.gone(class);
        stale.add(tenant, class.name, &as_what.facets, row.time_ms, row.id);
        gone.push((tenant, as_what));
    }
    stale.run(connection, DROP_FACETS).await?;
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    let query = sqlx::query("DELETE FROM bartizan.records WHERE number = ANY($1)").bind(numbers);
    query.execute(&mut *connection).await?;
    tally::note(connection, without(Changes::default(), &gone, class)).await
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
    fn add(
        &mut self,
        tenant: &str,
        class: &str,
        values: &[(String, String)],
        time_ms: i64,
        id: Id,
    ) {
        for (name, value) in values {
            self.tenants.push(tenant.to_owned());
            self.classes.push(class.to_owned());
            self.names.push(name.clone());
            self.values.push(value.clone().into_bytes());
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
