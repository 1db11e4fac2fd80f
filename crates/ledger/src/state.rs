//! What a ledger's folder holds, read and checked when it is opened. Nothing is changed.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::{
    Error,
    disk::Disk,
    journal,
    levels::{Levels, count},
    note::{Checkpoint, VerifierKey},
    proof,
    source::{Cache, Source},
    tiles::{self, FOLDER, Kind, Tile, WIDTH},
    tree::{Frontier, Hash, leaf},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const PUBLIC: &str = "ledger.pub";
pub(crate) const ROTATIONS: &str = "rotations";
pub(crate) const COSIGNED: &str = "cosigned";
/// The kind of the entry that puts a new key in force.
pub(crate) const ROTATED: &str = "ledger.key_rotated";
const ROTATED_MEMBER: &str = r#""kind":"ledger.key_rotated""#;
/// Full bundles that are read again at every start, the newest: 65,536 entries, a
/// fraction of a second. `verify` reads all; what is older is checked when it is read.
const RECHECKED: u64 = 256;

/// The key that an entry puts in force, if it is one that does.
///
/// # Errors
/// When it is to, and names none.
pub(crate) fn rotation(entry: &[u8]) -> Result<Option<VerifierKey>, String> {
    // Nearly every entry is another: those are not worth reading. The form is canonical,
    // so the kind can stand there in this way only.
    let is_candidate = std::str::from_utf8(entry).is_ok_and(|text| text.contains(ROTATED_MEMBER));
    if !is_candidate {
        return Ok(None);
    }
    let entry: Value = serde_json::from_slice(entry).map_err(|e| e.to_string())?;
    if entry.get("kind").and_then(Value::as_str) != Some(ROTATED) {
        return Ok(None);
    }
    let key = entry.pointer("/body/key").and_then(Value::as_str).unwrap_or_default();
    let key = VerifierKey::parse(key).map_err(|e| e.to_string())?;
    match key.is_cosigner() {
        true => Err("the new key is a witness's".to_owned()),
        false => Ok(Some(key)),
    }
}

/// A change of keys that the journal tells of.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// The size of the tree from which on the key signs.
    pub(crate) size: u64,
    pub(crate) key: VerifierKey,
    /// The checkpoint of that size, signed by both keys.
    pub(crate) note: String,
}

/// A folder's contents, which fit together. Signatures are for the caller.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The checkpoint that the tiles cover; none in a new ledger.
    pub(crate) published: Option<Checkpoint>,
    pub(crate) levels: Levels,
    pub(crate) frontier: Frontier,
    /// The index of the first entry kept here: that of the last, partial bundle.
    pub(crate) entries_base: u64,
    pub(crate) entries: Vec<Arc<[u8]>>,
    pub(crate) newest: Option<Checkpoint>,
    pub(crate) note: String,
    pub(crate) rotations: Vec<Rotation>,
    /// Entries that a crash cut off before they were acknowledged.
    pub(crate) torn: usize,
    pub(crate) has_journal: bool,
}

impl Loaded {
    /// The size that the tiles cover.
    pub(crate) fn tiled(&self) -> u64 {
        self.published.as_ref().map_or(0, |checkpoint| checkpoint.head.size)
    }
}

/// # Errors
/// Says what does not fit together.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Loaded, Error> {
    Loader { disk, dir, cache: Mutex::default() }.load()
}

struct Loader<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    cache: Mutex<Cache>,
}

