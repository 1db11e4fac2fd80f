//! What every database must do for the store: one suite, run against each.
//!
//! A backend gives a function that opens an empty database, and calls [`all`].

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use bartizan_core::{Cx, Id, Timestamp, sim};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::{
    Class, Counts, LogHead, Order, Retention, Step, Steps, facets,
    repository::{
        CountQuery, Expired, KeyId, Merged, NewRow, OutboxRow, Place, Repository, Row, RowQuery,
        Sealed, WrappedKey, Written,
    },
};

type Repo = Arc<dyn Repository>;
const FACETS: &[&str] = &["color", "shape"];
pub(crate) const NOTE: Class =
    Class { name: "note", facets: FACETS, counted: FACETS, retention: Retention::FOREVER };
const KEY: KeyId = [7; 16];

/// Runs every case, each on a database of its own.
pub(crate) async fn all<F: Future<Output = Repo>>(open: impl Fn() -> F) {
    rows_come_back_as_they_went(open().await).await;
    an_id_is_taken_once_within_its_tenant_and_class(open().await).await;
    a_conflict_in_a_group_stops_nobody_else(open().await).await;
    replacing_needs_the_expected_version(open().await).await;
    of_racing_replacements_one_wins(open().await).await;
    deleted_rows_are_not_found_by_anything(open().await).await;
    lists_agree_with_a_slow_search(open().await).await;
    pages_are_cut_by_bytes(open().await).await;
    filters_that_exclude_each_other_are_walked_in_pieces(open().await).await;
    tenants_see_nothing_of_each_other(open().await).await;
    rows_are_found_by_facets_that_came_later(open().await).await;
    of_many_replacements_each_has_its_own_fate(open().await).await;
    counts_agree_with_a_slow_count(open().await).await;
    counts_of_many_rows_are_exact_or_say_at_least(open().await).await;
    made_up_values_do_not_make_counting_wrong(open().await).await;
    merging_keeps_the_newest(open().await).await;
    expiry_by_age_and_by_size(open().await).await;
    a_destroyed_key_takes_no_more_rows(open().await).await;
    the_first_data_key_stays(open().await).await;
    heads_of_logs_are_remembered_one_a_log(open().await).await;
    events_wait_for_every_subscription(open().await).await;
    events_and_rows_come_together(open().await).await;
    a_copy_holds_what_was_there(open().await).await;
    closed_is_closed(open().await).await;
}

async fn heads_of_logs_are_remembered_one_a_log(repo: Repo) {
    let head = |log: u8, size| LogHead {
        log: [log; 32],
        origin: format!("log-{log}"),
        size,
        root: [log ^ 1; 32],
    };
    assert_eq!(repo.log_heads().await.expect("read"), []);
    for head in [head(2, 3), head(1, 7), head(2, 9)] {
        repo.remember_log_head(&head).await.expect("remembered");
    }
    assert_eq!(repo.log_heads().await.expect("read"), [head(1, 7), head(2, 9)]);
    repo.forget_log_head(&[1; 32]).await.expect("forgotten");
    assert_eq!(repo.log_heads().await.expect("read"), [head(2, 9)]);
}

fn cx() -> (Cx, Arc<sim::ManualClock>) {
    sim::cx(11)
}

pub(crate) fn row(cx: &Cx, tenant: &str, color: &str) -> NewRow {
    let meta = format!("{{\"color\":\"{color}\",\"n\":0.25}}");
    NewRow {
        row: Row {
            tenant: tenant.into(),
            class: NOTE.name.into(),
            id: Id::new(cx),
            time: cx.now(),
            version: 1,
            meta,
            sealed: Sealed::Bytes(vec![0, 255, 10]),
            tag: cx.random::<32>().to_vec(),
        },
        facets: vec![("color".into(), color.into())],
        counted: NOTE.counted,
        key: KEY,
    }
}

fn query<'a>(tenant: &'a str, filters: &'a [(&'a str, String)]) -> RowQuery<'a> {
    RowQuery {
        tenant,
        class: NOTE.name,
        filters,
        since: None,
        until: None,
        after: None,
        order: Order::Newest,
        limit: 100,
        sealed: true,
    }
}

pub(crate) fn wrapped(tenant: &str, id: KeyId) -> WrappedKey {
    WrappedKey {
        tenant: tenant.into(),
        id,
        master: "m1".into(),
        wrapped: vec![1, 2, 3],
        time: Timestamp::from_millis(5),
    }
}

async fn keyed(repo: &Repo, tenants: &[&str]) {
    for tenant in tenants {
        repo.add_data_key(wrapped(tenant, KEY)).await.expect("added");
    }
    repo.index(&[&NOTE]).await.expect("indexed");
}

async fn insert(repo: &Repo, row: &NewRow) -> Written {
    repo.insert(row.clone(), Vec::new()).await.expect("inserted or refused")
}

fn counting<'a>(tenant: &'a str, filters: &'a [(&'a str, String)]) -> CountQuery<'a> {
    CountQuery {
        tenant,
        class: &NOTE,
        filters,
        since: None,
        until: None,
        by: &["color"],
        values_max: 500,
        steps: None,
    }
}

