//! Tallies: their log, folding it, and reading both.

use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder, Row as _};

use super::read::text;
use crate::{
    repository::CountQuery,
    tallies::{self, Changes, Look, NAMES_MAX, Reader, Seen, Span},
};

/// With every so many lines of the log, whoever wrote the line folds it.
const FOLD_EVERY: i64 = 256;
/// LIMIT: how many lines are folded in one go.
const FOLD_MAX: i64 = 8192;
/// The advisory lock of whoever changes tallies: `BTZT`. The log may be written without it.
const LOCK: i64 = 0x4254_5A54;

/// Adds to the log what the caller's transaction changes. Says whether it is time to fold.
pub(super) async fn note(
    connection: &mut PgConnection,
    changes: Changes<'_>,
) -> sqlx::Result<bool> {
    const ADD: &str = "INSERT INTO bartizan.tally_log (tenant, class, line) \
        VALUES ($1, $2, $3) RETURNING number";
    let mut full = false;
    for (tenant, class, line) in changes.lines() {
        let add = sqlx::query_scalar(ADD).bind(tenant).bind(class).bind(line);
        full |= is_full(add.fetch_one(&mut *connection).await?);
    }
    Ok(full)
}

pub(super) const fn is_full(number: i64) -> bool {
    number % FOLD_EVERY == 0
}

/// Folds the log where it is time, and nobody else does it. What fails here is done with the
/// next fold: the records that are counted are in already.
pub(super) async fn fold_if(full: bool, pool: &PgPool) {
    if !full {
        return;
    }
    if let Err(error) = fold(pool).await {
        tracing::warn!(%error, "the log of the tallies could not be folded; it will be tried again");
    }
}

async fn fold(pool: &PgPool) -> sqlx::Result<()> {
    const MINE: &str = "SELECT pg_try_advisory_xact_lock($1)";
    let mut transaction = pool.begin().await?;
    if sqlx::query_scalar(MINE).bind(LOCK).fetch_one(&mut *transaction).await? {
        fold_log(&mut transaction).await?;
    }
    transaction.commit().await
}

/// Waits until nobody else changes tallies.
pub(super) async fn alone(connection: &mut PgConnection) -> sqlx::Result<()> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK);
    lock.execute(connection).await.map(drop)
}

/// Folds the oldest lines; the caller has the lock.
async fn fold_log(connection: &mut PgConnection) -> sqlx::Result<()> {
    const LOG: &str = "DELETE FROM bartizan.tally_log WHERE number IN \
        (SELECT number FROM bartizan.tally_log ORDER BY number LIMIT $1) \
        RETURNING tenant, class, line";
    const NAMES: &str = "INSERT INTO bartizan.tally_names (tenant, class, facet, value) \
        SELECT DISTINCT * FROM UNNEST($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    const TALLIES: &str = "INSERT INTO bartizan.tallies AS t (name, step_ms, start_ms, count) \
        SELECT n.id, u.step, u.start, u.count \
        FROM UNNEST($1, $2, $3, $4, $5, $6, $7) AS u (tenant, class, facet, value, step, start, count) \
        JOIN bartizan.tally_names n ON n.tenant = u.tenant AND n.class = u.class \
        AND n.facet = u.facet AND n.value = u.value \
        ON CONFLICT (name, step_ms, start_ms) DO UPDATE SET count = t.count + EXCLUDED.count";
    const EMPTY: &str = "DELETE FROM bartizan.tallies t \
        USING UNNEST($1, $2, $3, $4, $5, $6, $7) AS u (tenant, class, facet, value, step, start, count), \
        bartizan.tally_names n WHERE n.tenant = u.tenant AND n.class = u.class \
        AND n.facet = u.facet AND n.value = u.value AND u.count < 0 AND t.name = n.id \
        AND t.step_ms = u.step AND t.start_ms = u.start AND t.count = 0";
    let log: Vec<(String, String, String)> =
        sqlx::query_as(LOG).bind(FOLD_MAX).fetch_all(&mut *connection).await?;
    let folded = tallies::fold(&log)?;
    let mut columns = Columns::default();
    for (tally, by) in folded {
        columns.tenants.push(tally.tenant);
        columns.classes.push(tally.class);
        columns.facets.push(tally.facet);
        columns.values.push(tally.value.into_bytes());
        columns.steps.push(tally.step.millis());
        columns.starts.push(tally.start);
        columns.counts.push(by);
    }
    let names = sqlx::query(NAMES).bind(&columns.tenants).bind(&columns.classes);
    names.bind(&columns.facets).bind(&columns.values).execute(&mut *connection).await?;
    for sql in [TALLIES, EMPTY] {
        let query = sqlx::query(sql).bind(&columns.tenants).bind(&columns.classes);
        let query = query.bind(&columns.facets).bind(&columns.values).bind(&columns.steps);
        query.bind(&columns.starts).bind(&columns.counts).execute(&mut *connection).await?;
    }
    Ok(())
}

