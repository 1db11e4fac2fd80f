//! The offline verifier: a directory and public keys are all it needs. It changes
//! nothing, and trusts nothing that a signature does not cover.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    disk::{Disk, RealDisk},
    inventory::Inventory,
    journal,
    note::{Checkpoint, Head, VerifierKey},
    settle::rotation_path,
    state::{COSIGNED, ROTATIONS},
    tiles::{file_error, read_file},
    walk::{Walk, Walked},
};

/// LIMIT: problems that a report lists one by one.
const PROBLEMS_MAX: usize = 100;

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
/// or any later one. The ledger may be in use meanwhile.
///
/// # Errors
/// When the directory cannot be read at all.
pub fn directory(dir: &Path, key: &VerifierKey, options: &Options) -> Result<Report, Error> {
    directory_on(&RealDisk, dir, key, options)
}

pub(crate) fn directory_on(
    disk: &dyn Disk,
    dir: &Path,
    key: &VerifierKey,
    options: &Options,
) -> Result<Report, Error> {
    disk.list(dir).map_err(|e| file_error(dir, e))?;
    let inventory = Inventory::take(disk, dir)?;
    let mut report = Report::default();
    match Parts::read(&inventory) {
        Ok(parts) => Examination { disk, dir, key, options, inventory: &inventory }
            .examine(&parts, &mut report),
        Err(problem) => report.problems.push(problem),
    }
    let more = report.problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        report.problems.truncate(PROBLEMS_MAX);
        report.problems.push(format!("and {more} more"));
    }
    Ok(report)
}

/// What the two files hold that tell how far the ledger goes.
pub(crate) struct Parts<'a> {
    /// The published checkpoint, and the note that it was read from.
    pub(crate) published: Option<Checkpoint>,
    pub(crate) journal: journal::Contents<'a>,
    /// The checkpoints of the journal's batches, by the size they are due at.
    pub(crate) checkpoints: Vec<(u64, Checkpoint)>,
}

impl<'a> Parts<'a> {
    pub(crate) fn read(inventory: &'a Inventory) -> Result<Self, String> {
        let published = match &inventory.checkpoint {
            None => None,
            Some(bytes) => {
                let note = std::str::from_utf8(bytes).map_err(|_| "`checkpoint` is no text")?;
                Some(Checkpoint::parse(note).map_err(|e| format!("`checkpoint`: {e}"))?)
            }
        };
        let bytes = inventory.journal.as_deref().ok_or(match published {
            Some(_) => "`journal` is missing",
            None => "there is neither `checkpoint` nor `journal`: this is no ledger, or all of it is gone",
        })?;
        let journal = journal::read(bytes).map_err(|problem| format!("`journal`: {problem}"))?;
        let mut parts = Self { published, journal, checkpoints: Vec::new() };
        parts.fit()?;
        Ok(parts)
    }

    /// The size that the tiles cover.
    pub(crate) fn tiled(&self) -> u64 {
        self.published.as_ref().map_or(0, |checkpoint| checkpoint.head.size)
    }

    fn fit(&mut self) -> Result<(), String> {
        let (base, tiled) = (self.journal.base, self.tiled());
        let mut size = base;
        for batch in &self.journal.batches {
            size += u64::try_from(batch.entries.len()).unwrap_or(u64::MAX);
            let checkpoint = Checkpoint::parse(batch.note)
                .map_err(|e| format!("`journal`: the checkpoint of size {size}: {e}"))?;
            self.checkpoints.push((size, checkpoint));
        }
        if base > tiled || size < tiled {
            return Err(format!(
                "`journal` goes from entry {base} to {size}, and `checkpoint` is of size {tiled}"
            ));
        }
        match size {
            0 => Err("there is no checkpoint: nothing was ever acknowledged, or all of it is gone"
                .to_owned()),
            _ => Ok(()),
        }
    }

    fn newest(&self) -> Option<&Checkpoint> {
        let last = self.checkpoints.last().map(|(_, checkpoint)| checkpoint);
        last.or(self.published.as_ref())
    }

