//! Reads every entry of a ledger in order, on all processors, and holds every tile
//! against the tree that the entries make.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    canonical,
    disk::Disk,
    inventory::Inventory,
    levels::{Levels, count},
    note::{Head, VerifierKey},
    state,
    tiles::{self, Kind, Tile, WIDTH},
    tree::{Hash, leaf, subtree},
    verify::Parts,
};

/// Bundles that one thread reads before the results are put in order.
const BUNDLES_A_TURN: u64 = 32;

pub(crate) struct Walk<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) inventory: &'a Inventory,
    pub(crate) parts: &'a Parts<'a>,
}

/// What the entries say.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) size: u64,
    /// The root at each of the sizes asked for, as far as the tree goes.
    pub(crate) roots: BTreeMap<u64, Hash>,
    /// The keys that entries put in force, by the entries' index.
    pub(crate) rotations: Vec<(u64, VerifierKey)>,
    /// What the first entry says.
    opened: Value,
}

impl Walked {
    /// Whether the ledger was begun after a restore, as the heir of one that had this head.
    pub(crate) fn goes_on_from(&self, head: &Head) -> bool {
        let previous = |name: &str| self.opened.pointer(&format!("/body/previous/{name}"));
        let is_same = previous("origin").and_then(Value::as_str) == Some(&head.origin);
        match previous("size").and_then(Value::as_u64).filter(|_| is_same) {
            Some(size) if size == head.size => {
                previous("root").and_then(Value::as_str) == Some(&STANDARD.encode(head.root))
            }
            Some(size) => size > head.size,
            None => false,
        }
    }
}

/// A bundle that was read, or what was wrong with it.
#[derive(Default)]
struct Bundle {
    leaves: Vec<Hash>,
    problems: Vec<String>,
    rotations: Vec<(u64, VerifierKey)>,
    first: Option<Vec<u8>>,
    root: Hash,
}

impl Bundle {
    fn look(&mut self, index: u64, entry: &[u8]) {
        self.leaves.push(leaf(entry));
        if let Err(problem) = canonical::check(entry) {
            self.problems.push(format!("entry {index}: {problem}"));
        }
        match state::rotation(entry) {
            Ok(key) => self.rotations.extend(key.map(|key| (index, key))),
            Err(problem) => self.problems.push(format!("entry {index}: {problem}")),
        }
        if index == 0 {
            self.first = Some(entry.to_vec());
        }
    }
}

/// The walk so far.
struct Progress<'p> {
    levels: Levels,
    walked: Walked,
    sizes: BTreeSet<u64>,
    problems: &'p mut Vec<String>,
}

impl Progress<'_> {
    fn note_root(&mut self) {
        let size = self.levels.size();
        if self.sizes.contains(&size) {
            self.walked.roots.insert(size, self.levels.frontier().root());
        }
    }

    fn take(&mut self, bundle: &mut Bundle) {
        self.problems.append(&mut bundle.problems);
        self.walked.rotations.append(&mut bundle.rotations);
        if let Some(first) = &bundle.first {
            self.walked.opened = serde_json::from_slice(first).unwrap_or_default();
        }
    }
}