async fn colors(repo: &Repo, tenant: &str) -> Vec<(String, u64)> {
    let counts = repo.count(&counting(tenant, &[])).await.expect("counted");
    assert!(counts.exact && counts.facets[0].exact);
    counts.facets[0].values.clone()
}

/// Replaces one row.
async fn replace(repo: &Repo, row: NewRow, expected: u64) -> crate::Result<Written> {
    repo.replace(vec![(row, expected)], &NOTE).await.map(|written| written[0])
}

async fn ids(repo: &Repo, query: &RowQuery<'_>) -> Vec<Id> {
    repo.list(query).await.expect("listed").rows.iter().map(|row| row.id).collect()
}

async fn rows_come_back_as_they_went(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let full = row(&cx, "a", "red");
    let mut bare = row(&cx, "a", "it's \"é\" \u{0}\u{1f600} %_");
    bare.row.sealed = Sealed::Absent;
    bare.row.version = u64::from(u32::MAX) + 7;
    bare.row.time = Timestamp::from_millis(-1);
    for new in [&full, &bare] {
        assert_eq!(insert(&repo, new).await, Written::Done);
        let back = repo.get("a", "note", new.row.id).await.expect("read");
        assert_eq!(back.as_ref(), Some(&new.row));
    }
    let unread = RowQuery { sealed: false, ..query("a", &[]) };
    let rows = repo.list(&unread).await.expect("listed").rows;
    assert_eq!(
        rows.iter().map(|r| &r.sealed).collect::<Vec<_>>(),
        [&Sealed::Unread, &Sealed::Absent]
    );
    assert_eq!(repo.get("a", "note", Id::new(&cx)).await.expect("read"), None);
    assert_eq!(repo.get("a", "other", full.row.id).await.expect("read"), None);
}

async fn an_id_is_taken_once_within_its_tenant_and_class(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a", "b"]).await;
    let first = row(&cx, "a", "red");
    assert_eq!(insert(&repo, &first).await, Written::Done);
    let mut second = row(&cx, "a", "blue");
    second.row.id = first.row.id;
    assert_eq!(insert(&repo, &second).await, Written::Exists);
    assert_eq!(repo.get("a", "note", first.row.id).await.expect("read"), Some(first.row.clone()));
    second.row.tenant = "b".into();
    assert_eq!(insert(&repo, &second).await, Written::Done);
    second.row.tenant = "a".into();
    second.row.class = "other".into();
    assert_eq!(insert(&repo, &second).await, Written::Done);
}

async fn a_conflict_in_a_group_stops_nobody_else(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let taken = row(&cx, "a", "red");
    assert_eq!(insert(&repo, &taken).await, Written::Done);
    let mut group: Vec<NewRow> = (0..40).map(|_| row(&cx, "a", "blue")).collect();
    group[7].row.id = taken.row.id;
    group[8].key = [9; 16];
    group[20].row.id = group[19].row.id;
    let puts = group.iter().map(|row| repo.insert(row.clone(), Vec::new()));
    let written: Vec<Written> = futures_util::future::join_all(puts)
        .await
        .into_iter()
        .map(|w| w.expect("answered"))
        .collect();
    assert_eq!(written[7], Written::Exists);
    assert_eq!(written[8], Written::KeyGone);
    let pair: BTreeSet<bool> = [written[19], written[20]].map(|w| w == Written::Done).into();
    assert_eq!(pair.len(), 2, "one of two rows with the same id");
    assert_eq!(written.iter().filter(|w| **w == Written::Done).count(), 37);
    assert_eq!(ids(&repo, &query("a", &[("color", "blue".into())])).await.len(), 37);
}

async fn replacing_needs_the_expected_version(repo: Repo) {
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let first = row(&cx, "a", "red");
    insert(&repo, &first).await;
    clock.advance_ms(5);
    let mut second = first.clone();
    second.row.version = 2;
    second.row.meta = "{\"color\":\"blue\"}".into();
    second.facets = vec![("color".into(), "blue".into())];
    let replace = |row: NewRow, expected| {
        let repo = repo.clone();
        async move { replace(&repo, row, expected).await.expect("answered") }
    };
    assert_eq!(replace(second.clone(), 2).await, Written::Version(1));
    assert_eq!(replace(second.clone(), 1).await, Written::Done);
    assert_eq!(replace(second.clone(), 1).await, Written::Version(2));
    assert_eq!(repo.get("a", "note", first.row.id).await.expect("read"), Some(second.row.clone()));
    assert_eq!(ids(&repo, &query("a", &[("color", "red".into())])).await, []);
    assert_eq!(ids(&repo, &query("a", &[("color", "blue".into())])).await, [first.row.id]);
    assert_eq!(replace(row(&cx, "a", "red"), 1).await, Written::Missing);
    let keyless = NewRow { key: [9; 16], ..second };
    assert_eq!(replace(keyless, 2).await, Written::KeyGone);
}

async fn of_racing_replacements_one_wins(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let mut next = row(&cx, "a", "red");
    insert(&repo, &next).await;
    for version in 1..=5 {
        next.row.version = version + 1;
        let racing = (0..8).map(|_| replace(&repo, next.clone(), version));
        let done = futures_util::future::join_all(racing).await;
        let wins = done.iter().filter(|w| matches!(w, Ok(Written::Done))).count();
        assert_eq!(wins, 1, "version {version}");
    }
}