impl Loader<'_> {
    fn load(&self) -> Result<Loaded, Error> {
        let mut loaded = Loaded::default();
        if let Some(bytes) = self.read(CHECKPOINT)? {
            self.tiles(&mut loaded, bytes)?;
        }
        match self.read(journal::FILE)? {
            Some(bytes) if journal::is_newer(&bytes) => {
                return Err(Error::Newer { path: self.dir.display().to_string() });
            }
            Some(bytes) => {
                loaded.has_journal = true;
                self.replay(&mut loaded, &bytes)
                    .map_err(|problem| self.damaged(format!("`journal`: {problem}")))?;
            }
            None if loaded.published.is_some() => {
                return Err(self.damaged("`journal` is missing".to_owned()));
            }
            None => {}
        }
        if loaded.newest.is_none() {
            self.is_new(&loaded)?;
        }
        Ok(loaded)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        tiles::read_file(self.disk, &self.dir.join(name))
    }

    fn damaged(&self, problem: String) -> Error {
        Error::Damaged { path: self.dir.display().to_string(), problem }
    }

    /// A ledger without a checkpoint is new only if nothing else tells of an older one.
    fn is_new(&self, loaded: &Loaded) -> Result<(), Error> {
        let mut traces = vec![FOLDER, ROTATIONS, COSIGNED];
        if !loaded.has_journal {
            traces.extend([crate::keys::KEY, PUBLIC]);
        }
        let items = self.disk.list(self.dir).map_err(|e| tiles::file_error(self.dir, e))?;
        match items.iter().find(|item| traces.contains(&item.name.as_str())) {
            Some(item) => {
                let problem =
                    format!("there is `{}`, and neither entries nor `checkpoint`", item.name);
                Err(self.damaged(problem))
            }
            None => Ok(()),
        }
    }

    /// The right edge of the tiles, which must have the root of `checkpoint`.
    fn tiles(&self, loaded: &mut Loaded, bytes: Vec<u8>) -> Result<(), Error> {
        let note = String::from_utf8(bytes)
            .map_err(|_| self.damaged("`checkpoint` is no text".to_owned()))?;
        let checkpoint =
            Checkpoint::parse(&note).map_err(|e| self.damaged(format!("`checkpoint`: {e}")))?;
        let size = checkpoint.head.size;
        loaded.levels = Levels::load(size, |level, n, width| self.edge_tile(level, n, width))?;
        loaded.frontier = loaded.levels.frontier();
        if loaded.frontier.root() != checkpoint.head.root {
            return Err(self.damaged(format!(
                "the tiles do not have the root of `checkpoint` at size {size}"
            )));
        }
        self.entries(loaded, size)?;
        loaded.newest = Some(checkpoint.clone());
        loaded.published = Some(checkpoint);
        loaded.note = note;
        Ok(())
    }

    fn edge_tile(&self, level: u32, n: u64, width: u64) -> Result<Vec<Hash>, Error> {
        let tile = Tile { kind: Kind::Level(level), n, width };
        let bytes =
            tiles::read_tile(self.disk, self.dir, tile).map_err(|e| self.damaged(e.to_string()))?;
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        tiles::hashes(&bytes)
            .and_then(|hashes| hashes.get(..width))
            .map(<[Hash]>::to_vec)
            .ok_or_else(|| self.damaged(format!("`{}` is not {width} hashes long", tile.path())))
    }

    /// The entries of the last bundle when it is partial, and a look at those before it.
    fn entries(&self, loaded: &mut Loaded, size: u64) -> Result<(), Error> {
        let (n, width) = (size / WIDTH, size % WIDTH);
        loaded.entries_base = n * WIDTH;
        if width > 0 {
            let tile = Tile { kind: Kind::Entries, n, width };
            let bytes = tiles::read_tile(self.disk, self.dir, tile)
                .map_err(|e| self.damaged(e.to_string()))?;
            let wrong = || self.damaged(format!("`{}` is not what was signed", tile.path()));
            let entries = tiles::unbundle(&bytes).ok_or_else(wrong)?;
            let leaves = loaded.levels.tile(0, n).unwrap_or_default();
            let matching = entries.iter().zip(leaves).filter(|(entry, hash)| leaf(entry) == **hash);
            if matching.count() != leaves.len() {
                return Err(wrong());
            }
            let entries = entries.into_iter().take(leaves.len());
            loaded.entries = entries.map(Arc::from).collect();
        }
        let source = self.source(&loaded.levels);
        for n in n.saturating_sub(RECHECKED)..n {
            source.bundle(n)?;
        }
        Ok(())
    }

    fn source<'a>(
        &'a self,
        levels: &'a Levels,
    ) -> Source<'a, impl Fn(u32, u64) -> Option<Arc<[Hash]>>> {
        let edge = |level, n| levels.tile(level, n).map(Arc::from);
        Source { disk: self.disk, dir: self.dir, edge, cache: &self.cache }
    }

    fn replay(&self, loaded: &mut Loaded, bytes: &[u8]) -> Result<(), String> {
        let journal = journal::read(bytes)?;
        let tiled = loaded.tiled();
        if journal.base > tiled {
            return Err(format!(
                "it begins at entry {}, and the tiles end at {tiled}",
                journal.base
            ));
        }
        loaded.torn = journal.torn;
        let mut end = journal.base;
        for batch in &journal.batches {
            end = self.take(loaded, batch, tiled)?;
        }
        if end < tiled {
            return Err(format!("it ends at entry {end}, and the tiles end at {tiled}"));
        }
        Ok(())
    }

    /// Takes over a batch; gives the size of the tree with it.
    fn take(
        &self,
        loaded: &mut Loaded,
        batch: &journal::Batch<'_>,
        tiled: u64,
    ) -> Result<u64, String> {
        let mut size = batch.first;
        let mut rotated = None;
        for entry in &batch.entries {
            if size >= tiled {
                let hash = leaf(entry);
                loaded.levels.push(hash);
                loaded.frontier.push(hash);
                loaded.entries.push(Arc::from(*entry));
            } else if self.known(loaded, size)? != leaf(entry) {
                return Err(format!("its entry {size} is not the one of the tiles"));
            }
            size += 1;
            rotated = rotation(entry)?.map(|key| (size, key)).or(rotated);
        }
        let checkpoint = Checkpoint::parse(batch.note)
            .map_err(|e| format!("the checkpoint after entry {size}: {e}"))?;
        let root = if size > tiled { loaded.frontier.root() } else { self.root_at(loaded, size)? };
        let head = &checkpoint.head;
        let origin = loaded.newest.as_ref().map_or(&head.origin, |newest| &newest.head.origin);
        if head.size != size || head.root != root || head.origin != *origin {
            return Err(format!(
                "the checkpoint after entry {size} is not of the entries before it"
            ));
        }
        if let Some((size, key)) = rotated {
            loaded.rotations.push(Rotation { size, key, note: batch.note.to_owned() });
        }
        if size > tiled {
            batch.note.clone_into(&mut loaded.note);
            loaded.newest = Some(checkpoint);
        }
        Ok(size)
    }

    fn known(&self, loaded: &Loaded, index: u64) -> Result<Hash, String> {
        proof::Nodes::node(&self.source(&loaded.levels), 0, index).map_err(|e| e.to_string())
    }

    fn root_at(&self, loaded: &Loaded, size: u64) -> Result<Hash, String> {
        debug_assert!(count(loaded.levels.size(), 0) >= size);
        proof::range(&self.source(&loaded.levels), 0, size).map_err(|e| e.to_string())
    }
}
