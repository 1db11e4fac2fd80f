//! Tallies: their log, folding it, and reading both.

use std::sync::{Arc, LazyLock};

use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::write::{chunked, in_chunks};
use crate::{
    repository::CountQuery,
    tallies::{self, Changes, Look, NAMES_MAX, Reader, Seen, Span, Tally},
};

/// How many lines the log has before they are folded. Whoever counts reads them all: some
/// hundred kilobytes under load.
const LOG_MAX: i64 = 64;

static ADD_NAMES: LazyLock<Vec<(usize, Arc<str>)>> = LazyLock::new(|| {
    chunked(
        "INSERT OR IGNORE INTO tally_names (tenant, class, facet, value) VALUES ",
        "(?,?,?,?)",
        "",
    )
});
static ADD_TALLIES: LazyLock<Vec<(usize, Arc<str>)>> = LazyLock::new(|| {
    chunked(
        "INSERT INTO tallies (name, step_ms, start_ms, count) VALUES ",
        "((SELECT id FROM tally_names WHERE tenant = ? AND class = ? AND facet = ? AND value = ?),?,?,?)",
        " ON CONFLICT (name, step_ms, start_ms) DO UPDATE SET count = count + excluded.count",
    )
});

/// Adds to the log what the caller's transaction changes, and folds a long log. Its rows are
/// numbered from 1 on after each fold, so that a number says how many there are.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    changes: Changes<'_>,
) -> sqlx::Result<()> {
    const ADD: &str = "INSERT INTO tally_log (tenant, class, line) VALUES (?, ?, ?)";
    let mut last = 0;
    for (tenant, class, line) in changes.lines() {
        let add = sqlx::query(ADD).bind(tenant.to_owned()).bind(class.to_owned()).bind(line);
        last = add.execute(&mut *connection).await?.last_insert_rowid();
    }
    if last >= LOG_MAX { fold(connection).await } else { Ok(()) }
}

async fn fold(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    const LOG: &str = "SELECT tenant, class, line FROM tally_log";
    let log: Vec<(String, String, String)> =
        sqlx::query_as(LOG).fetch_all(&mut *connection).await?;
    let folded = tallies::fold(&log)?;
    let same = |a: &Tally, b: &Tally| {
        (&a.tenant, &a.class, &a.facet, &a.value) == (&b.tenant, &b.class, &b.facet, &b.value)
    };
    let mut names: Vec<&Tally> = folded.iter().map(|(tally, _)| tally).collect();
    names.dedup_by(|a, b| same(a, b));
    in_chunks!(connection, ADD_NAMES, &names, |query, tally| bind_name(query, tally));
    in_chunks!(connection, ADD_TALLIES, &folded, |query, change| {
        let (tally, by) = change;
        bind_name(query, tally).bind(tally.step.millis()).bind(tally.start).bind(*by)
    });
    for sql in ["DELETE FROM tallies WHERE count = 0", "DELETE FROM tally_log"] {
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_name<'q>(query: Query<'q>, tally: &Tally) -> Query<'q> {
    let query = query.bind(tally.tenant.clone()).bind(tally.class.clone());
    query.bind(tally.facet.clone()).bind(tally.value.clone())
}

/// Forgets what was counted of a class, to count anew.
pub(super) async fn clear(connection: &mut SqliteConnection, class: &str) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM tallies WHERE name IN (SELECT id FROM tally_names WHERE class = ?)",
        "DELETE FROM tally_names WHERE class = ?",
        "DELETE FROM tally_log WHERE class = ?",
    ] {
        sqlx::query(sql).bind(class.to_owned()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Forgets values that no record has any more.
pub(super) async fn forget(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    const SQL: &str = "DELETE FROM tally_names \
        WHERE NOT EXISTS (SELECT 1 FROM tallies WHERE tallies.name = tally_names.id)";
    sqlx::query(SQL).execute(connection).await.map(drop)
}

/// Reads within one transaction.
pub(super) struct Tallies<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) query: &'a CountQuery<'a>,
}

impl Tallies<'_> {
    /// Selects names as `n`, and then from their tallies of each span.
    fn select(&self, facet: &str, values: &[String]) -> QueryBuilder<Sqlite> {
        let mut sql =
            QueryBuilder::new("WITH n AS (SELECT id, value FROM tally_names WHERE tenant = ");
        sql.push_bind(self.query.tenant.to_owned());
        sql.push(" AND class = ").push_bind(self.query.class.name.to_owned());
        sql.push(" AND facet = ").push_bind(facet.to_owned());
        if !values.is_empty() {
            sql.push(" AND value IN (");
            let mut list = sql.separated(", ");
            for value in values {
                list.push_bind(value.clone());
            }
            sql.push(")");
        }
        sql.push(" ORDER BY id DESC LIMIT ");
        sql.push_bind(i64::try_from(NAMES_MAX).unwrap_or(i64::MAX).saturating_add(1)).push(") ");
        sql
    }
}

fn push_spans(sql: &mut QueryBuilder<Sqlite>, columns: &str, spans: &[Span]) {
    for (at, span) in spans.iter().enumerate() {
        sql.push(if at > 0 { " UNION ALL " } else { "" });
        sql.push(format_args!("SELECT {columns} FROM n CROSS JOIN tallies t WHERE t.name = n.id"));
        sql.push(" AND t.step_ms = ").push_bind(span.step.millis());
        sql.push(" AND t.start_ms >= ").push_bind(span.from);
        sql.push(" AND t.start_ms < ").push_bind(span.to);
    }
}