async fn deleted_rows_are_not_found_by_anything(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let (gone, stays) = (row(&cx, "a", "red"), row(&cx, "a", "red"));
    insert(&repo, &gone).await;
    insert(&repo, &stays).await;
    assert!(!repo.delete("b", &NOTE, gone.row.id).await.expect("answered"));
    assert!(repo.delete("a", &NOTE, gone.row.id).await.expect("deleted"));
    assert!(!repo.delete("a", &NOTE, gone.row.id).await.expect("answered"));
    assert_eq!(repo.get("a", "note", gone.row.id).await.expect("read"), None);
    assert_eq!(ids(&repo, &query("a", &[])).await, [stays.row.id]);
    assert_eq!(ids(&repo, &query("a", &[("color", "red".into())])).await, [stays.row.id]);
    assert_eq!(colors(&repo, "a").await, [("red".to_owned(), 1)]);
}

/// A thousand random queries over random rows, page by page, against a filter over a list.
async fn lists_agree_with_a_slow_search(repo: Repo) {
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let random = sim::SeededEntropy::new(5);
    let (colors, shapes) = (["red", "blue", "rare"], ["round", "square"]);
    let mut rows = Vec::new();
    for n in 0..150 {
        // Several rows a millisecond, so that ids decide.
        clock.advance_ms(i64::from(n % 4 == 0));
        let color = colors[if n % 40 == 0 { 2 } else { random.below(2) }];
        let mut new = row(&cx, "a", color);
        new.facets.push(("shape".into(), shapes[random.below(2)].into()));
        assert_eq!(insert(&repo, &new).await, Written::Done);
        rows.push(new);
    }
    let start = rows[0].row.time.millis();
    let filter = vec((any::<bool>(), 0usize..3), 0..3);
    let times = (proptest::option::of(-2i64..45), proptest::option::of(-2i64..45));
    let strategy = (filter, times, any::<bool>(), 1u16..60);
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..200 {
        let (filter, (since, until), newest, limit) =
            strategy.new_tree(&mut runner).expect("a query").current();
        let filters: Vec<(&str, String)> = filter
            .into_iter()
            .map(|(color, at)| match color {
                true => ("color", colors[at].to_owned()),
                false => ("shape", shapes[at % 2].to_owned()),
            })
            .collect();
        let at = |millis: Option<i64>| millis.map(|ms| Timestamp::from_millis(start + ms));
        let order = if newest { Order::Newest } else { Order::Oldest };
        let asked =
            RowQuery { since: at(since), until: at(until), order, limit, ..query("a", &filters) };
        assert_eq!(walk(&repo, asked.clone()).await, slow(&rows, &asked), "{asked:?}");
    }
}

async fn walk(repo: &Repo, mut query: RowQuery<'_>) -> Vec<Id> {
    let mut found = Vec::new();
    loop {
        let page = repo.list(&query).await.expect("listed");
        assert!(page.rows.len() <= usize::from(query.limit));
        found.extend(page.rows.iter().map(|row| row.id));
        let Some(next) = page.next else { return found };
        query.after = Some(next);
    }
}

fn slow(rows: &[NewRow], query: &RowQuery<'_>) -> Vec<Id> {
    let fits = |new: &&NewRow| {
        let has = |(facet, value): &(&str, String)| {
            new.facets.iter().any(|(f, v)| f == facet && v == value)
        };
        query.filters.iter().all(has)
            && query.since.is_none_or(|since| new.row.time >= since)
            && query.until.is_none_or(|until| new.row.time < until)
    };
    let mut found: Vec<_> =
        rows.iter().filter(fits).map(|new| (new.row.time, new.row.id)).collect();
    found.sort_unstable();
    if query.order == Order::Newest {
        found.reverse();
    }
    found.into_iter().map(|(_, id)| id).collect()
}

async fn pages_are_cut_by_bytes(repo: Repo) {
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        clock.advance_ms(1);
        let mut large = row(&cx, "a", "red");
        large.row.sealed = Sealed::Bytes(vec![0; 20 << 20]);
        insert(&repo, &large).await;
        expected.insert(0, large.row.id);
    }
    let first = repo.list(&query("a", &[])).await.expect("listed");
    assert_eq!((first.rows.len(), first.next.is_some()), (1, true));
    assert_eq!(walk(&repo, query("a", &[])).await, expected);
}

