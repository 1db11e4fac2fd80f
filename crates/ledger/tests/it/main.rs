//! The ledger through its front door: crashes, damage, rotation, witnesses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail loudly"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use bartizan_core::{Cx, sim};
use bartizan_ledger::{
    Entry, Error, Head, Ledger, Settings, SigningKey, VerifierKey, tree, verify, witness,
};

mod damage;
mod peer;
mod vectors;

fn settings() -> Settings {
    Settings { origin: "bartizan/test".into(), previous: None, key: None }
}

fn open(dir: &Path, cx: &Cx) -> Ledger {
    Ledger::open(dir, &settings(), cx).expect("opens").0
}

fn append(ledger: &Ledger, n: u64) {
    let pending: Vec<_> =
        (0..n).map(|i| ledger.append(Entry::new("test").with("n", i)).expect("queued")).collect();
    for one in pending {
        let _sealed = one.wait().expect("written");
    }
}

fn key(dir: &Path) -> VerifierKey {
    VerifierKey::parse(&fs::read_to_string(dir.join("ledger.pub")).expect("a key")).expect("valid")
}

fn problems(dir: &Path) -> Vec<String> {
    verify::directory(dir, &key(dir), &verify::Options::default()).expect("a folder").problems
}

/// A ledger of 700 entries: full tiles, partial ones, and entries in the journal alone.
fn made(dir: &Path) {
    let (cx, _) = sim::cx(1);
    let ledger = open(dir, &cx);
    append(&ledger, 600);
    drop(ledger);
    let ledger = open(dir, &cx);
    append(&ledger, 99);
    // A crash: the journal is never moved into tiles.
    copy(dir, &dir.join("../crashed"));
    drop(ledger);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()))
        } else {
            all.push(entry.path())
        }
    }
    all.sort();
    all
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let crashed = dir.path().join("crashed");
    assert_eq!(problems(&crashed), Vec::<String>::new());
    let (cx, _) = sim::cx(2);
    let (ledger, recovery) = Ledger::open(&crashed, &settings(), &cx).expect("opens");
    assert_eq!((recovery.size, recovery.torn, recovery.is_new), (700, 0, false));
    assert_eq!(ledger.entry(699).expect("there")["body"]["n"], 98);
    assert_eq!(ledger.entry(0).expect("there")["kind"], "ledger.opened");
    assert!(matches!(ledger.entry(700), Err(Error::NoEntry { index: 700, size: 700 })));
}

#[test]
fn a_write_cut_at_any_byte_is_no_alarm_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    let (cx, _) = sim::cx(1);
    let ledger = open(&home, &cx);
    append(&ledger, 3);
    let before = fs::read(home.join("journal")).expect("a journal").len();
    append(&ledger, 1);
    let whole = fs::read(home.join("journal")).expect("a journal");
    let crashed = dir.path().join("crashed");
    copy(&home, &crashed);
    drop(ledger);
    for end in before..whole.len() {
        fs::write(crashed.join("journal"), &whole[..end]).expect("written");
        assert_eq!(problems(&crashed), Vec::<String>::new(), "cut at {end}");
        let report = verify::directory(&crashed, &key(&crashed), &verify::Options::default())
            .expect("a folder");
        assert_eq!(report.head.map(|head| head.size), Some(4), "cut at {end}");
    }
}

