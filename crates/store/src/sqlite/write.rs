//! Changing rows.

use std::{collections::BTreeSet, sync::Arc, sync::LazyLock};

use bartizan_core::{Id, Timestamp};
use sqlx::{Connection, Row as _, SqliteConnection};

use super::{outbox, tally, writer::Put};
use crate::{
    Class,
    columns::{id, stored},
    facets,
    repository::{Expired, KeyId, Merged, NewRow, Row, Sealed, Written},
    tallies::Changes,
};

/// How many rows one statement adds: few sizes, so that each is prepared once.
const CHUNKS: [usize; 4] = [128, 32, 8, 1];
/// How many rows a sweep removes in one transaction.
const EXPIRE_MAX: i64 = 500;
/// How many rows are made findable in one go.
const INDEX_MAX: i64 = 1000;
/// How many free pages go back to the disk at once: 64 MiB of them.
const COMPACT: &str = "PRAGMA incremental_vacuum(16384)";

static INSERT_RECORDS: LazyLock<Vec<(usize, Arc<str>)>> = LazyLock::new(|| {
    statements(
        "INSERT INTO records (tenant, class, id, time_ms, version, bytes, meta, tag, sealed) VALUES ",
        9,
    )
});
static INSERT_FACETS: LazyLock<Vec<(usize, Arc<str>)>> = LazyLock::new(|| {
    statements("INSERT OR IGNORE INTO facets (tenant, class, facet, value, time_ms, id) VALUES ", 6)
});

fn statements(start: &str, columns: usize) -> Vec<(usize, Arc<str>)> {
    let one = format!("({})", vec!["?"; columns].join(","));
    chunked(start, &one, "")
}

/// A statement of each size: so many times `one` between start and end.
pub(super) fn chunked(start: &str, one: &str, end: &str) -> Vec<(usize, Arc<str>)> {
    let of = |rows| Arc::from(format!("{start}{}{end}", vec![one; rows].join(",")));
    CHUNKS.iter().map(|rows| (*rows, of(*rows))).collect()
}

/// Runs a statement of each size until all of the items are in.
macro_rules! in_chunks {
    ($connection:expr, $statements:expr, $items:expr, |$query:ident, $item:ident| $bind:expr) => {{
        let mut rest: &[_] = $items;
        for (size, sql) in $statements.iter() {
            while let Some((chunk, after)) = rest.split_at_checked(*size) {
                let mut $query = sqlx::query(sqlx::AssertSqlSafe(sql.clone()));
                for $item in chunk {
                    $query = $bind;
                }
                $query.execute(&mut *$connection).await?;
                rest = after;
            }
        }
    }};
}
pub(super) use in_chunks;

/// Adds a group within the caller's transaction. `false` when a row's data key is gone.
pub(super) async fn insert_group(
    connection: &mut SqliteConnection,
    group: &[Put],
) -> sqlx::Result<bool> {
    let keys: BTreeSet<(&str, KeyId)> =
        group.iter().map(|put| (put.row.row.tenant.as_str(), put.row.key)).collect();
    for (tenant, key) in keys {
        if !has_key(connection, tenant, &key).await? {
            return Ok(false);
        }
    }
    let rows: Vec<&NewRow> = group.iter().map(|put| &put.row).collect();
    let mut changes = Changes::default();
    add_rows(connection, &rows, &mut changes).await?;
    tally::note(connection, changes).await?;
    let events: Vec<_> = group.iter().flat_map(|put| &put.events).collect();
    outbox::add(connection, &events).await?;
    Ok(true)
}

/// Adds one row and its events, and says what was in the way.
pub(super) async fn insert(connection: &mut SqliteConnection, put: &Put) -> sqlx::Result<Written> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let NewRow { row, key, .. } = &put.row;
    if !has_key(&mut transaction, &row.tenant, key).await? {
        return Ok(Written::KeyGone);
    }
    if present(&mut transaction, &row.tenant, &row.class, row.id).await?.is_some() {
        return Ok(Written::Exists);
    }
    let mut changes = Changes::default();
    add_rows(&mut transaction, &[&put.row], &mut changes).await?;
    tally::note(&mut transaction, changes).await?;
    outbox::add(&mut transaction, &put.events.iter().collect::<Vec<_>>()).await?;
    transaction.commit().await?;
    Ok(Written::Done)
}

