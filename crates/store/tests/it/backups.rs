//! Backups while running, and putting them back.

use std::fs;

use bartizan_store::{Error, NewMasterKey, Query, restore};
use serde_json::json;

use super::*;

async fn put_back(
    house: &House,
    backup: &Path,
) -> bartizan_store::Result<bartizan_store::Restored> {
    restore(&StoreSettings::default(), backup, house.path(), &house.cx).await
}

async fn texts(store: &Store, of: &str) -> Vec<Value> {
    let query = Query { limit: 500, order: bartizan_store::Order::Oldest, ..Query::new(&NOTE) };
    let page = store.list(&tenant(of), &query).await.expect("listed");
    page.records.into_iter().filter_map(|record| record.sealed).collect()
}

#[tokio::test]
async fn a_backup_goes_back_and_what_it_replaced_is_kept() {
    let mut house = House::new().await;
    let backup = house.path().join("backup.db");
    house.note(&tenant("a"), "red", "before").await;
    house.store.backup(&backup).await.expect("copied");
    house.clock.advance_ms(5);
    house.note(&tenant("a"), "red", "after").await;
    house.store.close().await.expect("closed");
    let restored = put_back(&house, &backup).await.expect("restored");
    let replaced = restored.replaced.expect("kept");
    assert_eq!((restored.erased_again, restored.erasures_unknown), (0, false));
    house.store = open(house.path(), &house.cx).await.expect("opened");
    assert_eq!(texts(&house.store, "a").await, [json!("before")]);
    house.note(&tenant("a"), "red", "goes on").await;

    let other = tempfile::tempdir().expect("a directory");
    fs::copy(replaced, other.path().join("store.db")).expect("copied");
    fs::copy(house.path().join("master.key"), other.path().join("master.key")).expect("copied");
    let old = open(other.path(), &house.cx).await.expect("opened");
    assert_eq!(texts(&old, "a").await, [json!("before"), json!("after")]);
}