#[test]
fn every_kind_of_damage_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    assert_eq!(problems(&home), Vec::<String>::new());
    let random = sim::SeededEntropy::new(3);
    for intact in [home, dir.path().join("crashed")] {
        let seen = head(&intact);
        assert_eq!(seen.size, 700);
        let authenticated = files(&intact).into_iter().filter(|path| {
            !["lock", "ledger.key", "ledger.pub"].iter().any(|name| path.ends_with(name))
        });
        for path in authenticated.collect::<Vec<_>>() {
            let bytes = fs::read(&path).expect("readable");
            for _ in 0..12 {
                let mut damaged = bytes.clone();
                let at = random.below(damaged.len());
                damaged[at] ^= 1 << random.below(8);
                fs::write(&path, &damaged).expect("written");
                // A flip in the journal's last record may make it look cut: then the
                // entries of that batch are gone, which a remembered head shows.
                let options =
                    verify::Options { remembered: Some(seen.clone()), ..Default::default() };
                let report = verify::directory(&intact, &key(&intact), &options).expect("a folder");
                assert!(
                    !report.is_intact(),
                    "bit flip at {at} of {} was not found",
                    path.display()
                );
            }
            fs::write(&path, &bytes).expect("written");
        }
    }
}

#[test]
fn files_that_nothing_signed_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let strange = ["checkpoint.tmp", "cosigned/00000000000000000700", "notes", "tile/0/000.tmp"];
    fs::create_dir(home.join("cosigned")).expect("made");
    for name in strange {
        fs::write(home.join(name), "whatever").expect("written");
    }
    let report = verify::directory(&home, &key(&home), &verify::Options::default()).expect("ok");
    assert_eq!(report.problems, Vec::<String>::new());
    let mut expected = vec!["ledger.key", "ledger.pub", "lock"];
    expected.extend(strange);
    expected.sort_unstable();
    assert_eq!(report.ignored, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
}

/// The head of the whole ledger, computed from its entries alone.
fn head(dir: &Path) -> Head {
    let copied = tempfile::tempdir().expect("a folder");
    copy(dir, copied.path());
    let (cx, _) = sim::cx(9);
    let ledger = open(copied.path(), &cx);
    let mut tree = tree::Frontier::default();
    for (_, entry) in ledger.entries(0, usize::MAX).expect("readable") {
        let bytes = bartizan_core::json::canonical(&entry).expect("canonical");
        tree.push(tree::leaf(bytes.as_bytes()));
    }
    Head { origin: "bartizan/test".into(), size: tree.size(), root: tree.root() }
}

#[test]
fn opening_a_damaged_ledger_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let tile = home.join("tile/0/000");
    let mut bytes = fs::read(&tile).expect("a tile");
    bytes[5] ^= 1;
    fs::write(&tile, &bytes).expect("written");
    let before: Vec<_> =
        files(&home).iter().map(|path| fs::read(path).expect("readable")).collect();
    let (cx, _) = sim::cx(4);
    let error = Ledger::open(&home, &settings(), &cx).expect_err("refused");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let after: Vec<_> = files(&home).iter().map(|path| fs::read(path).expect("readable")).collect();
    assert_eq!(before, after);
}

#[test]
fn a_wrong_or_missing_key_and_missing_files_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let (cx, _) = sim::cx(4);
    let spoil = |what: &str, spoil: &dyn Fn(&Path)| {
        let copied = dir.path().join(what);
        copy(&home, &copied);
        spoil(&copied);
        Ledger::open(&copied, &settings(), &cx).expect_err(what).to_string()
    };
    let stranger = SigningKey::generate("bartizan/test", &cx).expect("a key").encode();
    let error = spoil("wrong", &|dir| fs::write(dir.join("ledger.key"), &stranger).expect("ok"));
    assert!(error.contains("is not signed by `ledger.key`"), "{error}");
    let error = spoil("missing", &|dir| fs::remove_file(dir.join("ledger.key")).expect("ok"));
    assert!(error.contains("put the key back"), "{error}");
    let error = spoil("garbled", &|dir| fs::write(dir.join("ledger.key"), "x").expect("ok"));
    assert!(error.contains("not a private key"), "{error}");
    let error = spoil("journal", &|dir| fs::remove_file(dir.join("journal")).expect("ok"));
    assert!(error.contains("`journal` is missing"), "{error}");
    let error = spoil("checkpoint", &|dir| fs::remove_file(dir.join("checkpoint")).expect("ok"));
    assert!(error.contains("`journal`: it begins at entry"), "{error}");
    // Neither may pass for a new ledger, which would sign a second history.
    let error = spoil("both", &|dir| {
        fs::remove_file(dir.join("journal")).expect("ok");
        fs::remove_file(dir.join("checkpoint")).expect("ok");
    });
    assert!(error.contains("neither entries nor `checkpoint`"), "{error}");
}

