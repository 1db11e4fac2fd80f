//! The promises under failure: whatever operation fails, and wherever the power goes,
//! no acknowledged entry is lost and nothing looks like tampering.
//!
//! These take seconds, since they live the same life once for each of its operations.

use std::{path::Path, sync::Arc};

use bartizan_core::{Cx, Id, sim};

use crate::{
    Entry, Error, Ledger, Settings, VerifierKey,
    frail::{Fault, FrailDisk},
    verify::{self, Options},
    writer::Tuning,
};

const DIR: &str = "/data/ledger";

/// Small, so that a short run settles several times and completes tiles.
const TUNING: Tuning = Tuning { journal_entries: 90, journal_bytes: 1 << 20, in_background: false };

fn open(disk: &FrailDisk, cx: &Cx) -> Result<Ledger, Error> {
    let settings = Settings { origin: "log.example/crash".into(), previous: None, key: None };
    let disk = Arc::new(disk.clone());
    Ledger::open_on(disk, Path::new(DIR), &settings, TUNING, cx).map(|(ledger, _)| ledger)
}

/// What a run was told is safe.
#[derive(Debug, Default)]
struct Told {
    entries: Vec<(u64, Id)>,
    rotated: bool,
}

impl Told {
    /// Appends and waits; false once the ledger refuses.
    fn append(&mut self, ledger: &Ledger, count: u64) -> bool {
        let pending: Vec<_> =
            (0..count).map(|n| ledger.append(Entry::new("test").with("n", n))).collect();
        let mut is_good = true;
        for one in pending {
            match one.and_then(crate::Pending::wait) {
                Ok(sealed) => self.entries.push((sealed.index(), sealed.id())),
                Err(_) => is_good = false,
            }
        }
        is_good
    }

    /// A short life of a ledger: begun, filled over the edge of tiles, its key
    /// changed, closed, opened again. Ends early where the disk fails.
    fn live(&mut self, disk: &FrailDisk, cx: &Cx) -> Result<(), Error> {
        let ledger = open(disk, cx)?;
        for count in [1, 1, 3, 100, 60] {
            self.append(&ledger, count);
        }
        let (_, pending) = ledger.rotate_key()?;
        self.rotated = pending.wait().is_ok();
        for count in [2, 95, 1] {
            self.append(&ledger, count);
        }
        drop(ledger);
        let ledger = open(disk, cx)?;
        for count in [1, 40] {
            self.append(&ledger, count);
        }
        Ok(())
    }
}

/// What must hold of a disk on which a run was told so much.
#[track_caller]
fn check(disk: &FrailDisk, told: &Told, cx: &Cx, what: &str) {
    let key = disk
        .files()
        .get(&Path::new(DIR).join("ledger.pub"))
        .map(|bytes| VerifierKey::parse(&String::from_utf8_lossy(bytes)).expect("a whole key"));
    let options = Options::default();
    if let Some(key) = key.as_ref().filter(|_| !told.entries.is_empty()) {
        let report = verify::directory_on(disk, Path::new(DIR), key, &options).expect("a folder");
        assert_eq!(report.problems, Vec::<String>::new(), "{what}");
    }
    let ledger = open(disk, cx).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (index, id) in &told.entries {
        let entry = ledger.entry(*index).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(entry["id"], id.to_string(), "{what}: entry {index}");
    }
    // It goes on: new entries, and a proof of an old one.
    let mut more = Told::default();
    assert!(more.append(&ledger, 3), "{what}");
    let first = more.entries[0].0;
    assert!(told.entries.iter().all(|(index, _)| *index < first), "{what}");
    assert!(ledger.prove(0).is_ok(), "{what}");
    drop(ledger);
    let key = disk.files()[&Path::new(DIR).join("ledger.pub")].clone();
    let key = VerifierKey::parse(&String::from_utf8_lossy(&key)).expect("a whole key");
    let report = verify::directory_on(disk, Path::new(DIR), &key, &options).expect("a folder");
    assert_eq!(report.problems, Vec::<String>::new(), "{what}, afterwards");
}