    /// The note of a size, where the journal still has it.
    fn at(&self, size: u64) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|(at, _)| *at == size).map(|(_, checkpoint)| checkpoint)
    }
}

/// A key, and the size of the tree from which it signs.
struct Term {
    from: u64,
    key: VerifierKey,
}

struct Examination<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    key: &'a VerifierKey,
    options: &'a Options,
    inventory: &'a Inventory,
}

impl Examination<'_> {
    fn examine(&self, parts: &Parts<'_>, report: &mut Report) {
        report.torn = parts.journal.torn;
        report.head = parts.newest().map(|checkpoint| checkpoint.head.clone());
        let cosigned = self.cosigned(report);
        let vouchers = self.vouchers(report);
        let mut sizes: Vec<u64> = parts.checkpoints.iter().map(|(size, _)| *size).collect();
        sizes.push(parts.tiled());
        sizes.extend(vouchers.iter().chain(&cosigned).map(|checkpoint| checkpoint.head.size));
        sizes.extend(self.options.remembered.iter().map(|head| head.size));
        let walk = Walk { disk: self.disk, dir: self.dir, inventory: self.inventory, parts };
        let walked = walk.run(sizes, &mut report.problems);
        let terms = self.terms(&walked);
        self.heads(parts, &walked, report);
        self.signatures(parts, &terms, report);
        self.rotations(parts, &walked, &terms, vouchers, report);
        self.memories(&walked, &cosigned, report);
        report.ignored.extend(
            self.inventory
                .others
                .iter()
                .filter(|name| {
                    let name = name.as_str();
                    let known = [crate::state::CHECKPOINT, journal::FILE].contains(&name);
                    !known && !name.starts_with(ROTATIONS) && !name.starts_with(COSIGNED)
                })
                .map(PathBuf::from),
        );
        report.ignored.sort();
    }

    fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = &'a String> {
        let prefix = format!("{folder}/");
        self.inventory.others.iter().filter(move |name| name.starts_with(&prefix))
    }

    fn note(&self, name: &str) -> Option<Checkpoint> {
        let bytes = read_file(self.disk, &self.dir.join(name)).ok().flatten()?;
        Checkpoint::parse(&String::from_utf8(bytes).ok()?).ok()
    }

    /// Checkpoints that a given witness cosigned; other files are named as not covered.
    fn cosigned(&self, report: &mut Report) -> Vec<Checkpoint> {
        let mut found = Vec::new();
        for name in self.below(COSIGNED) {
            let by_witness = |checkpoint: &Checkpoint| {
                let keys = &mut self.options.witnesses.iter().filter(|key| key.is_cosigner());
                keys.any(|key| checkpoint.is_signed_by(key))
            };
            match self.note(name).filter(by_witness) {
                Some(checkpoint) => found.push(checkpoint),
                None => report.ignored.push(PathBuf::from(name)),
            }
        }
        report.cosigned = found.len();
        found
    }

    /// The notes under `rotations/`. One that cannot be read is a problem.
    fn vouchers(&self, report: &mut Report) -> Vec<Checkpoint> {
        let mut found = Vec::new();
        for name in self.below(ROTATIONS) {
            match self.note(name) {
                Some(note) if rotation_path(note.head.size) == *name => found.push(note),
                _ if name.ends_with(".tmp") => report.ignored.push(PathBuf::from(name)),
                _ => report.problems.push(format!("`{name}` is no checkpoint of its size")),
            }
        }
        found
    }

    /// The keys from the given one on, by the entries that changed them.
    fn terms(&self, walked: &Walked) -> Vec<Term> {
        let mut terms = vec![Term { from: 0, key: self.key.clone() }];
        let changes = walked.rotations.iter();
        terms.extend(changes.map(|(index, key)| Term { from: index + 1, key: key.clone() }));
        // A verifier that was given a later key begins with it.
        let start = terms.iter().rposition(|term| term.key == *self.key).unwrap_or(0);
        terms.split_off(start)
    }

    /// Each checkpoint has the root of the entries before it.
    fn heads(&self, parts: &Parts<'_>, walked: &Walked, report: &mut Report) {
        let origin = report.head.as_ref().map(|head| head.origin.clone()).unwrap_or_default();
        let published = parts.published.iter().map(|checkpoint| (checkpoint.head.size, checkpoint));
        let journal = parts.checkpoints.iter().map(|(size, checkpoint)| (*size, checkpoint));
        for (size, Checkpoint { head, .. }) in published.chain(journal) {
            if head.size != size || walked.roots.get(&size) != Some(&head.root) {
                report.problems.push(format!("the checkpoint of size {size} has another root"));
            }
            if head.origin != origin {
                report.problems.push(format!(
                    "the checkpoint of size {size} is of another log, `{}`",
                    head.origin
                ));
            }
        }
    }

    /// Each checkpoint is signed by the key of its time.
    fn signatures(&self, parts: &Parts<'_>, terms: &[Term], report: &mut Report) {
        let newest = parts.newest();
        let journal = parts.checkpoints.iter().map(|(_, checkpoint)| checkpoint);
        for checkpoint in parts.published.iter().chain(journal) {
            let size = checkpoint.head.size;
            match terms.iter().rfind(|term| term.from <= size) {
                // Before the given key's time: a later head covers it.
                None if newest != Some(checkpoint) => {}
                Some(term)
                    if checkpoint.head.origin == term.key.name
                        && checkpoint.is_signed_by(&term.key) => {}
                term => {
                    let key = term.map_or(self.key, |term| &term.key);
                    report
                        .problems
                        .push(format!("the checkpoint of size {size} is not signed by `{key}`"));
                }
            }
        }
    }

    /// The old key vouches for the new one: the first checkpoint over a change of keys
    /// carries both signatures.
    fn rotations(
        &self,
        parts: &Parts<'_>,
        walked: &Walked,
        terms: &[Term],
        vouchers: Vec<Checkpoint>,
        report: &mut Report,
    ) {
        for pair in terms.windows(2) {
            let [old, new] = pair else { continue };
            let kept = vouchers.iter().find(|note| note.head.size == new.from);
            let is_good = kept.or_else(|| parts.at(new.from)).is_some_and(|note| {
                walked.roots.get(&new.from) == Some(&note.head.root)
                    && note.head.origin == old.key.name
                    && note.is_signed_by(&old.key)
                    && note.is_signed_by(&new.key)
            });
            if !is_good {
                report.problems.push(format!(
                    "the key from size {} on is not vouched for by the one before",
                    new.from
                ));
            }
        }
        for note in vouchers {
            if !terms.iter().skip(1).any(|term| term.from == note.head.size) {
                report.ignored.push(PathBuf::from(rotation_path(note.head.size)));
            }
        }
    }

    /// Heads that were seen before must be heads of this tree's past.
    fn memories(&self, walked: &Walked, cosigned: &[Checkpoint], report: &mut Report) {
        let Some(newest) = report.head.clone() else { return };
        for checkpoint in cosigned {
            if checkpoint.head.origin == newest.origin {
                self.memory(walked, &checkpoint.head, "a witness's cosignature", report);
            } else {
                report.ignored.push(PathBuf::from(crate::cosigned::path(checkpoint.head.size)));
            }
        }
        match &self.options.remembered {
            Some(head) if head.origin == newest.origin => {
                self.memory(walked, head, "the remembered head", report);
            }
            Some(head) if !walked.goes_on_from(head) => report.problems.push(format!(
                "the remembered head is of `{}`, and this ledger, `{}`, does not go on from it",
                head.origin, newest.origin
            )),
            _ => {}
        }
    }

    fn memory(&self, walked: &Walked, head: &Head, whose: &str, report: &mut Report) {
        let size = walked.size;
        if head.size > size {
            report.problems.push(format!(
                "rolled back: {whose} is of size {}, and the ledger ends at {size}",
                head.size
            ));
        } else if walked.roots.get(&head.size) != Some(&head.root) {
            report
                .problems
                .push(format!("rewritten: {whose} has another root at size {}", head.size));
        }
    }
}