#[test]
fn an_entry_that_was_altered_below_is_never_shown_or_proved() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    append(&ledger, 600);
    drop(ledger);
    let ledger = open(dir.path(), &cx);
    let bundle = dir.path().join("tile/entries/001");
    let mut bytes = fs::read(&bundle).expect("a bundle");
    bytes[40] ^= 1;
    fs::write(&bundle, &bytes).expect("written");
    assert!(matches!(ledger.entry(300), Err(Error::Damaged { .. })));
    assert!(matches!(ledger.entries(200, 200), Err(Error::Damaged { .. })));
    assert!(ledger.entry(20).is_ok() && ledger.entry(590).is_ok());
    let tile = dir.path().join("tile/0/000");
    let mut bytes = fs::read(&tile).expect("a tile");
    bytes[40] ^= 1;
    fs::write(&tile, &bytes).expect("written");
    drop(ledger);
    assert!(Ledger::open(dir.path(), &settings(), &cx).is_err());
}

#[test]
fn a_private_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    let mode = || {
        let meta = fs::metadata(dir.path().join("ledger.key")).expect("a key");
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode(), 0o600);
    let (_, pending) = ledger.rotate_key().expect("rotates");
    let _sealed = pending.wait().expect("written");
    assert_eq!(mode(), 0o600);
    assert!(!dir.path().join("ledger.key.next").exists());
}

#[test]
fn the_ledgers_own_kinds_are_refused_from_outside() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    let forged = SigningKey::generate("bartizan/test", &cx).expect("a key").verifier();
    let entry = Entry::new("ledger.key_rotated").with("key", forged.to_string());
    assert!(matches!(ledger.append(entry), Err(Error::Entry { .. })));
}

#[test]
fn a_restored_ledger_answers_for_the_one_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let old = open(&dir.path().join("old"), &cx);
    append(&old, 5);
    let seen = old.head();
    append(&old, 2);
    let settings =
        Settings { origin: "bartizan/restored".into(), previous: Some(old.head()), key: None };
    let home = dir.path().join("new");
    drop(Ledger::open(&home, &settings, &cx).expect("opens"));
    let problems = |head: Head| {
        let options = verify::Options { remembered: Some(head), ..Default::default() };
        verify::directory(&home, &key(&home), &options).expect("a folder").problems
    };
    assert_eq!(problems(seen), Vec::<String>::new());
    assert_eq!(problems(old.head()), Vec::<String>::new());
    // A restore that hides entries of the old log is found out by who saw them.
    append(&old, 1);
    assert!(!problems(old.head()).is_empty());
    assert!(!problems(Head { origin: "another".into(), size: 1, root: [0; 32] }).is_empty());
}

#[test]
fn a_new_ledger_begins_with_the_key_it_was_given() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let given = |name| SigningKey::generate(name, &cx).expect("a key");
    let begin = |folder: &str, key: SigningKey| {
        let settings = Settings { key: Some(key.into()), ..settings() };
        Ledger::open(&dir.path().join(folder), &settings, &cx).map(|(ledger, _)| ledger.verifier())
    };
    let key = given("bartizan/test");
    let public = key.verifier();
    assert_eq!(begin("new", key).expect("opens"), public);
    // A ledger that has entries keeps its own.
    assert_eq!(begin("new", given("bartizan/test")).expect("opens"), public);
    let refused = begin("other", given("bartizan/another")).expect_err("the name is not the log's");
    assert!(matches!(refused, Error::Key { .. }), "{refused}");
}

