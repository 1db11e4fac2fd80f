//! The offline verifier: a directory and public keys are all it needs. It changes
//! nothing, and trusts nothing that a signature does not cover.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bartizan_core::json;
use serde_json::Value;

use crate::{
    Error,
    note::{Checkpoint, Head, VerifierKey},
    state::{self, Contents},
    tiles::{self, WIDTH},
    tree::{Hash, leaf},
};

/// What else the verifier may go by.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A head seen before: the ledger must go on from it.
    pub remembered: Option<Head>,
    /// Keys of witnesses; their cosignatures under `cosigned/` are heads seen before.
    pub witnesses: Vec<VerifierKey>,
}

/// What the verifier found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub head: Option<Head>,
    /// Everything that does not verify. Empty means intact.
    pub problems: Vec<String>,
    /// Files that no signature covers, by path below the directory.
    pub ignored: Vec<PathBuf>,
    /// Entries that a crash cut off before they were acknowledged.
    pub torn: usize,
    /// Checkpoints with a valid cosignature of a given witness.
    pub cosigned: usize,
}

impl Report {
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Verifies everything below a directory against the key that the log began with,
/// or any later one.
///
/// # Errors
/// When the directory cannot be read at all.
pub fn directory(dir: &Path, key: &VerifierKey, options: &Options) -> Result<Report, Error> {
    if !dir.is_dir() {
        let path = dir.display().to_string();
        return Err(Error::File { path, problem: "is no folder".to_owned() });
    }
    let published = || state::read_file(&dir.join(state::CHECKPOINT)).ok().flatten();
    let mut before = published();
    let mut report = once(dir, key, options);
    // A ledger that is in use moves entries from its journal into tiles meanwhile.
    for _ in 1..state::READS_MAX {
        let after = published();
        if report.is_intact() || before == after {
            break;
        }
        before = after;
        report = once(dir, key, options);
    }
    Ok(report)
}

fn once(dir: &Path, key: &VerifierKey, options: &Options) -> Report {
    let mut report = Report::default();
    let contents = match state::read(dir) {
        Ok(contents) => contents,
        Err(error) => {
            report.problems.push(error.to_string());
            return report;
        }
    };
    report.torn = contents.torn;
    report.head = contents.checkpoint.as_ref().map(|checkpoint| checkpoint.head.clone());
    if contents.checkpoint.is_none() {
        report
            .problems
            .push("there is no checkpoint: this is no ledger, or all of it is gone".to_owned());
        return report;
    }
    let keys = entries(dir, &contents, key, &mut report);
    rotations(dir, &contents, &keys, &mut report);
    signatures(dir, &contents, &keys, &mut report);
    files(dir, &contents, &keys, &mut report);
    memories(dir, &contents, options, &mut report);
    report
}

/// A key, and the size of the tree from which it signs.
struct Term {
    from: u64,
    key: VerifierKey,
}

/// Reads every entry: its hash is that of the tiles, its form is canonical. Gives
/// the keys in force, by the entries that rotated them.
fn entries(dir: &Path, contents: &Contents, first: &VerifierKey, report: &mut Report) -> Vec<Term> {
    let mut terms = vec![Term { from: 0, key: first.clone() }];
    let mut index = 0;
    let mut look = |bytes: &[u8], report: &mut Report| {
        if contents.hashes.level(0, index, index + 1) != Some(&[leaf(bytes)]) {
            report.problems.push(format!("entry {index} is not the one that was signed"));
        }
        match canonical(bytes) {
            Err(problem) => report.problems.push(format!("entry {index}: {problem}")),
            Ok(entry) => terms.extend(rotation(&entry).map(|key| Term { from: index + 1, key })),
        }
        index += 1;
    };
    for n in 0..contents.tiled.div_ceil(WIDTH) {
        let width = (contents.tiled - n * WIDTH).min(WIDTH);
        match tiles::read_bundle(dir, n, width) {
            Ok(bundle) => bundle.iter().for_each(|entry| look(entry, report)),
            Err(error) => {
                report.problems.push(error.to_string());
                return terms;
            }
        }
    }
    contents.tail.iter().for_each(|entry| look(entry, report));
    // A verifier that starts from a later key skips the rotations up to it.
    let start = terms.iter().rposition(|term| term.key == *first).unwrap_or(0);
    terms.split_off(start)
}

fn canonical(bytes: &[u8]) -> Result<Value, String> {
    let value = json::parse(bytes, usize::MAX).map_err(|e| e.to_string())?;
    if json::canonical(&value)?.as_bytes() != bytes {
        return Err("its JSON is not canonical".to_owned());
    }
    Ok(value)
}

fn rotation(entry: &Value) -> Option<VerifierKey> {
    let is_rotation = entry.get("kind").and_then(Value::as_str) == Some("ledger.key_rotated");
    let key = entry.pointer("/body/key").and_then(Value::as_str)?;
    is_rotation.then(|| VerifierKey::parse(key).ok())?
}

/// The old key vouches for the new one: the checkpoint that covers a rotation
/// first is kept, and carries both signatures.
fn rotations(dir: &Path, contents: &Contents, terms: &[Term], report: &mut Report) {
    for pair in terms.windows(2) {
        let [old, new] = pair else { continue };
        let note = fs::read_to_string(dir.join(state::rotation_path(new.from))).unwrap_or_default();
        let vouched = Checkpoint::parse(&note).is_ok_and(|checkpoint| {
            checkpoint.head.size == new.from
                && contents.hashes.root_at(new.from) == Some(checkpoint.head.root)
                && checkpoint.is_signed_by(&old.key)
                && checkpoint.is_signed_by(&new.key)
        });
        if !vouched {
            report.problems.push(format!(
                "the key from size {} on is not vouched for by the one before",
                new.from
            ));
        }
    }
}

/// Every checkpoint is signed by the key of its time.
fn signatures(dir: &Path, contents: &Contents, terms: &[Term], report: &mut Report) {
    let published = fs::read_to_string(dir.join(state::CHECKPOINT)).ok();
    let published = published.map(|note| (contents.tiled, note));
    for (size, note) in contents.notes.iter().cloned().chain(published) {
        let Ok(checkpoint) = Checkpoint::parse(&note) else {
            report.problems.push(format!("the checkpoint at size {size} cannot be read"));
            continue;
        };
        let term = terms.iter().rfind(|term| term.from <= size);
        let Some(term) = term else { continue };
        if !checkpoint.is_signed_by(&term.key) {
            report
                .problems
                .push(format!("the checkpoint at size {size} is not signed by `{}`", term.key));
        }
        if checkpoint.head.origin != term.key.name {
            report.problems.push(format!(
                "the checkpoint at size {size} is of another log, `{}`",
                checkpoint.head.origin
            ));
        }
    }
}

/// Every tile is what the tree says; every other file is named.
fn files(dir: &Path, contents: &Contents, terms: &[Term], report: &mut Report) {
    let vouches: Vec<String> = terms.iter().map(|term| state::rotation_path(term.from)).collect();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(list) = fs::read_dir(&folder) else {
            report.problems.push(format!("`{}` cannot be read", folder.display()));
            continue;
        };
        for path in list.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap_or(&path).to_owned();
            match tile(&name) {
                Some(tile) => check_tile(&path, &tile, contents, report),
                None if [state::CHECKPOINT, crate::journal::FILE]
                    .iter()
                    .any(|known| name == Path::new(known)) => {}
                None if vouches.iter().any(|known| name == Path::new(known)) => {}
                None => report.ignored.push(name),
            }
        }
    }
    report.ignored.sort();
}

