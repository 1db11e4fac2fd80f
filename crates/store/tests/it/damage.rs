//! Databases that are damaged, foreign, newer, or where nothing can be written.

use std::fs;

use bartizan_store::{Error, Query};

use super::*;

#[tokio::test]
async fn a_newer_database_is_refused_and_never_touched() {
    let house = House::new().await;
    house.note(&tenant("a"), "red", "t").await;
    house.store.close().await.expect("closed");
    house.tamper("PRAGMA user_version = 99").await;
    let before = fs::read(house.db()).expect("read");
    let error = open(house.path(), &house.cx).await.expect_err("refused");
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("format 99") && said.contains("it was not touched"), "{said}");
    assert_eq!(fs::read(house.db()).expect("read"), before);
}

#[tokio::test]
async fn a_newer_format_that_a_crash_left_in_the_log_is_refused_too() {
    let house = House::new().await;
    house.store.close().await.expect("closed");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.db());
    let mut newer = sqlx::SqliteConnection::connect_with(&options).await.expect("open");
    sqlx::raw_sql("PRAGMA journal_mode = WAL; PRAGMA user_version = 99")
        .execute(&mut newer)
        .await
        .expect("set");
    // As a crash leaves it: the file and its log, copied while the connection lives.
    let copy = tempfile::tempdir().expect("a directory");
    for name in ["store.db", "store.db-wal", "master.key"] {
        let from = house.path().join(name);
        if from.exists() {
            fs::copy(from, copy.path().join(name)).expect("copied");
        }
    }
    let before = fs::read(copy.path().join("store.db")).expect("read");
    let log = fs::read(copy.path().join("store.db-wal")).expect("read");
    assert_ne!(before[60..64], 99u32.to_be_bytes(), "the file itself does not say so");
    let error = open(copy.path(), &house.cx).await.expect_err("refused");
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
    assert_eq!(fs::read(copy.path().join("store.db")).expect("read"), before);
    assert_eq!(fs::read(copy.path().join("store.db-wal")).expect("read"), log);
    newer.close().await.expect("closed");
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let house = House::new().await;
    house.store.close().await.expect("closed");
    house.tamper("PRAGMA application_id = 7").await;
    let error = open(house.path(), &house.cx).await.expect_err("refused");
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_called_damaged_and_left_alone() {
    for content in [b"hello".as_slice(), &[0; 4096], b"SQLite format 3\0 and no more"] {
        let dir = tempfile::tempdir().expect("a directory");
        let (cx, _) = sim::cx(1);
        fs::write(dir.path().join("store.db"), content).expect("written");
        let error = open(dir.path(), &cx).await.expect_err("refused");
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("bartizan db restore"), "{error}");
        assert_eq!(fs::read(dir.path().join("store.db")).expect("read"), content);
    }
}

/// Each page overwritten in turn, and the file cut at each page: either it is noticed, or what
/// is read is what was written.
#[tokio::test]
async fn damage_anywhere_is_noticed_or_harmless() {
    let house = House::new().await;
    let a = tenant("a");
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(house.note(&a, "red", &format!("text {n} {}", "x".repeat(900))).await);
    }
    house.store.close().await.expect("closed");
    let whole = fs::read(house.db()).expect("read");
    let pages = whole.len() / 4096;
    let mut noticed = 0;
    for page in 0..pages {
        for cut in [false, true] {
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(page * 4096);
            } else {
                for (at, byte) in bytes[page * 4096..(page + 1) * 4096].iter_mut().enumerate() {
                    *byte ^= u8::try_from(at % 251).expect("small") | 1;
                }
            }
            if bytes.is_empty() {
                continue;
            }
            fs::write(house.db(), &bytes).expect("written");
            noticed += usize::from(reads_right_or_fails(&house, &a, &ids).await);
        }
    }
    assert!(noticed > pages, "{noticed} of {} damages were noticed", 2 * pages - 1);
}