/// Replaces each row that is still of its expected version, all in one transaction.
pub(super) async fn replace(
    connection: &mut SqliteConnection,
    rows: &[(NewRow, u64)],
    class: &Class,
) -> sqlx::Result<Vec<Written>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut written = Vec::with_capacity(rows.len());
    let mut removed = Vec::new();
    let mut changes = Changes::default();
    for (new, expected) in rows {
        let row = &new.row;
        if !has_key(&mut transaction, &row.tenant, &new.key).await? {
            written.push(Written::KeyGone);
            continue;
        }
        let Some(old) = present(&mut transaction, &row.tenant, &row.class, row.id).await? else {
            written.push(Written::Missing);
            continue;
        };
        if old.version != stored(*expected) {
            written.push(Written::Version(u64::try_from(old.version).unwrap_or(0)));
            continue;
        }
        removed.push(remove(&mut transaction, &row.tenant, class, &old).await?);
        add_rows(&mut transaction, &[new], &mut changes).await?;
        written.push(Written::Done);
    }
    tally::note(&mut transaction, without(changes, &removed, class)).await?;
    transaction.commit().await?;
    Ok(written)
}

pub(super) async fn delete(
    connection: &mut SqliteConnection,
    tenant: &str,
    class: &Class,
    id: Id,
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let Some(old) = present(&mut transaction, tenant, class.name, id).await? else {
        return Ok(false);
    };
    let removed = [remove(&mut transaction, tenant, class, &old).await?];
    tally::note(&mut transaction, without(Changes::default(), &removed, class)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn merge(
    connection: &mut SqliteConnection,
    rows: &[NewRow],
    class: &Class,
) -> sqlx::Result<Vec<Merged>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut merged = Vec::with_capacity(rows.len());
    let mut removed = Vec::new();
    let mut changes = Changes::default();
    for new in rows {
        let row = &new.row;
        if !has_key(&mut transaction, &row.tenant, &new.key).await? {
            merged.push(Merged::KeyGone);
            continue;
        }
        let old = present(&mut transaction, &row.tenant, &row.class, row.id).await?;
        let outcome = match &old {
            None => Merged::Added,
            Some(old) if old.version < stored(row.version) => Merged::Updated,
            Some(_) => Merged::Kept,
        };
        if outcome == Merged::Updated
            && let Some(old) = &old
        {
            removed.push(remove(&mut transaction, &row.tenant, class, old).await?);
        }
        if outcome != Merged::Kept {
            add_rows(&mut transaction, &[new], &mut changes).await?;
        }
        merged.push(outcome);
    }
    tally::note(&mut transaction, without(changes, &removed, class)).await?;
    transaction.commit().await?;
    Ok(merged)
}

pub(super) async fn expire(
    connection: &mut SqliteConnection,
    tenant: &str,
    class: &Class,
    which: Expired,
) -> sqlx::Result<u64> {
    const SQL: &str = "SELECT number, id, time_ms, version, meta FROM records \
        WHERE tenant = ? AND class = ? AND (time_ms, id) < (?, ?) ORDER BY time_ms, id LIMIT ?";
    // An id longer than all ids, and a time's first id: so that both bounds are one comparison.
    let (time, bound) = match which {
        Expired::Before(time) => (time, Vec::new()),
        Expired::UpTo(place) => (place.time, [place.id.as_bytes().as_slice(), &[0]].concat()),
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let query = sqlx::query(SQL).bind(tenant.to_owned()).bind(class.name.to_owned());
    let query = query.bind(time.millis()).bind(bound).bind(EXPIRE_MAX);
    let found = query.fetch_all(&mut *transaction).await?;
    let mut removed = Vec::with_capacity(found.len());
    for row in &found {
        removed.push(remove(&mut transaction, tenant, class, &old(row)?).await?);
    }
    tally::note(&mut transaction, without(Changes::default(), &removed, class)).await?;
    transaction.commit().await?;
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

/// Compares the facets of each class with those that its rows were indexed by, and indexes and
/// counts them anew where they differ: all in one transaction, since a half index would hide rows.
pub(super) async fn index(
    connection: &mut SqliteConnection,
    classes: &[&Class],
) -> sqlx::Result<()> {
    for class in classes {
        let names = class.indexed();
        let known: Option<String> = sqlx::query_scalar("SELECT facets FROM classes WHERE name = ?")
            .bind(class.name)
            .fetch_optional(&mut *connection)
            .await?;
        if known.as_ref() != Some(&names) {
            index_class(connection, class, names).await?;
        }
    }
    Ok(())
}

async fn index_class(
    connection: &mut SqliteConnection,
    class: &Class,
    names: String,
) -> sqlx::Result<()> {
    const PAGE: &str = "SELECT number, id, time_ms, version, meta, tenant FROM records \
        WHERE class = ? AND number > ? ORDER BY number LIMIT ?";
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let drop = sqlx::query("DELETE FROM facets WHERE class = ?").bind(class.name);
    drop.execute(&mut *transaction).await?;
    tally::clear(&mut transaction, class.name).await?;
    let mut after = 0i64;
    loop {
        let page = sqlx::query(PAGE).bind(class.name).bind(after).bind(INDEX_MAX);
        let page = page.fetch_all(&mut *transaction).await?;
        let Some(last) = page.last() else { break };
        after = last.try_get(0)?;
        let mut found = Vec::new();
        for row in &page {
            found.push(old(row)?.removed(row.try_get(5)?, class));
        }
        let rows: Vec<FacetRow> = found.iter().flat_map(|row| row.rows(class.name)).collect();
        add_facets(&mut transaction, &rows).await?;
        let mut changes = Changes::default();
        for row in &found {
            changes.add((&row.tenant, class.name), class.counted, row.time, &row.facets, 1);
        }
        tally::note(&mut transaction, changes).await?;
    }
    const NOTE: &str = "INSERT OR REPLACE INTO classes (name, facets) VALUES (?, ?)";
    sqlx::query(NOTE).bind(class.name).bind(names).execute(&mut *transaction).await?;
    transaction.commit().await
}

pub(super) async fn checkpoint(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(connection).await.map(drop)
}

/// Commits next to nothing: with `FULL`, a commit syncs the log, and with it all before it.
pub(super) async fn flush(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    const SQL: &str = "INSERT OR REPLACE INTO classes (name, facets) VALUES ('', '')";
    sqlx::query(SQL).execute(connection).await.map(drop)
}

pub(super) async fn compact(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    tally::forget(connection).await?;
    sqlx::query(COMPACT).fetch_all(connection).await.map(drop)
}

pub(super) async fn has_key(
    connection: &mut SqliteConnection,
    tenant: &str,
    key: &KeyId,
) -> sqlx::Result<bool> {
    const SQL: &str = "SELECT 1 FROM data_keys WHERE tenant = ? AND id = ?";
    let query = sqlx::query(SQL).bind(tenant.to_owned()).bind(key.to_vec());
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// What has to be known of a row to remove it.
struct Old {
    number: i64,
    id: Id,
    time_ms: i64,
    version: i64,
    meta: String,
}

fn old(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Old> {
    Ok(Old {
        number: row.try_get(0)?,
        id: id(row.try_get(1)?)?,
        time_ms: row.try_get(2)?,
        version: row.try_get(3)?,
        meta: row.try_get(4)?,
    })
}

impl Old {
    fn removed(&self, tenant: String, class: &Class) -> Removed {
        let facets = facets::of_text(&self.meta, class.facets);
        Removed { tenant, id: self.id, time: Timestamp::from_millis(self.time_ms), facets }
    }
}

/// Where a row was found, and counted.
struct Removed {
    tenant: String,
    id: Id,
    time: Timestamp,
    facets: Vec<(String, String)>,
}

impl Removed {
    fn rows(&self, class: &str) -> Vec<FacetRow> {
        let values = self.facets.iter().cloned();
        let row = |value| FacetRow::new(&self.tenant, class, value, self.time.millis(), self.id);
        values.map(row).collect()
    }
}

/// The changes, less what was removed.
fn without<'a>(mut changes: Changes<'a>, removed: &'a [Removed], class: &'a Class) -> Changes<'a> {
    for row in removed {
        changes.add((&row.tenant, class.name), class.counted, row.time, &row.facets, -1);
    }
    changes
}

async fn present(
    connection: &mut SqliteConnection,
    tenant: &str,
    class: &str,
    id: Id,
) -> sqlx::Result<Option<Old>> {
    const SQL: &str = "SELECT number, id, time_ms, version, meta FROM records \
        WHERE tenant = ? AND class = ? AND id = ?";
    let query = sqlx::query(SQL).bind(tenant.to_owned()).bind(class.to_owned());
    let found = query.bind(id.as_bytes().to_vec()).fetch_optional(connection).await?;
    found.as_ref().map(old).transpose()
}

/// Removes a row. What it changes in the tallies is for the caller to note.
async fn remove(
    connection: &mut SqliteConnection,
    tenant: &str,
    class: &Class,
    row: &Old,
) -> sqlx::Result<Removed> {
    const FACET: &str = "DELETE FROM facets WHERE tenant = ? AND class = ? AND facet = ? \
        AND value = ? AND time_ms = ? AND id = ?";
    let removed = row.removed(tenant.to_owned(), class);
    for facet in removed.rows(class.name) {
        facet.bind(sqlx::query(FACET)).execute(&mut *connection).await?;
    }
    sqlx::query("DELETE FROM records WHERE number = ?")
        .bind(row.number)
        .execute(connection)
        .await?;
    Ok(removed)
}

/// Adds rows, and notes what they change in the tallies.
async fn add_rows<'a>(
    connection: &mut SqliteConnection,
    rows: &[&'a NewRow],
    changes: &mut Changes<'a>,
) -> sqlx::Result<()> {
    in_chunks!(connection, INSERT_RECORDS, rows, |query, new| bind_row(query, &new.row));
    let facets: Vec<FacetRow> = rows.iter().flat_map(|new| facet_rows(new)).collect();
    for NewRow { row, facets, counted, .. } in rows {
        changes.add((&row.tenant, &row.class), counted, row.time, facets, 1);
    }
    add_facets(connection, &facets).await
}

fn facet_rows(new: &NewRow) -> Vec<FacetRow> {
    let Row { tenant, class, id, time, .. } = &new.row;
    let values = new.facets.iter().cloned();
    values.map(|value| FacetRow::new(tenant, class, value, time.millis(), *id)).collect()
}

async fn add_facets(connection: &mut SqliteConnection, facets: &[FacetRow]) -> sqlx::Result<()> {
    in_chunks!(connection, INSERT_FACETS, facets, |query, facet| facet.bind(query));
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_row<'q>(query: Query<'q>, row: &Row) -> Query<'q> {
    let sealed = match &row.sealed {
        Sealed::Bytes(bytes) => Some(bytes.clone()),
        Sealed::Absent | Sealed::Unread => None,
    };
    query
        .bind(row.tenant.clone())
        .bind(row.class.to_string())
        .bind(row.id.as_bytes().to_vec())
        .bind(row.time.millis())
        .bind(stored(row.version))
        .bind(stored(row.bytes()))
        .bind(row.meta.clone())
        .bind(row.tag.clone())
        .bind(sealed)
}

struct FacetRow {
    tenant: String,
    class: String,
    facet: String,
    value: String,
    time_ms: i64,
    id: Id,
}

impl FacetRow {
    fn new(
        tenant: &str,
        class: &str,
        (facet, value): (String, String),
        time_ms: i64,
        id: Id,
    ) -> Self {
        Self { tenant: tenant.to_owned(), class: class.to_owned(), facet, value, time_ms, id }
    }

    fn bind<'q>(&self, query: Query<'q>) -> Query<'q> {
        query
            .bind(self.tenant.clone())
            .bind(self.class.clone())
            .bind(self.facet.clone())
            .bind(self.value.clone())
            .bind(self.time_ms)
            .bind(self.id.as_bytes().to_vec())
    }
}