fn operations() -> usize {
    let (cx, _) = sim::cx(1);
    let disk = FrailDisk::new(1);
    disk.fail(Fault::None);
    let mut told = Told::default();
    told.live(&disk, &cx).expect("nothing fails");
    assert_eq!(told.entries.len(), 304);
    assert!(told.rotated);
    let asked = disk.asked();
    let kinds: Vec<_> = asked.keys().copied().collect();
    assert_eq!(
        kinds,
        [
            "create",
            "make folder",
            "remove",
            "remove folder",
            "rename",
            "sync",
            "sync folder",
            "write"
        ],
        "a life that asks all there is of a disk"
    );
    disk.operations()
}

/// Does it for every operation. How many there are depends on how entries fall into
/// batches, so it goes on until no life gets so far.
fn at_every_operation(mut live: impl FnMut(usize, u64) -> bool) {
    let total = operations();
    assert!(total > 200, "{total} operations");
    for (at, seed) in (0..).zip(0..) {
        let is_reached = live(at, seed);
        if !is_reached && at >= total {
            return;
        }
    }
}

/// Lives with that fault, and holds what is left of it after a loss of power or a kill.
/// Gives how many operations the life had.
fn survive(fault: Fault, seed: u64, is_kill: bool) -> usize {
    let (cx, _) = sim::cx(seed);
    let disk = FrailDisk::new(seed);
    disk.fail(fault);
    let mut told = Told::default();
    let _ended = told.live(&disk, &cx).is_ok();
    let operations = disk.operations();
    let after = if is_kill { disk.after_kill() } else { disk.after_power_loss() };
    let then = if is_kill { "killed" } else { "then the power went" };
    check(&after, &told, &cx, &format!("{fault:?}, {then}, seed {seed}"));
    operations
}

#[test]
fn nothing_is_lost_when_the_power_goes_at_any_operation() {
    at_every_operation(|at, seed| {
        // A kill leaves more than a loss of power, so fewer rounds will do.
        if at % 4 == 0 {
            survive(Fault::From(at), seed, true);
        }
        survive(Fault::From(at), seed, false) > at
    });
}

/// A write that fails is torn: some of its bytes are there. A rename that fails late was
/// done nevertheless.
#[test]
fn an_operation_that_fails_once_stops_the_ledger_and_loses_nothing() {
    at_every_operation(|at, seed| {
        survive(Fault::Late(at), seed, at % 2 == 0);
        survive(Fault::Once(at), seed, at % 2 == 1) > at
    });
}

/// The same with many outcomes of each failure: which bytes a torn write left, which
/// sectors and names a loss of power took.
#[test]
#[ignore = "soak: minutes, 40 outcomes of each failure of each operation"]
fn no_outcome_of_a_failure_loses_anything() {
    let (mut operations, mut lives) = (0, 0);
    at_every_operation(|at, seed| {
        operations = at;
        let mut reached = 0;
        for round in 0..40 {
            for fault in [Fault::From(at), Fault::Once(at), Fault::Late(at)] {
                reached = reached.max(survive(fault, seed * 40 + round, round % 8 == 7));
                lives += 1;
            }
        }
        reached > at
    });
    println!("{operations} operations, {lives} lives with a failure: nothing lost, no alarm");
}

#[test]
fn a_crash_while_recovering_from_a_crash_loses_nothing() {
    let total = operations();
    for seed in 0..60_u64 {
        let random = sim::SeededEntropy::new(seed);
        let (cx, _) = sim::cx(seed);
        let mut disk = FrailDisk::new(seed);
        disk.fail(Fault::From(random.below(total)));
        let mut told = Told::default();
        let _ended = told.live(&disk, &cx).is_ok();
        for _ in 0..4 {
            disk = disk.after_power_loss();
            disk.fail(Fault::From(random.below(60)));
            if let Ok(ledger) = open(&disk, &cx) {
                told.append(&ledger, 2);
            }
        }
        check(&disk.after_power_loss(), &told, &cx, &format!("seed {seed}"));
    }
}

