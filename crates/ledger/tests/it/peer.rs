//! The second verifier, in Python, written from the format's page alone: it agrees
//! with the first on intact and on damaged ledgers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use bartizan_core::sim;
use bartizan_ledger::{Checkpoint, Head, export, verify};

use crate::{append, copy, files, key, made, open};

const LEDGERS: u64 = 60;

/// What the Python verifier says: intact or not.
fn python(dir: &Path, remembered: Option<&Path>) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/verify_ledger.py");
    let key = fs::read_to_string(dir.join("ledger.pub")).expect("a key");
    let mut command = Command::new("python3");
    command.arg(script).arg(dir).arg(key.trim()).args(remembered);
    let output = command.output().expect("python3");
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn rust(dir: &Path, remembered: Option<Head>) -> Vec<String> {
    let options = verify::Options { remembered, ..verify::Options::default() };
    verify::directory(dir, &key(dir), &options).expect("a folder").problems
}

fn is_absent() -> bool {
    let absent = Command::new("python3").arg("--version").output().is_err();
    if absent {
        eprintln!("!! SKIPPED: the second verifier: there is no python3");
    }
    absent
}

#[test]
fn both_verifiers_accept_what_is_intact() {
    if is_absent() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    assert!(python(&home, None) && python(&dir.path().join("crashed"), None));
    let (cx, _) = sim::cx(8);
    let ledger = open(&home, &cx);
    let early = dir.path().join("early");
    fs::write(&early, ledger.checkpoint()).expect("written");
    let (_, pending) = ledger.rotate_key().expect("rotates");
    let _sealed = pending.wait().expect("written");
    let kept = dir.path().join("kept");
    copy(&home, &kept);
    assert!(python(&kept, Some(&early)), "the change of keys is in the journal alone");
    append(&ledger, 3);
    let late = dir.path().join("late");
    fs::write(&late, ledger.checkpoint()).expect("written");
    drop(ledger);
    assert!(python(&home, Some(&early)) && python(&home, Some(&late)), "after a change of keys");
    let exported = dir.path().join("exported");
    export(&home, &exported).expect("exports");
    assert!(python(&exported, Some(&late)), "exported");
    assert!(!python(&kept, Some(&late)), "rolled back");
    let note = fs::read_to_string(&late).expect("a note");
    let head = Checkpoint::parse(&note).expect("a note").head;
    assert!(!rust(&kept, Some(head)).is_empty(), "rolled back");
    fs::remove_dir_all(home.join("rotations")).expect("removed");
    assert!(!python(&home, None), "a change of keys that nobody vouches for");
    assert!(!rust(&home, None).is_empty(), "a change of keys that nobody vouches for");
}

/// One way to spoil a ledger, chosen by the seed; says which.
fn spoil(dir: &Path, seed: u64) -> String {
    let random = sim::SeededEntropy::new(seed);
    let covered: Vec<PathBuf> = files(dir)
        .into_iter()
        .filter(|path| {
            !["lock", "ledger.key", "ledger.pub"].iter().any(|name| path.ends_with(name))
        })
        .collect();
    let path = &covered[random.below(covered.len())];
    let mut bytes = fs::read(path).expect("readable");
    let at = random.below(bytes.len());
    let what = match seed % 8 {
        0..=2 => {
            bytes[at] ^= 1 << random.below(8);
            "a bit"
        }
        3 => {
            bytes.truncate(at);
            "a cut"
        }
        4 => {
            bytes.insert(at, b'A');
            "a byte more"
        }
        5 => {
            let to = bytes.len().min(at + 600);
            bytes[at..to].fill(0);
            "zeros"
        }
        6 => {
            bytes.extend(b"more");
            "something behind it"
        }
        _ => {
            fs::remove_file(path).expect("removed");
            return format!("{} removed", path.display());
        }
    };
    fs::write(path, &bytes).expect("written");
    format!("{what} at {at} of {}", path.display())
}

/// Takes seconds: it starts Python once a ledger.
#[test]
fn both_verifiers_agree_on_seeded_damage() {
    if is_absent() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let mut found = 0;
    for seed in 0..LEDGERS {
        let damaged = dir.path().join(format!("damaged-{seed}"));
        let intact = if seed % 3 == 0 { home.clone() } else { dir.path().join("crashed") };
        copy(&intact, &damaged);
        let what = spoil(&damaged, seed);
        let problems = rust(&damaged, None);
        found += usize::from(!problems.is_empty());
        assert_eq!(
            problems.is_empty(),
            python(&damaged, None),
            "seed {seed}, {what}: {problems:?}"
        );
        fs::remove_dir_all(&damaged).expect("removed");
    }
    // The rest cut the journal's end, or zeroed it as a loss of power would.
    assert!(found >= 48, "only {found} of {LEDGERS} were damage");
}