#[test]
fn an_export_verifies_and_has_nothing_but_tiles_to_need() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let crashed = dir.path().join("crashed");
    for (name, from) in [("a", &home), ("b", &crashed)] {
        let out = dir.path().join(name);
        assert_eq!(bartizan_ledger::export(from, &out).expect("exports"), 700);
        assert_eq!(problems(&out), Vec::<String>::new());
        let checkpoint = fs::read_to_string(out.join("checkpoint")).expect("a checkpoint");
        assert!(checkpoint.starts_with("bartizan/test\n700\n"), "{checkpoint}");
        for tile in ["tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/002.p/188"] {
            assert!(out.join(tile).is_file(), "{tile}");
        }
    }
    assert!(bartizan_ledger::export(&home, &dir.path().join("a")).is_err(), "not empty");
}

#[test]
fn a_ledger_in_use_verifies_at_any_moment() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    let writer = ledger.clone();
    // Past the size at which the journal moves into tiles, while the verifier looks.
    let writing = std::thread::spawn(move || (0..22).for_each(|_| append(&writer, 1000)));
    let mut looks = 0;
    while !writing.is_finished() {
        assert_eq!(problems(dir.path()), Vec::<String>::new());
        looks += 1;
    }
    writing.join().expect("written");
    assert!(looks > 0);
    assert_eq!(problems(dir.path()), Vec::<String>::new());
    assert_eq!(ledger.head().size, 22_001);
}

#[tokio::test]
async fn an_entry_can_be_awaited_or_waited_for_within_a_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    let awaited = ledger.append(Entry::new("test")).expect("queued").await.expect("written");
    let waited = ledger.append(Entry::new("test")).expect("queued").wait().expect("written");
    assert_eq!((awaited.index(), waited.index()), (1, 2));
    assert_eq!(ledger.entry(2).expect("there")["id"], waited.id().to_string());
    assert_eq!(waited.get().kind, "test");
}

#[test]
fn two_processes_cannot_write_one_ledger() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let _held = open(dir.path(), &cx);
    assert!(matches!(Ledger::open(dir.path(), &settings(), &cx), Err(Error::Locked { .. })));
}

#[test]
fn a_rolled_back_ledger_is_found_by_a_witness() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    let (cx, _) = sim::cx(1);
    let ledger = open(&home, &cx);
    append(&ledger, 10);
    let old = dir.path().join("old");
    copy(&home, &old);
    append(&ledger, 10);
    let watcher = SigningKey::generate("witness.example", &cx).expect("a key");
    let log = ledger.verifier();
    let (seen, line) =
        witness::cosign(&ledger.checkpoint(), &log, None, &[], &watcher, 1_767_225_600)
            .expect("cosigned");
    ledger
        .cosign(&format!("{}{line}", ledger.checkpoint()), &[watcher.cosigner()])
        .expect("accepted");
    append(&ledger, 5);
    let proof = ledger.consistency(seen.size, ledger.head().size).expect("a proof");
    let (newer, _) = witness::cosign(&ledger.checkpoint(), &log, Some(&seen), &proof, &watcher, 1)
        .expect("goes on");
    // The witness refuses an older head, and one that does not go on from what it saw.
    let (older, _) =
        Ledger::open(&old, &settings(), &cx).map(|(l, _)| (l.checkpoint(), ())).expect("opens");
    let refused = |note: &str, last: &Head| {
        witness::cosign(note, &log, Some(last), &[], &watcher, 1).is_err()
    };
    assert!(refused(&older, &newer));
    drop(ledger);
    let options = verify::Options { remembered: None, witnesses: vec![watcher.cosigner()] };
    let report = verify::directory(&home, &log, &options).expect("a folder");
    assert_eq!((report.problems, report.cosigned), (vec![], 1));
    // Rolled back: the tiles are old, the cosignature remains.
    copy(&home.join("cosigned"), &old.join("cosigned"));
    let report = verify::directory(&old, &log, &options).expect("a folder");
    assert!(
        report.problems.iter().any(|problem| problem.starts_with("rolled back")),
        "{:?}",
        report.problems
    );
}