async fn filters_that_exclude_each_other_are_walked_in_pieces(repo: Repo) {
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let many = 2 * usize::try_from(crate::repository::LOOK_MAX).expect("some thousands") + 300;
    let rows: Vec<NewRow> = (0..many)
        .map(|n| {
            clock.advance_ms(1);
            // Half are red, the other half is round; the oldest and one of the newest are both.
            let meta = match n {
                n if n == 0 || n == many - 50 => r#"{"color":"red","shape":"round"}"#,
                n if n % 2 == 0 => r#"{"color":"red","shape":"flat"}"#,
                _ => r#"{"color":"blue","shape":"round"}"#,
            };
            of(row(&cx, "a", "").row, meta)
        })
        .collect();
    for some in rows.chunks(500) {
        repo.merge(some.to_vec(), &NOTE).await.expect("merged");
    }
    let both = [("color", "red".to_owned()), ("shape", "round".to_owned())];
    for order in [Order::Newest, Order::Oldest] {
        let all = RowQuery { order, ..query("a", &both) };
        let first = repo.list(&all).await.expect("listed");
        assert_eq!((first.rows.len(), first.next.is_some()), (1, true), "it goes on elsewhere");
        assert_eq!(walk(&repo, all.clone()).await, slow(&rows, &all));
        let all = RowQuery { order, limit: 1, ..all };
        assert_eq!(walk(&repo, all.clone()).await, slow(&rows, &all));
    }
    // Along the rarer one, however many the other lets pass.
    let few = [("shape", "round".to_owned()), ("color", "none".to_owned())];
    let few = repo.list(&query("a", &few)).await.expect("listed");
    assert_eq!((few.rows.len(), few.next), (0, None));
}

async fn tenants_see_nothing_of_each_other(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a", "b"]).await;
    let theirs = row(&cx, "b", "red");
    insert(&repo, &theirs).await;
    let id = theirs.row.id;
    let red = [("color", "red".to_owned())];
    assert_eq!(repo.get("a", "note", id).await.expect("read"), None);
    assert_eq!(ids(&repo, &query("a", &[])).await, []);
    assert_eq!(ids(&repo, &query("a", &red)).await, []);
    assert_eq!(colors(&repo, "a").await, []);
    assert_eq!(repo.classes("a").await.expect("read"), Vec::<String>::new());
    let mut mine = theirs.clone();
    mine.row.tenant = "a".into();
    mine.row.version = 2;
    assert_eq!(replace(&repo, mine, 1).await.expect("answered"), Written::Missing);
    assert!(!repo.delete("a", &NOTE, id).await.expect("answered"));
    assert_eq!(repo.beyond("a", "note", 0).await.expect("read"), None);
    let place = Place { time: cx.now(), id };
    for which in [Expired::Before(cx.now().after(Duration::from_secs(9))), Expired::UpTo(place)] {
        assert_eq!(repo.expire("a", &NOTE, which).await.expect("swept"), 0);
    }
    assert_eq!(repo.erase("a", cx.now()).await.expect("erased"), 0);
    assert_eq!(repo.get("b", "note", id).await.expect("read"), Some(theirs.row));
    assert_eq!(ids(&repo, &query("b", &red)).await, [id]);
    assert!(repo.data_key("b").await.expect("read").is_some());
}

async fn rows_are_found_by_facets_that_came_later(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let mut new = row(&cx, "a", "red");
    new.row.meta = "{\"color\":\"red\",\"size\":[3,4]}".into();
    insert(&repo, &new).await;
    let sized = [("size", "4".to_owned())];
    assert_eq!(ids(&repo, &query("a", &sized)).await, []);
    let wider = Class { facets: &["size"], counted: &["size"], ..NOTE };
    repo.index(&[&wider]).await.expect("indexed");
    assert_eq!(ids(&repo, &query("a", &sized)).await, [new.row.id]);
    assert_eq!(ids(&repo, &query("a", &[("color", "red".into())])).await, []);
}

async fn of_many_replacements_each_has_its_own_fate(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let rows: Vec<NewRow> = (0..4).map(|_| row(&cx, "a", "red")).collect();
    for row in &rows[..3] {
        insert(&repo, row).await;
    }
    let changed = rows.iter().map(|row| {
        let mut next = of(row.row.clone(), "{\"color\":\"blue\"}");
        next.row.version = 2;
        (next, 1)
    });
    let mut changed: Vec<(NewRow, u64)> = changed.collect();
    changed[1].1 = 7;
    changed[2].0.key = [9; 16];
    let written = repo.replace(changed, &NOTE).await.expect("answered");
    use Written::{Done, KeyGone, Missing, Version};
    assert_eq!(written, [Done, Version(1), KeyGone, Missing]);
    assert_eq!(colors(&repo, "a").await, [("red".to_owned(), 2), ("blue".to_owned(), 1)]);
    assert_eq!(repo.replace(Vec::new(), &NOTE).await.expect("answered"), []);
}

/// The row with other metadata, and its facets.
fn of(row: Row, meta: &str) -> NewRow {
    let facets = facets::of_text(meta, FACETS);
    NewRow { row: Row { meta: meta.to_owned(), ..row }, facets, counted: NOTE.counted, key: KEY }
}

const DAY_MS: i64 = Step::Day.millis();