impl Reader for Tallies<'_> {
    async fn log(&mut self) -> sqlx::Result<Vec<String>> {
        const SQL: &str = "SELECT line FROM tally_log WHERE tenant = ? AND class = ?";
        let query = sqlx::query_scalar(SQL).bind(self.query.tenant.to_owned());
        query.bind(self.query.class.name.to_owned()).fetch_all(&mut *self.connection).await
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
        sql.push("SELECT NULL, COUNT(*) FROM n UNION ALL SELECT value, SUM(count) FROM (");
        push_spans(&mut sql, "n.value, t.count", spans);
        sql.push(") GROUP BY value");
        let mut names = 0;
        let mut sums = Vec::new();
        for row in sql.build().fetch_all(&mut *self.connection).await? {
            match row.try_get::<Option<String>, _>(0)? {
                Some(value) => sums.push((value, row.try_get(1)?)),
                None => names = row.try_get::<i64, _>(1)?,
            }
        }
        Ok((sums, usize::try_from(names).unwrap_or(usize::MAX) <= NAMES_MAX))
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
        sql.push(" LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
        sql.build_query_as().fetch_all(&mut *self.connection).await
    }

    async fn look(&mut self, look: Look<'_>) -> sqlx::Result<Seen> {
        let most = i64::try_from(look.most).unwrap_or(i64::MAX);
        let mut filters = Vec::new();
        let mut fewest = 0;
        for (facet, value) in look.filters {
            let mut sql = QueryBuilder::new("SELECT COUNT(*) FROM (SELECT 1 FROM facets f WHERE ");
            self.push_filter(&mut sql, "f", (facet, value));
            push_time(&mut sql, "f", &look);
            sql.push(" LIMIT ").push_bind(most.saturating_add(1)).push(")");
            let count: i64 = sql.build_query_scalar().fetch_one(&mut *self.connection).await?;
            filters.push((count, (*facet, value.as_str())));
        }
        filters.sort_by_key(|(count, _)| *count);
        if let Some((count, _)) = filters.first() {
            fewest = *count;
        }
        let filters: Vec<(&str, &str)> = filters.into_iter().map(|(_, filter)| filter).collect();
        let mut sql = self.select_rows(&look, &filters);
        let found: Vec<(i64, Option<String>)> =
            sql.build_query_as().fetch_all(&mut *self.connection).await?;
        let looked = if filters.is_empty() {
            i64::try_from(found.len()).unwrap_or(i64::MAX)
        } else {
            fewest
        };
        let mut rows = found;
        rows.truncate(look.most);
        Ok(Seen { rows, whole: looked <= most })
    }
}

impl Tallies<'_> {
    /// Along the fewest, newest first; the other filters are looked up row by row.
    fn select_rows(&self, look: &Look<'_>, filters: &[(&str, &str)]) -> QueryBuilder<Sqlite> {
        let (tenant, class) = (self.query.tenant, self.query.class.name);
        let most = i64::try_from(look.most).unwrap_or(i64::MAX);
        let meta = if look.meta { "r.meta" } else { "NULL" };
        let Some((first, others)) = filters.split_first() else {
            let mut sql = QueryBuilder::new(format!(
                "SELECT r.time_ms, {meta} FROM records r WHERE r.tenant = "
            ));
            sql.push_bind(tenant.to_owned()).push(" AND r.class = ").push_bind(class.to_owned());
            push_time(&mut sql, "r", look);
            sql.push(" ORDER BY r.time_ms DESC, r.id DESC LIMIT ")
                .push_bind(most.saturating_add(1));
            return sql;
        };
        let mut sql = QueryBuilder::new(format!("SELECT f0.time_ms, {meta} FROM ("));
        sql.push("SELECT f.time_ms, f.id FROM facets f WHERE ");
        self.push_filter(&mut sql, "f", *first);
        push_time(&mut sql, "f", look);
        sql.push(" ORDER BY f.time_ms DESC, f.id DESC LIMIT ").push_bind(most).push(") f0");
        for at in 1..=others.len() {
            sql.push(format_args!(" CROSS JOIN facets f{at}"));
        }
        sql.push(if look.meta { " CROSS JOIN records r WHERE " } else { " WHERE " });
        for (at, filter) in (1..).zip(others) {
            let name = format!("f{at}");
            self.push_filter(&mut sql, &name, *filter);
            sql.push(format_args!(" AND {name}.time_ms = f0.time_ms AND {name}.id = f0.id AND "));
        }
        if look.meta {
            sql.push("r.tenant = ").push_bind(tenant.to_owned());
            sql.push(" AND r.class = ").push_bind(class.to_owned()).push(" AND r.id = f0.id");
        } else {
            sql.push("TRUE");
        }
        sql
    }

    fn push_filter(
        &self,
        sql: &mut QueryBuilder<Sqlite>,
        name: &str,
        (facet, value): (&str, &str),
    ) {
        sql.push(format_args!("{name}.tenant = ")).push_bind(self.query.tenant.to_owned());
        sql.push(format_args!(" AND {name}.class = ")).push_bind(self.query.class.name.to_owned());
        sql.push(format_args!(" AND {name}.facet = ")).push_bind(facet.to_owned());
        sql.push(format_args!(" AND {name}.value = ")).push_bind(value.to_owned());
    }
}

fn push_time(sql: &mut QueryBuilder<Sqlite>, name: &str, look: &Look<'_>) {
    sql.push(format_args!(" AND {name}.time_ms >= ")).push_bind(look.since);
    sql.push(format_args!(" AND {name}.time_ms < ")).push_bind(look.until);
}
