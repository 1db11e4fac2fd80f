//! What the disk shows, who can read it, and what erasing leaves.

use bartizan_store::{Error, NewMasterKey, Query};
use serde_json::json;

use super::*;

const TEXT: &str = "a-text-that-nobody-else-writes";

#[tokio::test]
async fn texts_rest_encrypted_and_metadata_in_clear() {
    let mut house = House::new().await;
    let a = tenant("a");
    house.note(&a, "crimson", TEXT).await;
    house.store.flush().await.expect("flushed");
    let open = bytes_of(house.path());
    house.reopen().await.expect("opened");
    let closed = bytes_of(house.path());
    for bytes in [open, closed] {
        assert!(holds(&bytes, b"crimson"), "the search would find the text, too");
        assert!(!holds(&bytes, TEXT.as_bytes()));
    }
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new().await;
    house.note(&tenant("a"), "red", "t").await;
    house.store.backup(&house.path().join("copy.db")).await.expect("copied");
    for file in std::fs::read_dir(house.path()).expect("a directory") {
        let file = file.expect("a file");
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
}

#[tokio::test]
async fn whatever_is_altered_in_the_database_is_noticed() {
    let changes = [
        "UPDATE records SET meta = '{\"color\":\"blue\"}'",
        "UPDATE records SET meta = meta || ' '",
        "UPDATE records SET tenant = 'b'",
        "UPDATE records SET class = 'blob'",
        "UPDATE records SET version = 2",
        "UPDATE records SET time_ms = time_ms + 1",
        "UPDATE records SET sealed = NULL",
        "UPDATE records SET tag = zeroblob(32)",
        "UPDATE records SET sealed = zeroblob(64)",
        "UPDATE records SET sealed = substr(sealed, 1, length(sealed) - 1)",
        // The sealed part of another record of the same tenant and class.
        "UPDATE records SET sealed = (SELECT r.sealed FROM records r WHERE r.number <> records.number AND r.tenant = records.tenant LIMIT 1)",
        "UPDATE records SET id = (SELECT randomblob(16))",
    ];
    for change in changes {
        let house = House::new().await;
        house.note(&tenant("a"), "red", "one").await;
        // With a key of its own, so that what is moved there could be opened.
        house.store.tenant_tag(&tenant("b")).await.expect("a key");
        if change.contains("<>") {
            house.note(&tenant("a"), "red", "two").await;
        }
        house.tamper(change).await;
        let mut noticed = false;
        for (tenant, class) in [("a", &NOTE), ("b", &NOTE), ("a", &BLOB)] {
            match house.store.list(&super::tenant(tenant), &Query::new(class)).await {
                Ok(page) => assert_eq!(page.records, [], "{change}"),
                Err(Error::Altered { .. }) => noticed = true,
                Err(other) => panic!("{change}: {other}"),
            }
        }
        assert!(noticed, "{change}");
    }
}

#[tokio::test]
async fn digests_differ_by_tenant_and_label_and_last() {
    let mut house = House::new().await;
    let (a, b) = (tenant("a"), tenant("b"));
    let first = house.store.digest(&a, "prompt", b"x").await.expect("a digest");
    assert!(first.starts_with("hmac-sha256:") && first.len() == 12 + 64, "{first}");
    assert_ne!(first, house.store.digest(&b, "prompt", b"x").await.expect("a digest"));
    assert_ne!(first, house.store.digest(&a, "output", b"x").await.expect("a digest"));
    let tag = house.store.tenant_tag(&a).await.expect("a tag");
    house.reopen().await.expect("opened");
    assert_eq!(first, house.store.digest(&a, "prompt", b"x").await.expect("a digest"));
    assert_eq!(tag, house.store.tenant_tag(&a).await.expect("a tag"));
}

#[tokio::test]
async fn without_its_master_key_nothing_opens_and_no_new_one_is_made() {
    let mut house = House::new().await;
    let file = house.path().join("master.key");
    let id = house.note(&tenant("a"), "red", TEXT).await;
    let kept = std::fs::read(&file).expect("the key");
    std::fs::remove_file(&file).expect("lost");
    let missing = house.reopen().await.expect_err("refused").to_string();
    assert!(missing.contains("master.key") && missing.contains("it is missing"), "{missing}");
    assert!(!file.exists());

    std::fs::write(&file, "ab".repeat(32)).expect("another");
    let other = open(house.path(), &house.cx).await.expect_err("refused").to_string();
    assert!(other.contains("is not the one of this database"), "{other}");

    std::fs::write(&file, kept).expect("put back");
    house.store = open(house.path(), &house.cx).await.expect("opened");
    assert!(house.store.get(&tenant("a"), &NOTE, id).await.expect("read").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_changes_while_work_goes_on() {
    let mut house = House::new().await;
    let file = house.path().join("master.key");
    let old = std::fs::read_to_string(&file).expect("the key");
    let tag = house.store.tenant_tag(&tenant("t0")).await.expect("a tag");
    let work = {
        let (store, cx) = (house.store.clone(), house.cx.clone());
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..60 {
                let (tenant, id) = (tenant(&format!("t{}", n % 20)), Id::new(&cx));
                store.put(&tenant, &NOTE, id, Map::new(), Some(&json!(n))).await.expect("put");
                ids.push((tenant, id, n));
            }
            ids
        })
    };
    let before = house.store.master_key_name();
    let mut names = vec![before];
    for _ in 0..5 {
        names.push(house.store.rotate_master_key(NewMasterKey::Generated).await.expect("rotated"));
    }
    let ids = work.await.expect("worked");
    names.push(house.store.rotate_master_key(NewMasterKey::Generated).await.expect("rotated"));
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    assert_eq!(names.last(), Some(&house.store.master_key_name()));
    let text = std::fs::read_to_string(&file).expect("the key");
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1, "old keys are gone");

    house.reopen().await.expect("opened with the new key");
    for (tenant, id, n) in ids {
        let record = house.store.get(&tenant, &NOTE, id).await.expect("read").expect("there");
        assert_eq!(record.sealed, Some(json!(n)));
    }
    assert_eq!(house.store.tenant_tag(&tenant("t0")).await.expect("a tag"), tag);
    house.store.close().await.expect("closed");
    std::fs::write(&file, old).expect("the old key");
    let refused = open(house.path(), &house.cx).await.expect_err("the old key opens nothing");
    assert!(matches!(refused, Error::OtherMasterKey { .. }), "{refused}");
}

