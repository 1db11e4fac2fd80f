//! The second verifier, in Python, written from the format's page alone: it agrees
//! with the first on intact and on damaged ledgers.

use std::{fs, path::Path, process::Command};

use bartizan_core::sim;
use bartizan_ledger::verify;

use crate::{append, copy, files, key, made, open};

/// What the Python verifier says: intact or not.
fn python(dir: &Path) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/verify_ledger.py");
    let key = fs::read_to_string(dir.join("ledger.pub")).expect("a key");
    let output =
        Command::new("python3").arg(script).arg(dir).arg(key.trim()).output().expect("python3");
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
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
    assert!(python(&home) && python(&dir.path().join("crashed")));
    let (cx, _) = sim::cx(8);
    let ledger = open(&home, &cx);
    let (_, pending) = ledger.rotate_key().expect("rotates");
    let _sealed = pending.wait().expect("written");
    append(&ledger, 3);
    drop(ledger);
    assert!(python(&home), "after a rotation");
    fs::remove_dir_all(home.join("rotations")).expect("removed");
    assert!(!python(&home), "a rotation that nobody vouches for");
}

#[test]
fn both_verifiers_agree_on_seeded_damage() {
    if is_absent() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("ledger");
    made(&home);
    let random = sim::SeededEntropy::new(11);
    let mut found = 0;
    for round in 0..48 {
        let damaged = dir.path().join(format!("damaged-{round}"));
        let intact = if round % 2 == 0 { home.clone() } else { dir.path().join("crashed") };
        copy(&intact, &damaged);
        let covered: Vec<_> = files(&damaged)
            .into_iter()
            .filter(|path| {
                !["lock", "ledger.key", "ledger.pub"].iter().any(|name| path.ends_with(name))
            })
            .collect();
        let path = &covered[random.below(covered.len())];
        let mut bytes = fs::read(path).expect("readable");
        let at = random.below(bytes.len());
        match round % 4 {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            _ => {
                bytes.insert(at, 0x41);
            }
        }
        fs::write(path, &bytes).expect("written");
        let report = verify::directory(&damaged, &key(&damaged), &verify::Options::default())
            .expect("a folder");
        found += usize::from(!report.is_intact());
        assert_eq!(
            report.is_intact(),
            python(&damaged),
            "round {round}, {} at {at}: {:?}",
            path.display(),
            report.problems
        );
        fs::remove_dir_all(&damaged).expect("removed");
    }
    // The rest cut the journal's end, which only a remembered head shows.
    assert!(found >= 40, "only {found} of 48 were damage");
}