/// Random work, and after each piece random questions, against counting in a list.
async fn counts_agree_with_a_slow_count(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a", "b"]).await;
    let random = sim::SeededEntropy::new(7);
    let start = Step::Day.start(cx.now()).millis();
    let fresh = || {
        // Around the bounds of steps, where mistakes would be.
        let about = [0, DAY_MS, DAY_MS / 24, DAY_MS / 288 * 7, DAY_MS / 2][random.below(5)];
        let off = [-1, 0, 1, 777_777][random.below(4)];
        let mut new = row(&cx, if random.below(9) == 0 { "b" } else { "a" }, "");
        new.row.time = Timestamp::from_millis(start + about + off);
        of(new.row, meta(&random))
    };
    let mut rows: Vec<NewRow> = Vec::new();
    for round in 0..80 {
        match random.below(9) {
            0..4 => {
                let new: Vec<NewRow> = (0..random.below(25)).map(|_| fresh()).collect();
                if round % 2 == 0 {
                    let puts = new.iter().map(|row| repo.insert(row.clone(), Vec::new()));
                    for written in futures_util::future::join_all(puts).await {
                        assert_eq!(written.expect("answered"), Written::Done);
                    }
                } else {
                    for row in &new {
                        assert_eq!(insert(&repo, row).await, Written::Done);
                    }
                }
                rows.extend(new);
            }
            4 | 5 if !rows.is_empty() => {
                let mut next = Vec::new();
                for _ in 0..=random.below(6) {
                    let at = random.below(rows.len());
                    let mut changed = of(rows[at].row.clone(), meta(&random));
                    changed.row.version += 1;
                    if next.iter().all(|(row, _): &(NewRow, u64)| row.row.id != changed.row.id) {
                        next.push((changed.clone(), changed.row.version - 1));
                        rows[at] = changed;
                    }
                }
                let written = repo.replace(next, &NOTE).await.expect("answered");
                assert!(written.iter().all(|written| *written == Written::Done));
            }
            6 if !rows.is_empty() => {
                let gone = rows.swap_remove(random.below(rows.len())).row;
                assert!(repo.delete(&gone.tenant, &NOTE, gone.id).await.expect("answered"));
            }
            7 if random.below(4) == 0 => {
                let time = Timestamp::from_millis(start + [0, 1, DAY_MS / 2][random.below(3)]);
                let which = Expired::Before(time);
                while repo.expire("a", &NOTE, which).await.expect("swept") > 0 {}
                rows.retain(|row| row.row.tenant == "b" || row.row.time >= time);
            }
            _ => {
                let mut new: Vec<NewRow> = (0..random.below(5)).map(|_| fresh()).collect();
                if let Some(old) = rows.first_mut() {
                    let mut newer = of(old.row.clone(), meta(&random));
                    newer.row.version += 1;
                    *old = newer.clone();
                    new.push(newer.clone());
                    new.push(newer);
                }
                repo.merge(new.clone(), &NOTE).await.expect("merged");
                rows.extend(new.into_iter().filter(|new| new.row.version == 1));
            }
        }
        for _ in 0..6 {
            question(&repo, &random, &rows, start).await;
        }
    }
    repo.compact().await.expect("compacted");
    // Counted anew, from the records, where the facets of the class have changed.
    let other = Class { counted: &["color"], ..NOTE };
    repo.index(&[&other]).await.expect("indexed");
    repo.index(&[&NOTE]).await.expect("indexed");
    for _ in 0..50 {
        question(&repo, &random, &rows, start).await;
    }
    repo.erase("a", cx.now()).await.expect("erased");
    rows.retain(|row| row.row.tenant == "b");
    for _ in 0..50 {
        question(&repo, &random, &rows, start).await;
    }
}

fn meta(random: &sim::SeededEntropy) -> &'static str {
    const METAS: [&str; 6] = [
        r#"{"color":"red","shape":["round","flat"]}"#,
        r#"{"color":"red","shape":["round"]}"#,
        r#"{"color":"blue","shape":["round","round","flat"]}"#,
        r#"{"color":"\u0000 \"é\" %_","shape":"square"}"#,
        r#"{"shape":[]}"#,
        "{}",
    ];
    METAS[random.below(METAS.len())]
}

async fn question(repo: &Repo, random: &sim::SeededEntropy, rows: &[NewRow], start: i64) {
    let values = [("color", "red"), ("shape", "flat"), ("shape", "round"), ("color", "none")];
    let filters: Vec<(&str, String)> = (0..[0, 0, 1, 1, 2, 3][random.below(6)])
        .map(|_| values[random.below(values.len())])
        .map(|(facet, value)| (facet, value.to_owned()))
        .collect();
    let bounds = [-1, 0, 1, DAY_MS / 24, DAY_MS / 24 + 1, DAY_MS / 288 * 7 + 5, DAY_MS, DAY_MS + 1];
    let time = || {
        let bound = bounds[random.below(bounds.len())];
        (random.below(3) > 0).then(|| Timestamp::from_millis(start + bound))
    };
    let (since, until) = (time(), time());
    let by: &[&[&str]] = &[&[], &["color"], &["shape", "color"]];
    let steps = [None, Some(None), Some(Some("color")), Some(Some("shape"))];
    let step = Step::ALL[random.below(3)];
    let asked = CountQuery {
        since,
        until,
        by: by[random.below(3)],
        values_max: 1 + random.below(4),
        steps: steps[random.below(4)].map(|by| Steps { step, by }),
        ..counting(if random.below(5) == 0 { "b" } else { "a" }, &filters)
    };
    let counts = repo.count(&asked).await.expect("counted");
    assert_eq!(counts, slow_count(rows, &asked), "{asked:?}");
}