#[derive(Default)]
struct Columns {
    tenants: Vec<String>,
    classes: Vec<String>,
    facets: Vec<String>,
    values: Vec<Vec<u8>>,
    steps: Vec<i64>,
    starts: Vec<i64>,
    counts: Vec<i64>,
}

/// Folds all of the log within the caller's transaction, which has the lock.
pub(super) async fn fold_all(connection: &mut PgConnection) -> sqlx::Result<()> {
    const LEFT: &str = "SELECT EXISTS (SELECT FROM bartizan.tally_log)";
    while sqlx::query_scalar(LEFT).fetch_one(&mut *connection).await? {
        fold_log(connection).await?;
    }
    Ok(())
}

/// Forgets what was counted of a class, to count anew.
pub(super) async fn clear(connection: &mut PgConnection, class: &str) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM bartizan.tallies t USING bartizan.tally_names n WHERE t.name = n.id AND n.class = $1",
        "DELETE FROM bartizan.tally_names WHERE class = $1",
        "DELETE FROM bartizan.tally_log WHERE class = $1",
    ] {
        sqlx::query(sql).bind(class).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forgets values that no record has any more.
pub(super) async fn forget(pool: &PgPool) -> sqlx::Result<()> {
    const SQL: &str = "DELETE FROM bartizan.tally_names n \
        WHERE NOT EXISTS (SELECT FROM bartizan.tallies t WHERE t.name = n.id)";
    let mut transaction = pool.begin().await?;
    alone(&mut transaction).await?;
    fold_log(&mut transaction).await?;
    sqlx::query(SQL).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Reads within one transaction.
pub(super) struct Tallies<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) query: &'a CountQuery<'a>,
}