#[tokio::test]
async fn a_backup_goes_into_an_empty_directory_with_the_key() {
    let house = House::new().await;
    let backup = house.path().join("backup.db");
    house.note(&tenant("a"), "red", "t").await;
    house.store.backup(&backup).await.expect("copied");
    let (cx, _) = sim::cx(9);
    let dir = tempfile::tempdir().expect("a directory");
    let restore = async || restore(&StoreSettings::default(), &backup, dir.path(), &cx).await;
    let error = restore().await.expect_err("no key");
    assert!(matches!(error, Error::OtherMasterKey { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 0, "nothing was left");
    fs::copy(house.path().join("master.key"), dir.path().join("master.key")).expect("copied");
    assert_eq!(restore().await.expect("restored").replaced, None);
    let store = open(dir.path(), &cx).await.expect("opened");
    assert_eq!(texts(&store, "a").await, [json!("t")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_of_one_moment() {
    let house = House::new().await;
    let a = tenant("a");
    let work = {
        let (store, cx, a) = (house.store.clone(), house.cx.clone(), a.clone());
        tokio::spawn(async move {
            for n in 0..400 {
                store
                    .put(&a, &NOTE, Id::new(&cx), meta(&[("color", "red")]), Some(&json!(n)))
                    .await
                    .expect("put");
            }
        })
    };
    let mut sizes = Vec::new();
    for n in 0..4 {
        let backup = house.path().join(format!("backup-{n}.db"));
        house.store.backup(&backup).await.expect("copied");
        let (cx, _) = sim::cx(9);
        let dir = tempfile::tempdir().expect("a directory");
        fs::copy(house.path().join("master.key"), dir.path().join("master.key")).expect("copied");
        restore(&StoreSettings::default(), &backup, dir.path(), &cx).await.expect("restored");
        let store = open(dir.path(), &cx).await.expect("opened");
        let found = texts(&store, "a").await;
        // The puts came one after another: a backup has the first so many, without a gap.
        let mut numbers: Vec<u64> =
            found.iter().map(|value| value.as_u64().expect("a number")).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..u64::try_from(numbers.len()).expect("few")));
        let counted = count(&store, &a, "color").await;
        assert_eq!(
            counted.first().map_or(0, |(_, n)| *n),
            u64::try_from(numbers.len()).expect("few")
        );
        sizes.push(numbers.len());
        store.close().await.expect("closed");
    }
    work.await.expect("worked");
    assert!(sizes.is_sorted(), "{sizes:?}");
}

#[tokio::test]
async fn a_restore_does_not_bring_an_erased_tenant_back() {
    let mut house = House::new().await;
    let backup = house.path().join("backup.db");
    house.note(&tenant("a"), "red", "erase me").await;
    house.note(&tenant("b"), "red", "keep me").await;
    house.store.backup(&backup).await.expect("copied");
    house.store.erase_tenant(&tenant("a")).await.expect("erased");
    house.note(&tenant("a"), "red", "a new life").await;
    house.store.close().await.expect("closed");
    assert_eq!(put_back(&house, &backup).await.expect("restored").erased_again, 1);
    house.store = open(house.path(), &house.cx).await.expect("opened");
    assert_eq!(texts(&house.store, "a").await, Vec::<Value>::new());
    assert_eq!(texts(&house.store, "b").await, [json!("keep me")]);
    // And not with the second restore either: the restored database knows of it, too.
    house.store.close().await.expect("closed");
    assert_eq!(put_back(&house, &backup).await.expect("restored").erased_again, 1);
}

#[tokio::test]
async fn a_damaged_database_gives_way_to_a_backup() {
    let mut house = House::new().await;
    let backup = house.path().join("backup.db");
    house.note(&tenant("a"), "red", "t").await;
    house.store.backup(&backup).await.expect("copied");
    house.store.close().await.expect("closed");
    fs::write(house.db(), "broken").expect("written");
    let restored = put_back(&house, &backup).await.expect("restored");
    assert!(restored.erasures_unknown, "it said that it cannot know");
    assert_eq!(fs::read(restored.replaced.expect("kept")).expect("read"), b"broken");
    house.store = open(house.path(), &house.cx).await.expect("opened");
    assert_eq!(texts(&house.store, "a").await, [json!("t")]);
}

#[tokio::test]
async fn what_is_no_good_backup_changes_nothing() {
    let mut house = House::new().await;
    let backup = house.path().join("backup.db");
    for n in 0..30 {
        house.note(&tenant("a"), "red", &format!("{n} {}", "x".repeat(2000))).await;
    }
    house.store.backup(&backup).await.expect("copied");
    assert!(matches!(house.store.backup(&backup).await, Err(Error::BackupExists { .. })));
    let good = fs::read(&backup).expect("read");
    let in_use = put_back(&house, &backup).await.expect_err("the store is open");
    assert!(matches!(in_use, Error::Busy { .. }), "{in_use}");
    house.store.close().await.expect("closed");
    let before = fs::read(house.db()).expect("read");

    let mut broken = good.clone();
    let middle = broken.len() / 4096 / 2 * 4096;
    broken[middle..middle + 64].fill(0xee);
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    let cut = good[..good.len() - 4096].to_vec();
    for bytes in [Vec::new(), b"no database".to_vec(), broken, cut] {
        fs::write(&backup, bytes).expect("written");
        let error = put_back(&house, &backup).await.expect_err("refused");
        assert!(matches!(&error, Error::Corrupt { path, .. } if *path == backup), "{error}");
    }
    fs::write(&backup, newer).expect("written");
    let error = put_back(&house, &backup).await.expect_err("refused");
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
    fs::write(&backup, &good).expect("written");
    let log = house.path().join("backup.db-wal");
    fs::write(&log, "frames").expect("written");
    let error = put_back(&house, &backup).await.expect_err("refused").to_string();
    assert!(error.contains("write-ahead log lies beside it"), "{error}");
    let missing = put_back(&house, &house.path().join("nowhere.db")).await.expect_err("refused");
    assert!(missing.to_string().contains("nowhere.db"), "{missing}");

    assert_eq!(fs::read(house.db()).expect("read"), before);
    assert!(!house.path().join("store.db.restoring").exists());
    house.store = open(house.path(), &house.cx).await.expect("opened");
    assert_eq!(texts(&house.store, "a").await.len(), 30);
}

#[tokio::test]
async fn after_a_rotation_older_backups_are_unreadable() {
    let house = House::new().await;
    let backup = house.path().join("backup.db");
    house.note(&tenant("a"), "red", "t").await;
    house.store.backup(&backup).await.expect("copied");
    house.store.rotate_master_key(NewMasterKey::Generated).await.expect("rotated");
    house.store.close().await.expect("closed");
    let error = put_back(&house, &backup).await.expect_err("its key is gone");
    assert!(matches!(error, Error::OtherMasterKey { .. }), "{error}");
}

#[tokio::test]
async fn a_backup_to_a_place_that_cannot_be_written_leaves_nothing() {
    let house = House::new().await;
    let nowhere = house.path().join("no/such/place.db");
    let error = house.store.backup(&nowhere).await.expect_err("refused").to_string();
    assert!(error.contains("no/such/place.db"), "{error}");
}