fn slow_count(rows: &[NewRow], asked: &CountQuery<'_>) -> Counts {
    use crate::{FacetCounts, StepCount, StepCounts};
    let passes = |new: &&NewRow| {
        let has = |(facet, value): &(&str, String)| {
            new.facets.iter().any(|(f, v)| f == facet && v == value)
        };
        new.row.tenant == asked.tenant
            && asked.filters.iter().all(has)
            && asked.since.is_none_or(|since| new.row.time >= since)
            && asked.until.is_none_or(|until| new.row.time < until)
    };
    let found: Vec<&NewRow> = rows.iter().filter(passes).collect();
    let with = |facet: &str, value: &str, rows: &[&NewRow]| {
        let has = |new: &&&NewRow| new.facets.iter().any(|(f, v)| f == facet && v == value);
        rows.iter().filter(has).count() as u64
    };
    let tops = |facet: &str, most: usize| {
        let values = found.iter().flat_map(|new| &new.facets).filter(|(f, _)| f == facet);
        let values: BTreeSet<&str> = values.map(|(_, value)| value.as_str()).collect();
        let mut values: Vec<(String, u64)> =
            values.iter().map(|v| ((*v).to_owned(), with(facet, v, &found))).collect();
        values.sort_by_key(|(value, count)| (std::cmp::Reverse(*count), value.clone()));
        let more = values.len() > most;
        values.truncate(most);
        (values, more)
    };
    let facets = asked.by.iter().map(|facet| {
        let (values, more) = tops(facet, asked.values_max);
        FacetCounts { facet: (*facet).to_owned(), values, more, exact: true }
    });
    let mut steps = StepCounts { steps: Vec::new(), exact: true, values_exact: true };
    if let Some(Steps { step, by }) = asked.steps {
        let starts: BTreeSet<Timestamp> =
            found.iter().map(|new| step.start(new.row.time)).collect();
        for start in starts {
            let here = |new: &&&NewRow| step.start(new.row.time) == start;
            let rows: Vec<&NewRow> = found.iter().filter(here).copied().collect();
            let values = by.map(|facet| (facet, tops(facet, 12).0));
            let values = values.into_iter().flat_map(|(facet, values)| {
                let value = |(value, _): (String, u64)| (value.clone(), with(facet, &value, &rows));
                values.into_iter().map(value).collect::<Vec<_>>()
            });
            let values = values.collect();
            steps.steps.push(StepCount { start, records: rows.len() as u64, values });
        }
    }
    Counts { records: found.len() as u64, exact: true, facets: facets.collect(), steps }
}

async fn counts_of_many_rows_are_exact_or_say_at_least(repo: Repo) {
    const MANY: usize = crate::tallies::READ_MAX + 200;
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let mut rows = Vec::new();
    for n in 0..MANY {
        clock.advance_ms(20_000);
        let shape = if n % 3 == 0 { "round" } else { "flat" };
        rows.push(of(
            row(&cx, "a", "").row,
            &format!("{{\"color\":\"red\",\"shape\":\"{shape}\"}}"),
        ));
    }
    for some in rows.chunks(200) {
        let puts = some.iter().map(|row| repo.insert(row.clone(), Vec::new()));
        for written in futures_util::future::join_all(puts).await {
            assert_eq!(written.expect("answered"), Written::Done);
        }
    }
    let steps = Some(Steps { step: Step::Day, by: Some("shape") });
    let plain = CountQuery { steps, by: FACETS, ..counting("a", &[]) };
    assert_eq!(repo.count(&plain).await.expect("counted"), slow_count(&rows, &plain));
    // One filter: records and steps are exact, other facets are not.
    let red = [("color", "red".to_owned())];
    let asked = CountQuery { filters: &red, ..plain.clone() };
    let (counts, slow) = (repo.count(&asked).await.expect("counted"), slow_count(&rows, &asked));
    assert_eq!((counts.records, counts.exact, counts.steps.exact), (MANY as u64, true, true));
    assert!(!counts.facets[1].exact && !counts.steps.values_exact);
    let records = |counts: &Counts| -> Vec<(Timestamp, u64)> {
        counts.steps.steps.iter().map(|step| (step.start, step.records)).collect()
    };
    assert_eq!(records(&counts), records(&slow));
    for ((value, some), (same, all)) in counts.facets[1].values.iter().zip(&slow.facets[1].values) {
        assert!(value == same && some < all && *some > 150, "{value}: {some} of {all}");
    }
    // Two filters: at least so many; the fewer ones are looked at, so that few are exact.
    let two = [("color", "red".to_owned()), ("shape", "flat".to_owned())];
    let asked = CountQuery { filters: &two, ..plain.clone() };
    assert_eq!(repo.count(&asked).await.expect("counted"), slow_count(&rows, &asked));
    let twice = [("color", "red".to_owned()), ("color", "red".to_owned())];
    let asked = CountQuery { filters: &twice, ..plain };
    let counts = repo.count(&asked).await.expect("counted");
    assert!(!counts.exact && !counts.facets[0].exact && !counts.steps.exact);
    assert_eq!(counts.records, crate::tallies::READ_MAX as u64);
    // And where no metadata is asked for, more are looked at.
    let bare = CountQuery { by: &[], steps: None, ..asked };
    assert_eq!(repo.count(&bare).await.expect("counted"), slow_count(&rows, &bare));
}