#[tokio::test]
async fn a_rotation_that_a_crash_cut_is_finished_at_the_next_start() {
    let mut house = House::new().await;
    let file = house.path().join("master.key");
    let id = house.note(&tenant("a"), "red", TEXT).await;
    // What the file holds after its first write of a rotation, before any key is wrapped anew.
    let old = std::fs::read_to_string(&file).expect("the key");
    let new = format!("{}\n# being replaced: the next start removes it\n{old}", "cd".repeat(32));
    std::fs::write(&file, new).expect("written");
    house.reopen().await.expect("opened");
    assert!(house.store.get(&tenant("a"), &NOTE, id).await.expect("read").is_some());
    let left = std::fs::read_to_string(&file).expect("the key");
    let keys: Vec<_> = left.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(keys, ["cd".repeat(32)]);
    house.reopen().await.expect("opened");
    assert!(house.store.get(&tenant("a"), &NOTE, id).await.expect("read").is_some());
}

#[tokio::test]
async fn a_key_file_of_the_operators_own_is_taken_over_step_by_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secret");
    let data = dir.path().join("data");
    let (cx, _) = sim::cx(1);
    let settings =
        StoreSettings { master_key_file: Some(file.clone()), ..StoreSettings::default() };
    std::fs::write(&file, "ab".repeat(32)).expect("written");
    let store = Store::open(&settings, &data, CLASSES, &cx).await.expect("opened");
    let tag = store.tenant_tag(&tenant("a")).await.expect("a tag");
    assert!(!data.join("master.key").exists());

    std::fs::write(&file, "cd".repeat(32)).expect("written");
    let refused = store.rotate_master_key(NewMasterKey::FromFile).await.expect_err("old one gone");
    assert!(refused.to_string().contains("the present one after it"), "{refused}");
    std::fs::write(&file, format!("{}\n{}\n", "cd".repeat(32), "ab".repeat(32))).expect("written");
    store.rotate_master_key(NewMasterKey::FromFile).await.expect("rotated");
    store.close().await.expect("closed");
    std::fs::write(&file, "cd".repeat(32)).expect("written");
    let store = Store::open(&settings, &data, CLASSES, &cx).await.expect("the new key is enough");
    assert_eq!(store.tenant_tag(&tenant("a")).await.expect("a tag"), tag);
}

#[tokio::test]
async fn an_erased_tenant_leaves_no_key_and_no_records() {
    let house = House::new().await;
    let (a, b) = (tenant("a"), tenant("b"));
    let gone = house.note(&a, "red", TEXT).await;
    let stays = house.note(&b, "red", TEXT).await;
    let tag = house.store.tenant_tag(&a).await.expect("a tag");
    let wrapped = wrapped_key(&house, "a").await;
    house.store.flush().await.expect("flushed");
    assert!(holds(&bytes_of(house.path()), &wrapped), "the search would find the key");
    assert_eq!(house.store.erase_tenant(&a).await.expect("erased"), 1);
    assert!(!holds(&bytes_of(house.path()), &wrapped), "not in the file, not in its log");
    assert_eq!(house.store.get(&a, &NOTE, gone).await.expect("read"), None);
    assert_eq!(count(&house.store, &a, "color").await, []);
    assert_eq!(house.store.tenants().await.expect("read"), std::slice::from_ref(&b));
    assert!(house.store.get(&b, &NOTE, stays).await.expect("read").is_some());
    assert_ne!(house.store.tenant_tag(&a).await.expect("a tag"), tag, "digests lost their meaning");
    house.note(&a, "red", "again").await;
}

async fn wrapped_key(house: &House, tenant: &str) -> Vec<u8> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.db());
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("open");
    let query = sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE tenant = ?");
    let wrapped = query.bind(tenant.to_owned()).fetch_one(&mut connection).await.expect("a key");
    connection.close().await.expect("closed");
    wrapped
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_during_an_erasure_rest_under_the_new_key_or_not_at_all() {
    let house = House::new().await;
    let a = tenant("a");
    let work = {
        let (store, cx, a) = (house.store.clone(), house.cx.clone(), a.clone());
        tokio::spawn(async move {
            for n in 0..300 {
                let id = Id::new(&cx);
                match store.put(&a, &NOTE, id, Map::new(), Some(&json!(n))).await {
                    Ok(()) | Err(Error::Erased) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        })
    };
    for _ in 0..10 {
        house.store.erase_tenant(&a).await.expect("erased");
        tokio::task::yield_now().await;
    }
    work.await.expect("worked");
    // Every record that is there can be read: none is under a destroyed key.
    let query = Query { limit: 500, ..Query::new(&NOTE) };
    house.store.list(&a, &query).await.expect("all readable");
    house.store.erase_tenant(&a).await.expect("erased");
    let key = house.store.tenants().await.expect("read");
    assert_eq!(key, [], "no key came back from memory");
}