#[test]
fn a_cosignature_that_comes_late_is_kept_and_one_of_another_log_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(&dir.path().join("mine"), &cx);
    let watcher = SigningKey::generate("witness.example", &cx).expect("a key");
    let cosigned = |ledger: &Ledger| {
        let note = ledger.checkpoint();
        let seen = witness::cosign(&note, &ledger.verifier(), None, &[], &watcher, 1);
        note + &seen.expect("cosigned").1
    };
    let early = cosigned(&ledger);
    append(&ledger, 300);
    let keys = [watcher.cosigner()];
    assert!(matches!(ledger.cosign(&early, &keys), Err(Error::Witness { .. })));
    ledger.cosign_past(&early, &keys).expect("a head of the past");
    ledger.cosign(&cosigned(&ledger), &keys).expect("the newest head");
    assert!(ledger.checkpoint().contains("witness.example"));
    // The log's own signature is no witness's, and another log's head is not of this one.
    assert!(ledger.cosign_past(&early, &[ledger.verifier()]).is_err());
    let (other, _) = sim::cx(2);
    let other = open(&dir.path().join("other"), &other);
    assert!(ledger.cosign_past(&cosigned(&other), &keys).is_err());
    drop(ledger);
    let options = verify::Options { remembered: None, witnesses: keys.to_vec() };
    let home = dir.path().join("mine");
    let report = verify::directory(&home, &key(&home), &options).expect("a folder");
    assert_eq!((report.problems, report.cosigned), (vec![], 2));
    // The cosignatures are there again after a start.
    let ledger = Ledger::open(&home, &settings(), &cx).expect("opens").0;
    assert!(ledger.checkpoint().contains("witness.example"));
}

#[test]
fn a_rotated_key_is_vouched_for_by_the_one_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    let first = ledger.verifier();
    append(&ledger, 2);
    let (second, pending) = ledger.rotate_key().expect("rotates");
    let _sealed = pending.wait().expect("written");
    append(&ledger, 2);
    assert_eq!(ledger.verifier(), second);
    drop(ledger);
    let good = |key: &VerifierKey| {
        verify::directory(dir.path(), key, &verify::Options::default()).expect("a folder").problems
    };
    assert_eq!(good(&first), Vec::<String>::new());
    assert_eq!(good(&second), Vec::<String>::new());
    let stranger = SigningKey::generate("bartizan/test", &cx).expect("a key").verifier();
    assert!(!good(&stranger).is_empty());
    append(&open(dir.path(), &cx), 1);
    assert_eq!(good(&first), Vec::<String>::new());
}

#[test]
fn a_proof_is_small_and_leads_to_the_signed_root() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    append(&ledger, 50);
    let head = ledger.head();
    for index in [0, 17, 50] {
        let proof = ledger.prove(index).expect("there");
        let entry = bartizan_core::json::canonical(&ledger.entry(index).expect("there"))
            .expect("canonical");
        let leaf = tree::leaf(entry.as_bytes());
        assert!(bartizan_ledger::verify_inclusion(
            &leaf,
            index,
            head.size,
            &proof.path,
            &head.root
        ));
        assert!(!bartizan_ledger::verify_inclusion(
            &leaf,
            index + 1,
            head.size,
            &proof.path,
            &head.root
        ));
        let text = proof.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex ") && text.len() < 2048, "{text}");
    }
}

#[test]
fn an_entry_that_is_too_large_or_holds_a_fraction_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (cx, _) = sim::cx(1);
    let ledger = open(dir.path(), &cx);
    assert!(matches!(ledger.append(Entry::new("x").with("n", 1.5)), Err(Error::Entry { .. })));
    assert!(matches!(
        ledger.append(Entry::new("x").with("n", "x".repeat(70_000))),
        Err(Error::Entry { .. })
    ));
    append(&ledger, 1);
    assert_eq!(ledger.head().size, 2);
}