async fn made_up_values_do_not_make_counting_wrong(repo: Repo) {
    const MANY: usize = crate::tallies::NAMES_MAX + 100;
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let rows: Vec<NewRow> = (0..MANY)
        .map(|n| of(row(&cx, "a", "").row, &format!("{{\"color\":\"c{n}\",\"shape\":\"flat\"}}")))
        .collect();
    for some in rows.chunks(100) {
        repo.merge(some.to_vec(), &NOTE).await.expect("merged");
    }
    let later = cx.now().after(Duration::from_secs(3600));
    let asked = CountQuery { by: FACETS, until: Some(later), ..counting("a", &[]) };
    let counts = repo.count(&asked).await.expect("counted");
    assert_eq!((counts.records, counts.exact), (MANY as u64, true));
    assert!(counts.facets[0].more);
    assert_eq!(counts.facets[1].values, [("flat".to_owned(), MANY as u64)]);
    assert!(counts.facets[1].exact);
}

async fn merging_keeps_the_newest(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let old = row(&cx, "a", "red");
    let mut newer = old.clone();
    newer.row.version = 4;
    newer.facets = vec![("color".into(), "blue".into())];
    newer.row.meta = "{\"color\":\"blue\"}".into();
    let keyless = NewRow { key: [9; 16], ..row(&cx, "a", "red") };
    let merge = |rows: Vec<NewRow>| {
        let repo = repo.clone();
        async move { repo.merge(rows, &NOTE).await.expect("merged") }
    };
    let first = merge(vec![old.clone(), keyless]).await;
    assert_eq!(first, [Merged::Added, Merged::KeyGone]);
    assert_eq!(
        merge(vec![old.clone(), newer.clone(), old.clone()]).await,
        [Merged::Kept, Merged::Updated, Merged::Kept]
    );
    assert_eq!(repo.get("a", "note", old.row.id).await.expect("read"), Some(newer.row));
    assert_eq!(ids(&repo, &query("a", &[("color", "red".into())])).await, []);
}

async fn expiry_by_age_and_by_size(repo: Repo) {
    let (cx, clock) = cx();
    keyed(&repo, &["a"]).await;
    let mut expected = Vec::new();
    for _ in 0..10 {
        let new = row(&cx, "a", "red");
        insert(&repo, &new).await;
        expected.push(new.row.id);
        clock.advance_ms(10);
    }
    let start = cx.now().before(Duration::from_millis(100));
    let expire = |which| {
        let repo = repo.clone();
        async move { repo.expire("a", &NOTE, which).await.expect("swept") }
    };
    // Exactly at the bound is not before it.
    let bound = start.after(Duration::from_millis(30));
    assert_eq!(expire(Expired::Before(bound)).await, 3);
    assert_eq!(expire(Expired::Before(bound)).await, 0);
    let size = row(&cx, "a", "red").row.bytes();
    let beyond = |bytes| {
        let repo = repo.clone();
        async move { repo.beyond("a", "note", bytes).await.expect("read") }
    };
    assert_eq!(beyond(size * 7).await, None);
    let one = beyond(size * 7 - 1).await.expect("one too many");
    assert_eq!(one.id, expected[3]);
    assert_eq!(expire(Expired::UpTo(one)).await, 1);
    let five = beyond(size * 2).await.expect("four more");
    assert_eq!(expire(Expired::UpTo(five)).await, 4);
    assert_eq!(expire(Expired::UpTo(five)).await, 0);
    let left = RowQuery { order: Order::Oldest, ..query("a", &[]) };
    assert_eq!(ids(&repo, &left).await, expected[8..]);
    assert_eq!(colors(&repo, "a").await, [("red".to_owned(), 2)]);
}

