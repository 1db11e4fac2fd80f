//! Witnesses' cosignatures of this ledger's heads, kept in `cosigned/`, a file a size:
//! each is a head that someone else saw, which the ledger can never go behind.

use std::path::Path;

use crate::{
    Error,
    disk::{Disk, Readers},
    note::{Checkpoint, Head, VerifierKey},
    state::COSIGNED,
    tiles::{Shelf, read_file},
};

/// LIMIT: heads kept with cosignatures. The newest one binds the ledger's whole past;
/// some more keep what other witnesses saw.
const KEPT: usize = 256;

/// Where the cosignatures of a head are.
pub(crate) fn path(size: u64) -> String {
    format!("{COSIGNED}/{size:020}")
}

/// A note that a witness gave.
pub(crate) struct Given {
    checkpoint: Checkpoint,
    /// The lines of given witnesses, each of which verifies.
    lines: Vec<String>,
}

impl Given {
    /// # Errors
    /// When the note is malformed, or no given witness signed it.
    pub(crate) fn read(note: &str, witnesses: &[VerifierKey]) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Witness { problem: problem.to_owned() };
        let checkpoint = Checkpoint::parse(note)?;
        if checkpoint.text != checkpoint.head.text() {
            return Err(refuse("the note has lines that this ledger never signs"));
        }
        let signed = |key: &&VerifierKey| key.is_cosigner() && checkpoint.is_signed_by(key);
        let lines: Vec<String> =
            witnesses.iter().filter(signed).flat_map(|key| checkpoint.lines_of(key)).collect();
        if lines.is_empty() {
            return Err(refuse("no given witness signed it"));
        }
        Ok(Self { checkpoint, lines })
    }

    pub(crate) fn head(&self) -> &Head {
        &self.checkpoint.head
    }

    /// Puts the lines beside those there are; gives all of the head's witnesses' lines.
    pub(crate) fn keep(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        log: &VerifierKey,
    ) -> Result<String, Error> {
        let mut witnesses = witness_lines(disk, dir, self.head());
        for line in &self.lines {
            if !witnesses.contains(line) {
                witnesses.push(line.clone());
            }
        }
        let own =
            if self.checkpoint.is_signed_by(log) { self.checkpoint.lines_of(log) } else { vec![] };
        let note = format!("{}\n{}{}", self.checkpoint.text, own.concat(), witnesses.concat());
        // A file of ours is never one that we could not read again.
        Checkpoint::parse(&note)?;
        let mut shelf = Shelf::new(disk, dir);
        shelf.put(&path(self.head().size), note.as_bytes(), Readers::Others)?;
        shelf.settle()?;
        drop_oldest(disk, dir);
        Ok(witnesses.concat())
    }
}

/// The witnesses' lines on a head, from before.
pub(crate) fn lines(disk: &dyn Disk, dir: &Path, head: &Head) -> String {
    witness_lines(disk, dir, head).concat()
}

fn witness_lines(disk: &dyn Disk, dir: &Path, head: &Head) -> Vec<String> {
    let bytes = read_file(disk, &dir.join(path(head.size))).ok().flatten().unwrap_or_default();
    let checkpoint = String::from_utf8(bytes).ok().and_then(|note| Checkpoint::parse(&note).ok());
    match checkpoint {
        Some(checkpoint) if checkpoint.head == *head => checkpoint.cosignature_lines(),
        _ => Vec::new(),
    }
}

fn drop_oldest(disk: &dyn Disk, dir: &Path) {
    let folder = dir.join(COSIGNED);
    let mut names: Vec<String> =
        disk.list(&folder).unwrap_or_default().into_iter().map(|item| item.name).collect();
    names.sort();
    let surplus = names.len().saturating_sub(KEPT);
    for name in names.iter().take(surplus) {
        let _kept = disk.remove_file(&folder.join(name));
    }
}