#[test]
fn after_a_failed_write_every_append_fails_and_reading_goes_on() {
    let (cx, _) = sim::cx(1);
    let disk = FrailDisk::new(1);
    let ledger = open(&disk, &cx).expect("opens");
    let mut told = Told::default();
    assert!(told.append(&ledger, 5));
    disk.fail(Fault::Once(1));
    assert!(!told.append(&ledger, 1), "the flush failed");
    for _ in 0..3 {
        let error = ledger.append(Entry::new("test")).expect_err("refused");
        assert!(error.to_string().starts_with("the ledger takes no more entries"), "{error}");
    }
    assert!(ledger.check().is_err() && ledger.rotate_key().is_err());
    assert_eq!(ledger.entries(0, 10).expect("readable").len(), 6);
    drop(ledger);
    check(&disk, &told, &cx, "opened again");
}

#[test]
fn tiles_written_beside_the_appending_are_the_same_ones() {
    let (cx, _) = sim::cx(3);
    let disk = FrailDisk::new(3);
    let tuning = Tuning { in_background: true, ..TUNING };
    let settings = Settings { origin: "log.example/crash".into(), previous: None, key: None };
    let shared = Arc::new(disk.clone());
    let (ledger, _) =
        Ledger::open_on(shared, Path::new(DIR), &settings, tuning, &cx).expect("opens");
    let mut told = Told::default();
    for round in 0..40 {
        assert!(told.append(&ledger, 37));
        let size = ledger.head().size;
        for index in [0, size / 2, size - 1] {
            let proof = ledger.prove(index).expect("provable meanwhile");
            let entry = ledger.entry(index).expect("readable meanwhile");
            let bytes = bartizan_core::json::canonical(&entry).expect("canonical");
            let root = ledger.head().root;
            let leaf = crate::tree::leaf(bytes.as_bytes());
            assert!(
                crate::verify_inclusion(&leaf, index, size, &proof.path, &root),
                "round {round}, entry {index}"
            );
        }
    }
    check(&disk.after_kill(), &told, &cx, "killed");
    check(&disk.after_power_loss(), &told, &cx, "power gone");
    drop(ledger);
    check(&disk, &told, &cx, "closed");
}

#[test]
fn every_changed_bit_of_any_covered_file_is_found_without_a_memory() {
    let (cx, _) = sim::cx(1);
    let live = FrailDisk::new(1);
    let ledger = open(&live, &cx).expect("opens");
    let mut told = Told::default();
    for count in [100, 50, 60, 60, 1, 5] {
        assert!(told.append(&ledger, count));
    }
    // A copy taken while it runs: tiles, a journal with batches, partial ends.
    let disk = live.after_kill();
    drop(ledger);
    let files = disk.files();
    let key =
        VerifierKey::parse(&String::from_utf8_lossy(&files[&Path::new(DIR).join("ledger.pub")]))
            .expect("a key");
    let random = sim::SeededEntropy::new(5);
    let problems = || {
        verify::directory_on(&disk, Path::new(DIR), &key, &Options::default())
            .expect("a folder")
            .problems
    };
    assert_eq!(problems(), Vec::<String>::new());
    let mut tried = 0;
    for (path, bytes) in &files {
        if ["ledger.key", "ledger.pub", "lock"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for _ in 0..25 {
            let mut altered = bytes.clone();
            let at = random.below(altered.len());
            altered[at] ^= 1 << random.below(8);
            disk.put(path, Some(&altered));
            assert!(!problems().is_empty(), "byte {at} of {}", path.display());
            tried += 1;
        }
        disk.put(path, Some(bytes));
    }
    assert!(tried >= 150, "{tried}");
}