/// A tile, as its path names it.
struct Tile {
    /// None for a bundle of entries.
    level: Option<u32>,
    n: u64,
    width: u64,
}

fn tile(name: &Path) -> Option<Tile> {
    let mut parts = name.to_str()?.strip_prefix("tile/")?.split('/');
    let level = match parts.next()? {
        "entries" => None,
        level => Some(level.parse().ok().filter(|level| *level < 8)?),
    };
    let (mut n, mut width) = (0_u64, WIDTH);
    let mut in_partial = false;
    for part in parts {
        if in_partial {
            width = part.parse().ok()?;
            continue;
        }
        let part = match part.strip_suffix(".p") {
            Some(part) => {
                in_partial = true;
                part
            }
            None => part,
        };
        let digits = part.strip_prefix('x').unwrap_or(part);
        n = n.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(Tile { level, n, width })
}

fn check_tile(path: &Path, tile: &Tile, contents: &Contents, report: &mut Report) {
    let Ok(bytes) = fs::read(path) else {
        report.problems.push(format!("`{}` cannot be read", path.display()));
        return;
    };
    let from = tile.n.saturating_mul(WIDTH);
    let to = from.saturating_add(tile.width);
    let good = match tile.level {
        Some(level) => contents
            .hashes
            .level(8 * level, from, to)
            .is_some_and(|hashes| hashes.as_flattened() == bytes),
        None => tiles::unbundle(&bytes).is_some_and(|entries| {
            let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
            contents.hashes.level(0, from, to) == Some(leaves.as_slice())
        }),
    };
    if !good {
        report.problems.push(format!("`{}` is not what was signed", path.display()));
    }
}

/// Heads that were seen before must be heads of this tree's past.
fn memories(dir: &Path, contents: &Contents, options: &Options, report: &mut Report) {
    if let Some(head) = &options.remembered {
        remembered(contents, head, "the remembered head", report);
    }
    let cosigned = fs::read_dir(dir.join("cosigned")).into_iter().flatten().flatten();
    for path in cosigned.map(|entry| entry.path()) {
        let note = fs::read_to_string(&path).unwrap_or_default();
        let Ok(checkpoint) = Checkpoint::parse(&note) else { continue };
        if options.witnesses.iter().any(|witness| checkpoint.is_signed_by(witness)) {
            report.cosigned += 1;
            remembered(contents, &checkpoint.head, "a witness's cosignature", report);
        }
    }
}

fn remembered(contents: &Contents, head: &Head, whose: &str, report: &mut Report) {
    let size = contents.hashes.size();
    let origin = contents.checkpoint.as_ref().map(|checkpoint| checkpoint.head.origin.as_str());
    if origin != Some(head.origin.as_str()) {
        return;
    }
    if head.size > size {
        report.problems.push(format!(
            "rolled back: {whose} is of size {}, and the ledger ends at {size}",
            head.size
        ));
    } else if contents.hashes.root_at(head.size) != Some(head.root) {
        report.problems.push(format!("rewritten: {whose} has another root at size {}", head.size));
    }
}