impl Tallies<'_> {
    /// Selects names as `n`; what follows selects from their tallies of each span.
    fn select(&self, facet: &str, values: &[String]) -> QueryBuilder<Postgres> {
        let start =
            "WITH n AS MATERIALIZED (SELECT id, value FROM bartizan.tally_names WHERE tenant = ";
        let mut sql = QueryBuilder::new(start);
        sql.push_bind(self.query.tenant.to_owned());
        sql.push(" AND class = ").push_bind(self.query.class.name.to_owned());
        sql.push(" AND facet = ").push_bind(facet.to_owned());
        if !values.is_empty() {
            let values: Vec<Vec<u8>> = values.iter().map(|value| value.clone().into()).collect();
            sql.push(" AND value = ANY(").push_bind(values).push(")");
        }
        sql.push(" ORDER BY id DESC LIMIT ").push_bind(whole(NAMES_MAX).saturating_add(1));
        sql.push(") ");
        sql
    }

    fn push_filter(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        name: &str,
        (facet, value): (&str, &str),
    ) {
        sql.push(format_args!("{name}.tenant = ")).push_bind(self.query.tenant.to_owned());
        sql.push(format_args!(" AND {name}.class = ")).push_bind(self.query.class.name.to_owned());
        sql.push(format_args!(" AND {name}.facet = ")).push_bind(facet.to_owned());
        sql.push(format_args!(" AND {name}.value = ")).push_bind(value.as_bytes().to_vec());
    }

    /// Along the fewest, newest first; the other filters are looked up row by row.
    fn select_rows(&self, look: &Look<'_>, filters: &[(&str, &str)]) -> QueryBuilder<Postgres> {
        let (tenant, class) = (self.query.tenant, self.query.class.name);
        let meta = if look.meta { "r.meta" } else { "NULL::BYTEA" };
        let Some((first, others)) = filters.split_first() else {
            let mut sql = QueryBuilder::new("SELECT r.time_ms, ");
            sql.push(format_args!("{meta} FROM bartizan.records r WHERE r.tenant = "));
            sql.push_bind(tenant.to_owned()).push(" AND r.class = ").push_bind(class.to_owned());
            push_time(&mut sql, "r", look);
            sql.push(" ORDER BY r.time_ms DESC, r.id DESC LIMIT ");
            sql.push_bind(whole(look.most).saturating_add(1));
            return sql;
        };
        let mut sql = QueryBuilder::new("WITH f0 AS MATERIALIZED (");
        sql.push("SELECT f.time_ms, f.id FROM bartizan.facets f WHERE ");
        self.push_filter(&mut sql, "f", *first);
        push_time(&mut sql, "f", look);
        sql.push(" ORDER BY f.time_ms DESC, f.id DESC LIMIT ").push_bind(whole(look.most));
        sql.push(format_args!(") SELECT f0.time_ms, {meta} FROM f0"));
        for (at, filter) in (1..).zip(others) {
            let name = format!("f{at}");
            sql.push(format_args!(" JOIN bartizan.facets {name} ON "));
            self.push_filter(&mut sql, &name, *filter);
            sql.push(format_args!(" AND {name}.time_ms = f0.time_ms AND {name}.id = f0.id"));
        }
        if look.meta {
            sql.push(" JOIN bartizan.records r ON r.tenant = ").push_bind(tenant.to_owned());
            sql.push(" AND r.class = ").push_bind(class.to_owned()).push(" AND r.id = f0.id");
        }
        sql
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn push_time(sql: &mut QueryBuilder<Postgres>, name: &str, look: &Look<'_>) {
    sql.push(format_args!(" AND {name}.time_ms >= ")).push_bind(look.since);
    sql.push(format_args!(" AND {name}.time_ms < ")).push_bind(look.until);
}

fn push_spans(sql: &mut QueryBuilder<Postgres>, columns: &str, spans: &[Span]) {
    for (at, span) in spans.iter().enumerate() {
        sql.push(if at > 0 { " UNION ALL " } else { "" });
        sql.push(format_args!("SELECT {columns} FROM n JOIN bartizan.tallies t ON t.name = n.id"));
        sql.push(" WHERE t.step_ms = ").push_bind(span.step.millis());
        sql.push(" AND t.start_ms >= ").push_bind(span.from);
        sql.push(" AND t.start_ms < ").push_bind(span.to);
    }
}

impl Reader for Tallies<'_> {
    async fn log(&mut self) -> sqlx::Result<Vec<String>> {
        const SQL: &str = "SELECT line FROM bartizan.tally_log WHERE tenant = $1 AND class = $2";
        let query = sqlx::query_scalar(SQL).bind(self.query.tenant).bind(self.query.class.name);
        query.fetch_all(&mut *self.connection).await
    }

    async fn sums(
        &mut self,
        facet: &str,
        spans: &[Span],
    ) -> sqlx::Result<(Vec<(String, i64)>, bool)> {
        if spans.is_empty() {
            return Ok((Vec::new(), true));
        }
        let mut sql = self.select(facet, &[]);
        sql.push("SELECT NULL::BYTEA, COUNT(*) FROM n UNION ALL ");
        sql.push("SELECT value, SUM(count)::BIGINT FROM (");
        push_spans(&mut sql, "n.value, t.count", spans);
        sql.push(") s GROUP BY value");
        let (mut names, mut sums) = (0, Vec::new());
        for row in sql.build().fetch_all(&mut *self.connection).await? {
            match row.try_get::<Option<Vec<u8>>, _>(0)? {
                Some(value) => sums.push((text(value)?, row.try_get(1)?)),
                None => names = row.try_get::<i64, _>(1)?,
            }
        }
        Ok((sums, names <= whole(NAMES_MAX)))
    }

    async fn starts(
        &mut self,
        facet: &str,
        values: &[String],
        spans: &[Span],
        most: usize,
    ) -> sqlx::Result<Vec<(String, i64, i64)>> {
        if spans.is_empty() || values.is_empty() {
            return Ok(Vec::new());
        }
        let mut sql = self.select(facet, values);
        push_spans(&mut sql, "n.value, t.start_ms, t.count", spans);
        sql.push(" LIMIT ").push_bind(whole(most));
        let found: Vec<(Vec<u8>, i64, i64)> =
            sql.build_query_as().fetch_all(&mut *self.connection).await?;
        found.into_iter().map(|(value, start, count)| Ok((text(value)?, start, count))).collect()
    }

    async fn look(&mut self, look: Look<'_>) -> sqlx::Result<Seen> {
        let most = whole(look.most);
        let mut filters = Vec::new();
        for (facet, value) in look.filters {
            let start = "SELECT COUNT(*) FROM (SELECT FROM bartizan.facets f WHERE ";
            let mut sql = QueryBuilder::new(start);
            self.push_filter(&mut sql, "f", (facet, value));
            push_time(&mut sql, "f", &look);
            sql.push(" LIMIT ").push_bind(most.saturating_add(1)).push(") few");
            let count: i64 = sql.build_query_scalar().fetch_one(&mut *self.connection).await?;
            filters.push((count, (*facet, value.as_str())));
        }
        filters.sort_by_key(|(count, _)| *count);
        let fewest = filters.first().map(|(count, _)| *count);
        let filters: Vec<(&str, &str)> = filters.into_iter().map(|(_, filter)| filter).collect();
        let mut sql = self.select_rows(&look, &filters);
        let found: Vec<(i64, Option<Vec<u8>>)> =
            sql.build_query_as().fetch_all(&mut *self.connection).await?;
        let looked = fewest.unwrap_or(whole(found.len()));
        let read = |(time, meta): (i64, Option<Vec<u8>>)| Ok((time, meta.map(text).transpose()?));
        let rows = found.into_iter().take(look.most).map(read).collect::<sqlx::Result<_>>()?;
        Ok(Seen { rows, whole: looked <= most })
    }
}
