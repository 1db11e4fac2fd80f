//! The house itself: what the doctor leaves alone, what a database and a ledger know of one
//! another, and what a wrong configuration makes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::{
    Home, command,
    model::{Model, say},
};

/// No model is asked in these tests.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A verb that must end with this code; what it printed and said.
#[track_caller]
fn ends(home: &Home, code: i32, args: &[&str]) -> (String, String) {
    let output = home.run(args);
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
    (out, err)
}

/// Every file below a folder, with its bytes.
fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => seen.extend(snapshot(&path)),
            kind if kind.is_file() => {
                drop(seen.insert(path.display().to_string(), fs::read(path).unwrap()))
            }
            _ => {}
        }
    }
    seen
}

/// A folder with all that is in it, as it stands.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&path, &to),
            kind if kind.is_file() => drop(fs::copy(path, to).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn the_doctor_looks_in_place_and_needs_no_folder_elsewhere() {
    let model = Model::new(|_, body| say("hello", body));
    let home = Home::new(&model.url(), "");
    let key = home.key("one");
    let files = || {
        let mut files = snapshot(&home.data());
        // The index of the log, which whoever opens it makes anew.
        files.retain(|name, _| !name.ends_with("-shm"));
        files
    };
    let examine = || {
        let before = files();
        let output = command(home.dir.path())
            .env("TMPDIR", "/nowhere/at/all")
            .arg("--config")
            .arg(home.config())
            .arg("doctor")
            .output()
            .unwrap();
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(page.contains("whole, and its master key fits"), "{page}");
        assert!(files() == before, "the doctor changed a file");
    };
    examine();
    // What a crash left in the write-ahead log is looked at, too, and stays there, with the
    // index of that log and without.
    let server = home.serve();
    assert_eq!(server.chat(&key, "hi").status, 200);
    server.kill();
    assert!(fs::metadata(home.data().join("store.db-wal")).unwrap().len() > 0);
    examine();
    let index = home.data().join("store.db-shm");
    fs::remove_file(&index).unwrap();
    examine();
    assert!(!index.exists(), "the doctor left a file behind");
}

/// What the database's files are called.
const DATABASE: [&str; 3] = ["store.db", "store.db-wal", "store.db-shm"];

#[test]
fn the_doctor_leaves_the_environment_of_a_server_to_the_server() {
    let home = Home::new(NOWHERE, "key_env = \"SOME_PROVIDER_KEY\"\n");
    let server = home.serve_under("export SOME_PROVIDER_KEY=x");
    let (page, _) = ends(&home, 0, &["doctor"]);
    assert!(page.contains("`SOME_PROVIDER_KEY` not set here"), "{page}");
    drop(server);
    let (page, _) = ends(&home, 1, &["doctor"]);
    assert!(page.contains("`SOME_PROVIDER_KEY` is not set"), "{page}");
}

#[test]
fn the_doctor_names_the_right_cause() {
    let home = Home::new(NOWHERE, "");
    home.key("one");
    let other = Home::new(NOWHERE, "");
    other.key("one");
    let master = home.data().join("master.key");
    let right = fs::read(&master).unwrap();
    fs::copy(other.data().join("master.key"), &master).unwrap();
    let (page, _) = ends(&home, 1, &["doctor"]);
    assert!(
        page.contains("put the right master key back") && !page.contains("db restore"),
        "{page}"
    );
    fs::write(&master, right).unwrap();
    let tiles = snapshot(&home.data().join("ledger/tile"));
    let (path, mut bytes) =
        tiles.into_iter().find(|(path, _)| path.contains("entries")).expect("a bundle");
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(path, bytes).unwrap();
    let (page, _) = ends(&home, 1, &["doctor"]);
    assert!(page.contains("it is the key of this ledger"), "{page}");
}