impl Walk<'_> {
    pub(crate) fn run(&self, sizes: Vec<u64>, problems: &mut Vec<String>) -> Walked {
        let sizes = sizes.into_iter().collect();
        let walked = Walked::default();
        let mut progress = Progress { levels: Levels::default(), walked, sizes, problems };
        progress.note_root();
        if self.full_bundles(&mut progress) && self.rest(&mut progress) {
            self.edge(&mut progress);
        }
        progress.walked.size = progress.levels.size();
        progress.walked
    }

    /// The bundles that the tiles have in full. False when one cannot be read, since
    /// nothing behind it has a place in the tree.
    fn full_bundles(&self, progress: &mut Progress<'_>) -> bool {
        let full = self.parts.tiled() / WIDTH;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let turn = u64::try_from(threads).unwrap_or(1) * BUNDLES_A_TURN;
        let mut n = 0;
        while n < full {
            let end = full.min(n + turn);
            for (number, mut bundle) in (n..).zip(self.read(n, end)) {
                progress.take(&mut bundle);
                if u64::try_from(bundle.leaves.len()) != Ok(WIDTH) {
                    return false;
                }
                self.push_full(progress, number, &bundle);
            }
            n = end;
        }
        true
    }

    /// Reads bundles, each on one of the processors.
    fn read(&self, from: u64, to: u64) -> Vec<Bundle> {
        let starts: Vec<u64> =
            (from..to).step_by(usize::try_from(BUNDLES_A_TURN).unwrap_or(1)).collect();
        let slice = |start: u64| (start..to.min(start + BUNDLES_A_TURN)).map(|n| self.bundle(n));
        if let [only] = *starts {
            return slice(only).collect();
        }
        thread::scope(|scope| {
            let threads: Vec<_> = starts
                .into_iter()
                .map(|start| scope.spawn(move || slice(start).collect::<Vec<_>>()))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_default());
            joined.flatten().collect()
        })
    }

    fn bundle(&self, n: u64) -> Bundle {
        let mut bundle = Bundle::default();
        let name = Tile::full(Kind::Entries, n).path();
        let bytes = match self.file(&name) {
            Ok(bytes) => bytes,
            Err(problem) => {
                bundle.problems.push(problem);
                return bundle;
            }
        };
        match tiles::unbundle(&bytes).filter(|entries| u64::try_from(entries.len()) == Ok(WIDTH)) {
            None => bundle.problems.push(format!("`{name}` is no bundle of 256 entries")),
            Some(entries) => {
                for (index, entry) in (n * WIDTH..).zip(entries) {
                    bundle.look(index, entry);
                }
                bundle.root = subtree(&bundle.leaves);
                let (leaves, problems) = (&bundle.leaves, &mut bundle.problems);
                self.files_of(0, n, leaves, problems);
                self.overlap(n * WIDTH, leaves, problems);
            }
        }
        bundle
    }

    fn file(&self, name: &str) -> Result<Vec<u8>, String> {
        match tiles::read_file(self.disk, &self.dir.join(name)) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(format!("`{name}` is missing")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn push_full(&self, progress: &mut Progress<'_>, n: u64, bundle: &Bundle) {
        let asked = progress.sizes.range(n * WIDTH + 1..(n + 1) * WIDTH).next().is_some();
        let mut full = Vec::new();
        let mut keep = |level, n, tile: &[Hash]| {
            if level > 0 {
                full.push((level, n, tile.to_vec()));
            }
        };
        if asked {
            for leaf in &bundle.leaves {
                progress.levels.push_and(*leaf, &mut keep);
                progress.note_root();
            }
        } else {
            progress.levels.push_tile(bundle.root, keep);
            progress.note_root();
        }
        for (level, n, tile) in full {
            self.files_of(level, n, &tile, progress.problems);
        }
        progress.levels.forget(progress.levels.size());
    }

    /// The last bundle when it is partial, and what the journal has beyond the tiles.
    fn rest(&self, progress: &mut Progress<'_>) -> bool {
        let tiled = self.parts.tiled();
        let mut bundle = Bundle::default();
        let mut index = tiled / WIDTH * WIDTH;
        if !tiled.is_multiple_of(WIDTH) {
            let tile = Tile { kind: Kind::Entries, n: tiled / WIDTH, width: tiled % WIDTH };
            let bytes = match tiles::read_tile(self.disk, self.dir, tile) {
                Ok(bytes) => bytes,
                Err(error) => {
                    progress.problems.push(error.to_string());
                    return false;
                }
            };
            let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
            let entries = tiles::unbundle(&bytes).unwrap_or_default();
            if entries.len() < width {
                let problem = format!("`{}` is no bundle of {width} entries", tile.path());
                progress.problems.push(problem);
                return false;
            }
            for entry in entries.into_iter().take(width) {
                bundle.look(index, entry);
                index += 1;
            }
            self.overlap(tiled - tile.width, &bundle.leaves, &mut bundle.problems);
        }
        for batch in &self.parts.journal.batches {
            for (at, entry) in (batch.first..).zip(&batch.entries) {
                if at >= tiled {
                    bundle.look(at, entry);
                }
            }
        }
        progress.take(&mut bundle);
        for leaf in bundle.leaves {
            progress.levels.push(leaf);
            progress.note_root();
        }
        true
    }

    /// Entries that the journal still has beside the tiles are the same ones.
    fn overlap(&self, first: u64, leaves: &[Hash], problems: &mut Vec<String>) {
        let end = first + u64::try_from(leaves.len()).unwrap_or(0);
        if self.parts.journal.base >= end {
            return;
        }
        for batch in self.parts.journal.batches.iter().filter(|batch| batch.first < end) {
            for (index, entry) in (batch.first..end).zip(&batch.entries) {
                let within = index.checked_sub(first).and_then(|at| usize::try_from(at).ok());
                let signed = within.and_then(|at| leaves.get(at));
                if signed.is_some_and(|signed| *signed != leaf(entry)) {
                    problems
                        .push(format!("`journal`: its entry {index} is not the one of the tiles"));
                }
            }
        }
    }

    /// The tiles at the right edge, what is missing, and what is beyond the tree.
    fn edge(&self, progress: &mut Progress<'_>) {
        let size = progress.levels.size();
        for level in 0..8 {
            // What the walk has not held against the tree yet begins with these.
            let first = match level {
                0 => self.parts.tiled() / WIDTH,
                _ => count(self.parts.tiled() / WIDTH * WIDTH, level) / WIDTH,
            };
            for n in first..count(size, level).div_ceil(WIDTH) {
                let tile = progress.levels.tile(level, n).unwrap_or_default().to_vec();
                self.files_of(level, n, &tile, progress.problems);
            }
        }
        for (kind, n) in self.inventory.tiles.keys() {
            let level = if let Kind::Level(level) = kind { *level } else { 0 };
            if *n >= count(size, level).div_ceil(WIDTH) {
                let name = Tile::full(*kind, *n).path();
                progress.problems.push(format!("`{name}` is beyond the end of the tree"));
            }
        }
    }

    /// Holds the files of a tile against its hashes. All that the published checkpoint
    /// needs must be there.
    fn files_of(&self, level: u32, n: u64, hashes: &[Hash], problems: &mut Vec<String>) {
        let kinds = if level == 0 {
            [Some(Kind::Level(0)), Some(Kind::Entries)]
        } else {
            [Some(Kind::Level(level)), None]
        };
        for kind in kinds.into_iter().flatten() {
            let due = count(self.parts.tiled(), level).saturating_sub(n * WIDTH).min(WIDTH);
            let needed = Tile { kind, n, width: due };
            if due > 0 && !self.inventory.has(needed) && !self.inventory.has(Tile::full(kind, n)) {
                problems.push(format!("`{}` is missing", needed.path()));
            }
            for width in self.inventory.widths(kind, n) {
                let tile = Tile { kind, n, width };
                let width = usize::try_from(width).unwrap_or(usize::MAX);
                // The bundle itself was what the hashes were made of.
                let is_known = kind == Kind::Entries && due == WIDTH && tile.width == WIDTH;
                if !is_known && !self.is_signed(tile, hashes.get(..width)) {
                    problems.push(format!("`{}` is not what was signed", tile.path()));
                }
            }
        }
    }

    fn is_signed(&self, tile: Tile, hashes: Option<&[Hash]>) -> bool {
        // One that went meanwhile was partial, and its full tile is there.
        let Ok(bytes) = tiles::read_tile(self.disk, self.dir, tile) else { return false };
        let Some(hashes) = hashes else { return false };
        let replaced =
            !matches!(tiles::read_file(self.disk, &self.dir.join(tile.path())), Ok(Some(_)));
        match tile.kind {
            Kind::Level(_) => tiles::hashes(&bytes)
                .is_some_and(|found| found == hashes || (replaced && found.starts_with(hashes))),
            Kind::Entries => tiles::unbundle(&bytes).is_some_and(|entries| {
                let found: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
                found == hashes || (replaced && found.starts_with(hashes))
            }),
        }
    }
}