async fn a_destroyed_key_takes_no_more_rows(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    insert(&repo, &row(&cx, "a", "red")).await;
    repo.subscribe("s").await.expect("subscribed");
    repo.publish(vec![event(&cx, "a"), event(&cx, "b")]).await.expect("published");
    assert_eq!(repo.erase("a", cx.now()).await.expect("erased"), 1);
    assert_eq!(repo.data_key("a").await.expect("read"), None);
    assert_eq!(ids(&repo, &query("a", &[])).await, []);
    assert_eq!(colors(&repo, "a").await, []);
    let left = repo.outbox(0, 10).await.expect("read");
    assert_eq!(left.iter().map(|e| e.tenant.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(insert(&repo, &row(&cx, "a", "red")).await, Written::KeyGone);
    assert_eq!(repo.add_data_key(wrapped("a", KEY)).await.expect("answered"), None);
    let fresh = wrapped("a", [8; 16]);
    assert_eq!(repo.add_data_key(fresh.clone()).await.expect("added"), Some(fresh));
    assert_eq!(insert(&repo, &row(&cx, "a", "red")).await, Written::KeyGone);
    let again = NewRow { key: [8; 16], ..row(&cx, "a", "red") };
    assert_eq!(insert(&repo, &again).await, Written::Done);
}

async fn the_first_data_key_stays(repo: Repo) {
    let first = wrapped("a", KEY);
    assert_eq!(repo.add_data_key(first.clone()).await.expect("added"), Some(first.clone()));
    let late = wrapped("a", [8; 16]);
    assert_eq!(repo.add_data_key(late).await.expect("kept"), Some(first.clone()));
    let anew = WrappedKey { master: "m2".into(), wrapped: vec![4], ..first };
    repo.rewrap(&anew).await.expect("wrapped anew");
    assert_eq!(repo.data_key("a").await.expect("read"), Some(anew.clone()));
    assert_eq!(repo.data_keys().await.expect("read"), [anew]);
}

fn event(cx: &Cx, tenant: &str) -> OutboxRow {
    OutboxRow {
        place: 0,
        tenant: tenant.into(),
        id: Id::new(cx),
        entity: "e".into(),
        time: cx.now(),
        body: vec![0, 1, 255],
    }
}

async fn events_wait_for_every_subscription(repo: Repo) {
    let (cx, clock) = cx();
    repo.publish(vec![event(&cx, "a")]).await.expect("published");
    assert_eq!(repo.outbox(0, 10).await.expect("read"), [], "nobody waits");
    assert_eq!(repo.waiting().await.expect("counted"), 0);
    let start = repo.subscribe("one").await.expect("subscribed");
    let events: Vec<OutboxRow> = (0..5).map(|_| event(&cx, "a")).collect();
    repo.publish(events.clone()).await.expect("published");
    assert_eq!(repo.subscribe("one").await.expect("again"), start);
    let rows = repo.outbox(start, 10).await.expect("read");
    let plain = |row: &OutboxRow| OutboxRow { place: 0, ..row.clone() };
    assert_eq!(rows.iter().map(plain).collect::<Vec<_>>(), events);
    assert!(rows.windows(2).all(|pair| pair[0].place < pair[1].place));
    assert_eq!(repo.outbox(rows[1].place, 2).await.expect("read"), rows[2..4]);

    let late = repo.subscribe("two").await.expect("subscribed");
    assert_eq!(late, rows[4].place, "a new subscription starts at the end");
    repo.acknowledge("one", rows[2].place).await.expect("noted");
    repo.acknowledge("one", rows[1].place).await.expect("never backwards");
    assert_eq!(repo.subscribe("one").await.expect("found"), rows[2].place);
    assert_eq!(repo.outbox(0, 10).await.expect("read"), rows[3..]);
    assert_eq!(repo.waiting().await.expect("counted"), 2);
    repo.acknowledge("one", rows[4].place).await.expect("noted");
    assert_eq!(repo.outbox(0, 10).await.expect("read"), []);

    repo.publish(vec![event(&cx, "a")]).await.expect("published");
    let next = repo.outbox(0, 10).await.expect("read");
    assert!(next[0].place > rows[4].place, "places are never given twice");
    clock.advance_ms(100);
    assert_eq!(repo.drop_events(next[0].time).await.expect("swept"), 0);
    assert_eq!(repo.drop_events(cx.now()).await.expect("swept"), 1);
    repo.publish(vec![event(&cx, "a")]).await.expect("published");
    repo.unsubscribe("one").await.expect("ended");
    assert_eq!(repo.outbox(0, 10).await.expect("read").len(), 1, "two still waits");
    repo.unsubscribe("two").await.expect("ended");
    assert_eq!(repo.outbox(0, 10).await.expect("read"), []);
}

async fn events_and_rows_come_together(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    repo.subscribe("s").await.expect("subscribed");
    let new = row(&cx, "a", "red");
    let first = repo.insert(new.clone(), vec![event(&cx, "a")]).await;
    assert_eq!(first.expect("inserted"), Written::Done);
    let second = repo.insert(new, vec![event(&cx, "a"), event(&cx, "a")]).await;
    assert_eq!(second.expect("answered"), Written::Exists);
    assert_eq!(repo.outbox(0, 10).await.expect("read").len(), 1);
}

async fn a_copy_holds_what_was_there(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    insert(&repo, &row(&cx, "a", "red")).await;
    repo.flush().await.expect("flushed");
    repo.compact().await.expect("compacted");
    assert_eq!(repo.check().await.expect("checked"), Vec::<String>::new());
    if repo.shared() {
        return; // The server's own tools copy it.
    }
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().join("copy");
    repo.backup(&to).await.expect("copied");
    assert!(to.metadata().expect("there").len() > 0);
    assert!(repo.backup(&to).await.is_err(), "never over another file");
}

async fn closed_is_closed(repo: Repo) {
    let (cx, _) = cx();
    keyed(&repo, &["a"]).await;
    let new = row(&cx, "a", "red");
    let puts: Vec<_> = (0..20).map(|_| row(&cx, "a", "red")).collect();
    let puts = puts.into_iter().map(|row| repo.insert(row, Vec::new()));
    let (written, closed) =
        futures_util::future::join(futures_util::future::join_all(puts), repo.close()).await;
    closed.expect("closed");
    for written in written {
        assert!(matches!(written, Ok(Written::Done) | Err(crate::Error::Closed)), "{written:?}");
    }
    assert!(matches!(repo.insert(new.clone(), Vec::new()).await, Err(crate::Error::Closed)));
    assert!(matches!(repo.get("a", "note", new.row.id).await, Err(crate::Error::Closed)));
    assert!(replace(&repo, new, 1).await.is_err());
}
