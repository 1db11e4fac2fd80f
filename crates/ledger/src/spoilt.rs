//! Every damage there is to a ledger of 1,000 entries. That is minutes of work,
//! too much for each change, so these run by command; `tests/it/peer.rs` draws from the same.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bartizan_core::sim;

use crate::{
    Entry, Head, Ledger, Settings, VerifierKey,
    damage::{Damage, Intact},
    frail::FrailDisk,
    verify::{self, Options, Report},
    writer::Tuning,
};

const DIR: &str = "/data/ledger";
/// Entries in tiles, and in all; the rest is in the journal alone.
const TILED: u64 = 745;
const ENTRIES: u64 = 1_000;

/// A ledger in use: full tiles and partial ones, a change of keys, a journal of batches.
struct Sample {
    disk: FrailDisk,
    key: VerifierKey,
    head: Head,
    intact: Intact,
}

impl Sample {
    fn make() -> Self {
        let (cx, _) = sim::cx(1);
        let live = FrailDisk::new(1);
        let settings = Settings { origin: "log.example/s".into(), previous: None, key: None };
        let tuning = Tuning { in_background: false, ..Tuning::default() };
        let open = || {
            let disk = Arc::new(live.clone());
            Ledger::open_on(disk, Path::new(DIR), &settings, tuning, &cx).expect("opens").0
        };
        let append = |ledger: &Ledger, to: u64| {
            let missing = to - ledger.head().size;
            let pending: Vec<_> = (0..missing).map(|_| ledger.append(Entry::new("t"))).collect();
            for one in pending {
                let _sealed = one.expect("queued").wait().expect("written");
            }
        };
        let ledger = open();
        let key = ledger.verifier();
        append(&ledger, 300);
        let (_, pending) = ledger.rotate_key().expect("rotates");
        let _sealed = pending.wait().expect("written");
        append(&ledger, TILED);
        drop(ledger);
        let ledger = open();
        append(&ledger, ENTRIES);
        let head = ledger.head();
        let disk = live.after_kill();
        drop(ledger);
        let intact = Intact::new(disk.files());
        assert_eq!(intact.entries(), usize::try_from(ENTRIES).expect("small"));
        let sample = Self { disk, key, head, intact };
        assert_eq!(sample.look(&sample.disk, None).problems, Vec::<String>::new());
        sample
    }

    fn look(&self, disk: &FrailDisk, remembered: Option<&Head>) -> Report {
        let options = Options { remembered: remembered.cloned(), ..Options::default() };
        verify::directory_on(disk, Path::new(DIR), &self.key, &options).expect("a folder")
    }

    /// Whether a damage was found, and that without a memory; none when nothing was
    /// changed by it.
    fn find(&self, disk: &FrailDisk, damage: Damage) -> Option<bool> {
        let changed = self.intact.apply(damage);
        changed.iter().for_each(|(path, bytes)| disk.put(path, bytes.as_deref()));
        let report = self.look(disk, None);
        let is_found = !report.is_intact();
        if !is_found && !changed.is_empty() {
            // What is left must then be a shorter log, whole: that takes a memory.
            let shorter = report.head.is_some_and(|head| head.size < self.head.size);
            let remembered = self.look(disk, Some(&self.head));
            assert!(shorter && !remembered.is_intact(), "{damage:?} was not found");
        }
        let paths = changed.iter().map(|(path, _)| path);
        paths.for_each(|path| disk.put(path, Some(self.intact.before(path))));
        (!changed.is_empty()).then_some(is_found)
    }
}

#[derive(Debug, Default)]
struct Count {
    alone: usize,
    remembered: usize,
    unchanged: usize,
}

/// Does all that damage, on all processors.
fn find_all<D: Iterator<Item = Damage>>(what: &str, all: impl Fn(&Intact) -> D + Sync) {
    let sample = Sample::make();
    let start = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let count = |nth: usize| {
        let (disk, mut count) = (sample.disk.after_kill(), Count::default());
        for damage in all(&sample.intact).skip(nth).step_by(threads) {
            match sample.find(&disk, damage) {
                Some(true) => count.alone += 1,
                Some(false) => count.remembered += 1,
                None => count.unchanged += 1,
            }
        }
        count
    };
    let counts: Vec<Count> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|nth| scope.spawn(move || count(nth))).collect();
        running.into_iter().map(|one| one.join().expect("all were found")).collect()
    });
    let sum = |part: fn(&Count) -> usize| counts.iter().map(part).sum::<usize>();
    let (alone, remembered) = (sum(|c| c.alone), sum(|c| c.remembered));
    println!(
        "{what}: all {} found, {remembered} of them by the remembered head alone; {} changed nothing; {} s",
        alone + remembered,
        sum(|c| c.unchanged),
        Duration::as_secs(&start.elapsed())
    );
    assert!(alone > 0);
}

#[test]
#[ignore = "soak: minutes, some million damages"]
fn every_changed_bit_is_found() {
    find_all("bits", |intact| intact.flips().collect::<Vec<_>>().into_iter());
}

#[test]
#[ignore = "soak: minutes, every cut of every file"]
fn every_cut_is_found() {
    find_all("cuts", |intact| intact.cuts().collect::<Vec<_>>().into_iter());
}

#[test]
#[ignore = "soak: every entry, hash, batch, line and file"]
fn everything_dropped_or_doubled_is_found() {
    find_all("drops and copies", |intact| {
        intact.drops_and_copies().collect::<Vec<_>>().into_iter()
    });
}

#[test]
#[ignore = "soak: minutes, every two entries, hashes, batches, lines and files"]
fn everything_that_changed_places_is_found() {
    find_all("swaps", |intact| intact.swaps().collect::<Vec<_>>().into_iter());
}
