//! The store over PostgreSQL: several nodes, a server that dies, and the way there from SQLite.

use std::time::{Duration, Instant};

use bartizan_store::{Error, ExportOptions, NewMasterKey, Query, Sealing};
use serde_json::json;

use super::*;
use crate::postgres_server::PostgresServer;

/// Nodes of one database, each with a directory of its own and the same master key.
struct Nodes {
    server: PostgresServer,
    url: String,
    dirs: Vec<tempfile::TempDir>,
    cx: Cx,
}

impl Nodes {
    fn new() -> Option<Self> {
        let server = PostgresServer::start()?;
        let url = server.database("shared");
        Some(Self { server, url, dirs: Vec::new(), cx: sim::cx(rand_seed()).0 })
    }

    async fn add(&mut self) -> Store {
        let dir = tempfile::tempdir().unwrap();
        if let Some(first) = self.dirs.first() {
            std::fs::copy(first.path().join("master.key"), dir.path().join("master.key")).unwrap();
        }
        self.dirs.push(dir);
        self.open(self.dirs.len() - 1).await.unwrap()
    }

    async fn open(&self, node: usize) -> bartizan_store::Result<Store> {
        let settings =
            StoreSettings { database_url: Some(self.url.clone()), ..StoreSettings::default() };
        Store::open(&settings, self.dirs[node].path(), CLASSES, &self.cx).await
    }

