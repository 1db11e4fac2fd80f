//! The second verifier, in Python, written from the format's page alone: it agrees
//! with the first on intact and on damaged ledgers.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use bartizan_core::sim;
use bartizan_ledger::{Checkpoint, Head, VerifierKey, export, verify};

use crate::{append, copy, damage::Intact, files, key, made, open};

/// Damages that both verifiers must find.
const DAMAGES: usize = 2_000;

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

/// The second verifier as one process, which answers as often as it is asked.
struct Python {
    process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/verify_many.py");
        let mut command = Command::new("python3");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3");
        let questions = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, questions, answers }
    }

    fn ask(&mut self, dir: &Path, key: &VerifierKey, remembered: Option<&Path>) {
        let memory = remembered.map(|path| format!("\t{}", path.display())).unwrap_or_default();
        writeln!(self.questions, "{}\t{key}{memory}", dir.display()).expect("asked");
    }

    /// Whether it found the ledger intact.
    fn answer(&mut self) -> bool {
        let line = self.answers.next().expect("an answer").expect("an answer");
        match line.as_str() {
            "0" => true,
            "1" => false,
            other => panic!("the second verifier says `{other}`"),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// A ledger of 1,000 entries as a crash leaves it: tiles, a change of keys, a journal.
fn thousand(dir: &Path) -> PathBuf {
    let (cx, _) = sim::cx(1);
    let (home, crashed) = (dir.join("ledger"), dir.join("crashed"));
    let ledger = open(&home, &cx);
    append(&ledger, 300);
    let (_, pending) = ledger.rotate_key().expect("rotates");
    let _sealed = pending.wait().expect("written");
    append(&ledger, 443);
    drop(ledger);
    let ledger = open(&home, &cx);
    append(&ledger, 255);
    assert_eq!(ledger.head().size, 1_000);
    copy(&home, &crashed);
    fs::write(dir.join("remembered"), ledger.checkpoint()).expect("written");
    crashed
}

/// Takes seconds: each damage is looked at by both.
#[test]
fn both_verifiers_find_seeded_damage() {
    if is_absent() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let home = thousand(dir.path());
    let (memory, key) = (dir.path().join("remembered"), key(&home));
    let note = fs::read_to_string(&memory).expect("a note");
    let head = Checkpoint::parse(&note).expect("a note").head;
    let all = files(&home).into_iter().map(|path| (path.clone(), fs::read(path).expect("bytes")));
    let intact = Intact::new(all);
    assert_eq!(intact.entries(), 1_000);
    let mut python = Python::start();
    let mut both = |memory: Option<&Path>, head: Option<&Head>| {
        python.ask(&home, &key, memory);
        let problems = rust(&home, head.cloned());
        (problems.is_empty(), python.answer(), problems)
    };
    assert_eq!(both(Some(&memory), Some(&head)), (true, true, Vec::new()));
    let random = sim::SeededEntropy::new(1);
    let (mut found, mut remembered) = (0, 0);
    while found < DAMAGES {
        let damage = intact.draw(&random);
        let changed = intact.apply(damage);
        if changed.is_empty() {
            continue;
        }
        for (path, bytes) in &changed {
            match bytes {
                Some(bytes) => fs::write(path, bytes).expect("written"),
                None => fs::remove_file(path).expect("removed"),
            }
        }
        let (rust, python, problems) = both(None, None);
        assert_eq!(rust, python, "{damage:?}: {problems:?}");
        if rust {
            // A shorter log, whole: what was seen of it before tells.
            let (rust, python, _) = both(Some(&memory), Some(&head));
            assert!(!rust && !python, "{damage:?} was not found");
            remembered += 1;
        }
        found += 1;
        for (path, _) in changed {
            fs::write(path, intact.before(path)).expect("written");
        }
    }
    assert!(remembered < DAMAGES / 10, "{remembered} of {DAMAGES} by the remembered head alone");
}