/// `true` when an error said so; what was read without one must be right.
async fn reads_right_or_fails(house: &House, tenant: &Tenant, ids: &[Id]) -> bool {
    let store = match open(house.path(), &house.cx).await {
        Ok(store) => store,
        Err(Error::Corrupt { .. } | Error::Altered { .. } | Error::AlteredKey { .. }) => {
            return true;
        }
        Err(other) => panic!("{other}"),
    };
    let mut noticed = false;
    for (n, id) in ids.iter().enumerate() {
        match store.get(tenant, &NOTE, *id).await {
            Ok(Some(record)) => {
                let text = record.sealed.expect("sealed").as_str().expect("a text").to_owned();
                assert!(text.starts_with(&format!("text {n} ")), "{text}");
            }
            Ok(None) => panic!("a record vanished unnoticed"),
            Err(_) => noticed = true,
        }
    }
    store.close().await.ok();
    noticed
}

#[tokio::test]
async fn a_check_finds_what_a_small_read_does_not() {
    let house = House::new().await;
    assert_eq!(house.store.check().await.expect("checked"), Vec::<String>::new());
    for _ in 0..20 {
        house.note(&tenant("a"), "red", &"x".repeat(3000)).await;
    }
    house.store.close().await.expect("closed");
    // Larger than what is checked at every start.
    let mut bytes = fs::read(house.db()).expect("read");
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 512].fill(0xee);
    fs::write(house.db(), bytes).expect("written");
    let error = open(house.path(), &house.cx).await.expect_err("noticed at the start");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_data_directory_that_is_a_file_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let (cx, _) = sim::cx(1);
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("written");
    for path in [file.clone(), file.join("below")] {
        let said = open(&path, &cx).await.expect_err("refused").to_string();
        assert!(said.contains(&*path.display().to_string()), "{said}");
    }
}

#[tokio::test]
async fn a_read_only_directory_is_refused_and_says_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new().await;
    house.store.close().await.expect("closed");
    let (cx, path) = (house.cx.clone(), house.path().to_owned());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).expect("read-only");
    let opened = if fs::write(path.join("probe"), "").is_err() {
        open(&path, &cx).await.map(drop)
    } else {
        // Root may write everywhere but to a kernel's file system.
        open(Path::new("/proc/sys/kernel"), &cx).await.map(drop)
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("writable");
    match opened.expect_err("refused") {
        error @ Error::ReadOnly { .. } => {
            assert!(error.to_string().contains("choose another `data_dir`"), "{error}");
        }
        // As root, /proc refuses in its own way: still an error with the path.
        Error::Io { path, .. } => assert!(path.starts_with("/proc"), "{}", path.display()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_database_that_another_process_writes_is_busy_not_broken() {
    let house = House::new().await;
    let a = tenant("a");
    house.note(&a, "red", "t").await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(house.db());
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.expect("open");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("locked");
    // Takes as long as a statement waits for the lock: five seconds.
    let put = house.store.put(&a, &NOTE, Id::new(&house.cx), Map::new(), None).await;
    assert!(matches!(put, Err(Error::Busy { .. })), "{put:?}");
    let read = house.store.list(&a, &Query::new(&NOTE)).await.expect("reading goes on");
    assert_eq!(read.records.len(), 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("unlocked");
    other.close().await.expect("closed");
    house.note(&a, "red", "again").await;
}

/// What a dead process leaves is the file and its log: nothing acknowledged may be missing.
#[tokio::test]
async fn what_was_acknowledged_survives_the_death_of_the_process() {
    let house = House::new().await;
    let a = tenant("a");
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(house.note(&a, "red", &format!("text {n}")).await);
        let copy = tempfile::tempdir().expect("a directory");
        for name in ["store.db", "store.db-wal", "master.key"] {
            fs::copy(house.path().join(name), copy.path().join(name)).expect("copied");
        }
        // A write that was cut at any byte is not acknowledged; what is before it stands.
        if n % 4 == 3 {
            let log = copy.path().join("store.db-wal");
            let mut bytes = fs::read(&log).expect("read");
            bytes.extend_from_slice(&bytes.clone()[..bytes.len().min(1000 + 97 * n)]);
            fs::write(&log, bytes).expect("written");
        }
        let store = open(copy.path(), &house.cx).await.expect("opened");
        for id in &ids {
            assert!(store.get(&a, &NOTE, *id).await.expect("read").is_some(), "after {n}");
        }
        store.close().await.expect("closed");
    }
}