    async fn put(&self, store: &Store, text: &str) -> bartizan_store::Result<Id> {
        let id = Id::new(&self.cx);
        let meta = meta(&[("color", "red")]);
        store.put(&tenant("a"), &NOTE, id, meta, Some(&json!(text))).await?;
        Ok(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_see_what_each_other_writes_and_one_of_racing_changes_wins() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (one, two) = (nodes.add().await, nodes.add().await);
    let id = nodes.put(&one, "from one").await.unwrap();
    let seen = two.get(&tenant("a"), &NOTE, id).await.unwrap().unwrap();
    assert_eq!(seen.sealed, Some(json!("from one")));
    for version in 1..=10 {
        let change = |store: Store| async move {
            let text = json!("changed");
            store.replace(&tenant("a"), &NOTE, id, version, Map::new(), Some(&text)).await
        };
        let (a, b) = tokio::join!(change(one.clone()), change(two.clone()));
        let conflicts =
            [&a, &b].iter().filter(|r| matches!(r, Err(Error::Conflict { .. }))).count();
        assert_eq!((a.is_ok() || b.is_ok(), conflicts), (true, 1), "{a:?} {b:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_one_node_erased_is_erased_for_all_and_may_come_back() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (one, two) = (nodes.add().await, nodes.add().await);
    let gone = nodes.put(&one, "old").await.unwrap();
    assert!(two.get(&tenant("a"), &NOTE, gone).await.unwrap().is_some());
    assert_eq!(one.erase_tenant(&tenant("a")).await.unwrap(), 1);
    assert_eq!(two.get(&tenant("a"), &NOTE, gone).await.unwrap(), None);
    // Node two still has the destroyed key in memory: it neither writes under it nor takes
    // what is under the new one for forged.
    let back = nodes.put(&one, "new").await.unwrap();
    let seen = two.get(&tenant("a"), &NOTE, back).await.unwrap().unwrap();
    assert_eq!(seen.sealed, Some(json!("new")));
    assert_eq!(one.erase_tenant(&tenant("a")).await.unwrap(), 1);
    nodes.put(&one, "new").await.unwrap();
    let page = two.list(&tenant("a"), &Query::new(&NOTE)).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!(one.erase_tenant(&tenant("a")).await.unwrap(), 1);
    let own = nodes.put(&two, "two's").await.unwrap();
    assert!(one.get(&tenant("a"), &NOTE, own).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_all_nodes_know_is_put_in_force_by_one() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (one, two) = (nodes.add().await, nodes.add().await);
    let id = nodes.put(&one, "text").await.unwrap();
    let refused = one.rotate_master_key(NewMasterKey::Generated).await.unwrap_err().to_string();
    assert!(refused.contains("every node's master key"), "{refused}");
    for dir in &nodes.dirs {
        let path = dir.path().join("master.key");
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{}\n{old}", "7".repeat(64))).unwrap();
    }
    one.rotate_master_key(NewMasterKey::FromFile).await.unwrap();
    // Another tenant's data key is under the new master key, of which node two only has a file.
    let other = tenant("b");
    let theirs = Id::new(&nodes.cx);
    one.put(&other, &NOTE, theirs, Map::new(), Some(&json!("b's"))).await.unwrap();
    assert!(two.get(&other, &NOTE, theirs).await.unwrap().is_some());
    assert!(two.get(&tenant("a"), &NOTE, id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_master_key_is_refused() {
    let Some(mut nodes) = Nodes::new() else { return };
    let one = nodes.add().await;
    nodes.put(&one, "text").await.unwrap();
    nodes.dirs.push(tempfile::tempdir().unwrap());
    std::fs::write(nodes.dirs[1].path().join("master.key"), "8".repeat(64)).unwrap();
    let refused = nodes.open(1).await.unwrap_err();
    assert!(matches!(refused, Error::OtherMasterKey { .. }), "{refused}");
}

/// Acknowledged means on the disk: over three deaths of the server under load.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_the_server() {
    let Some(mut nodes) = Nodes::new() else { return };
    let one = nodes.add().await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        nodes.put(&one, "first").await.unwrap();
        let writers = (0..8).map(|_| async {
            let mut done = Vec::new();
            loop {
                match nodes.put(&one, "text").await {
                    Ok(id) => done.push(id),
                    Err(error @ (Error::Away { .. } | Error::Database { .. })) => {
                        return (done, error.to_string());
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let pid = nodes.server.pid();
        let killer = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            postgres_server::kill(pid);
        };
        let (done, ()) = tokio::join!(futures_util::future::join_all(writers), killer);
        for (ids, error) in done {
            assert!(error.contains("127.0.0.1"), "{error}");
            kept.extend(ids);
        }
        let away = nodes.put(&one, "text").await.unwrap_err();
        assert!(matches!(away, Error::Away { .. }), "{away}");
        assert!(away.to_string().contains("until it is back"), "{away}");
        nodes.server.revive();
    }
    assert!(kept.len() > 50, "{}", kept.len());
    for id in kept {
        assert!(one.get(&tenant("a"), &NOTE, id).await.unwrap().is_some(), "{id} was lost");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_nobody_for_ever() {
    let Some(mut nodes) = Nodes::new() else { return };
    let one = nodes.add().await;
    nodes.put(&one, "text").await.unwrap();
    nodes.server.signal("STOP");
    let start = Instant::now();
    let puts = (0..40).map(|_| nodes.put(&one, "text"));
    let results = futures_util::future::join_all(puts).await;
    nodes.server.signal("CONT");
    assert!(results.iter().all(|result| matches!(result, Err(Error::Away { .. }))));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // It answers again, and so do we.
    let mut last = None;
    for _ in 0..50 {
        last = nodes.put(&one, "text").await.err();
        if last.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last:?}");
}

#[tokio::test]
async fn a_newer_database_is_refused_and_not_touched() {
    let Some(mut nodes) = Nodes::new() else { return };
    let one = nodes.add().await;
    one.close().await.unwrap();
    nodes.server.sql("shared", "UPDATE bartizan.format SET number = 99");
    let refused = nodes.open(0).await.unwrap_err();
    assert!(matches!(refused, Error::Newer { found: 99, .. }), "{refused}");
    assert_eq!(nodes.server.sql("shared", "SELECT number FROM bartizan.format"), "99");
}

#[tokio::test]
async fn an_absent_server_and_a_wrong_database_are_said() {
    let Some(mut nodes) = Nodes::new() else { return };
    nodes.add().await;
    let url = nodes.url.clone();
    nodes.url = url.replace("/shared", "/nowhere");
    let refused = nodes.open(0).await.unwrap_err().to_string();
    assert!(refused.contains("nowhere") && refused.contains("does not exist"), "{refused}");
    nodes.server.kill();
    nodes.url = url;
    let away = nodes.open(0).await.unwrap_err().to_string();
    assert!(away.contains("cannot be reached") && away.contains("store.database_url"), "{away}");
}

/// What is altered by whoever may write to the database is noticed, there as here.
#[tokio::test]
async fn rows_that_were_altered_on_the_server_are_noticed() {
    let Some(mut nodes) = Nodes::new() else { return };
    let one = nodes.add().await;
    let id = nodes.put(&one, "text").await.unwrap();
    nodes.server.sql(
        "shared",
        r#"UPDATE bartizan.records SET meta = convert_to('{"color":"blue"}', 'UTF8')"#,
    );
    let noticed = one.get(&tenant("a"), &NOTE, id).await.unwrap_err();
    assert!(matches!(noticed, Error::Altered { .. }), "{noticed}");
    // Neither names nor texts of what is sealed stand in the database.
    let dump = nodes.server.sql("shared", "SELECT encode(sealed, 'escape') FROM bartizan.records");
    assert!(!dump.contains("text"), "{dump}");
}

#[tokio::test]
async fn an_export_leads_from_sqlite_to_postgresql_and_back() {
    let Some(mut nodes) = Nodes::new() else { return };
    let house = House::new().await;
    let mut expected = Vec::new();
    for n in 0..30 {
        house.clock.advance_ms(1);
        let (a, b) = (tenant("a"), tenant("b"));
        let id = house.note(if n % 3 == 0 { &b } else { &a }, "red", &format!("text {n}")).await;
        if n == 7 {
            let green = meta(&[("color", "green")]);
            house.store.replace(&a, &NOTE, id, 1, green, Some(&json!("v2"))).await.unwrap();
        }
    }
    let everything = async |store: &Store| {
        let mut all = Vec::new();
        for name in ["a", "b"] {
            let query = Query { limit: 500, ..Query::new(&NOTE) };
            all.extend(store.list(&tenant(name), &query).await.unwrap().records);
        }
        all
    };
    expected.extend(everything(&house.store).await);
    let digest = house.store.tenant_tag(&tenant("a")).await.unwrap();
    let export = async |store: &Store, sealing| {
        let mut out = Vec::new();
        let options = ExportOptions { sealing, tenant: None };
        assert_eq!(store.export(&mut out, &options).await.unwrap().records, 30);
        out
    };
    // The master key goes along: texts stay encrypted on the way, and digests keep their values.
    nodes.dirs.push(tempfile::tempdir().unwrap());
    let key = nodes.dirs[0].path().join("master.key");
    std::fs::copy(house.path().join("master.key"), &key).unwrap();
    let there = nodes.open(0).await.unwrap();
    let bytes = export(&house.store, Sealing::Encrypted).await;
    assert_eq!(there.import(&mut &*bytes).await.unwrap().added, 30);
    assert_eq!(there.import(&mut &*bytes).await.unwrap().kept, 30);
    assert_eq!(everything(&there).await, expected);
    assert_eq!(there.tenant_tag(&tenant("a")).await.unwrap(), digest);
    let green = Query { filters: vec![("color", "green".into())], ..Query::new(&NOTE) };
    assert_eq!(there.list(&tenant("a"), &green).await.unwrap().records.len(), 1);

    let back = House::new().await;
    let bytes = export(&there, Sealing::Clear).await;
    assert_eq!(back.store.import(&mut &*bytes).await.unwrap().added, 30);
    assert_eq!(everything(&back.store).await, expected);
    let refused = there.backup(&nodes.dirs[0].path().join("copy")).await.unwrap_err();
    assert!(refused.to_string().contains("pg_dump"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sweeps_of_two_nodes_share_the_work() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (one, two) = (nodes.add().await, nodes.add().await);
    for _ in 0..700 {
        nodes.put(&one, "text").await.unwrap();
    }
    let later = nodes.cx.now().after(Duration::from_secs(11 * 24 * 3600));
    let (a, b) = tokio::join!(one.sweep(later), two.sweep(later));
    let swept = |swept: bartizan_store::Swept| swept.records.get("note").copied().unwrap_or(0);
    assert_eq!(swept(a.unwrap()) + swept(b.unwrap()), 700);
    assert_eq!(count(&one, &tenant("a"), "color").await, []);
}
