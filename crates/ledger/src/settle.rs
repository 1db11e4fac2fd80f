//! Settling: what the journal holds is written as tiles, then published as `checkpoint`.
//!
//! Invariant: `checkpoint` is never ahead of tiles that are durable, and the journal
//! is never replaced before `checkpoint` is.

use std::{path::Path, sync::Arc};

use crate::{
    Error,
    disk::{Append, Disk, Readers},
    journal,
    levels::{Levels, count},
    state::{CHECKPOINT, ROTATIONS},
    tiles::{self, Kind, Shelf, Tile, WIDTH, file_error, temporary},
};

/// What is to be written; a snapshot, so that the ledger goes on meanwhile.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The size that the tiles cover already.
    pub(crate) from: u64,
    /// Whose size is the one to publish.
    pub(crate) levels: Levels,
    /// The index of the first of `entries`, a multiple of 256 not above `from`.
    pub(crate) entries_base: u64,
    pub(crate) entries: Vec<Arc<[u8]>>,
    /// The signed checkpoint of the levels' size.
    pub(crate) note: String,
    /// Checkpoints that vouch for new keys, by their size.
    pub(crate) rotations: Vec<(u64, String)>,
}

/// Writes and publishes.
pub(crate) fn run(disk: &dyn Disk, dir: &Path, plan: &Plan) -> Result<(), Error> {
    let size = plan.levels.size();
    let mut shelf = Shelf::new(disk, dir);
    if size > plan.from {
        bundles(&mut shelf, plan)?;
        hashes(&mut shelf, plan)?;
    }
    for (size, note) in &plan.rotations {
        shelf.put(&rotation_path(*size), note.as_bytes(), Readers::Others)?;
    }
    shelf.settle()?;
    if size > plan.from {
        shelf.put(CHECKPOINT, plan.note.as_bytes(), Readers::Others)?;
        shelf.settle()?;
        drop_partials(disk, dir, plan.from, size);
    }
    Ok(())
}

/// Where the checkpoint that vouches for a new key is kept: both keys signed it.
pub(crate) fn rotation_path(size: u64) -> String {
    format!("{ROTATIONS}/{size:020}")
}

fn bundles(shelf: &mut Shelf<'_>, plan: &Plan) -> Result<(), Error> {
    let width = usize::try_from(WIDTH).unwrap_or(256);
    for (n, bundle) in (plan.entries_base / WIDTH..).zip(plan.entries.chunks(width)) {
        let width = u64::try_from(bundle.len()).unwrap_or(WIDTH);
        let tile = Tile { kind: Kind::Entries, n, width };
        let bytes = tiles::bundle(bundle.iter().map(|entry| &**entry));
        shelf.put(&tile.path(), &bytes, Readers::Others)?;
    }
    Ok(())
}

fn hashes(shelf: &mut Shelf<'_>, plan: &Plan) -> Result<(), Error> {
    for level in 0.. {
        let (had, have) = (count(plan.from, level), count(plan.levels.size(), level));
        if have == 0 {
            break;
        }
        if had == have {
            continue;
        }
        for n in had / WIDTH..have.div_ceil(WIDTH) {
            let row = plan.levels.tile(level, n).unwrap_or_default();
            let width = u64::try_from(row.len()).unwrap_or(WIDTH);
            let tile = Tile { kind: Kind::Level(level), n, width };
            shelf.put(&tile.path(), row.as_flattened(), Readers::Others)?;
        }
    }
    Ok(())
}

/// Removes the partial tiles that full ones have replaced, as C2SP tlog-tiles allows.
/// One that stays does no harm: it still agrees with the tree.
fn drop_partials(disk: &dyn Disk, dir: &Path, from: u64, size: u64) {
    let entries = std::iter::once((Kind::Entries, 0));
    for (kind, level) in entries.chain((0..8).map(|level| (Kind::Level(level), level))) {
        let (had, have) = (count(from, level), count(size, level));
        let n = had / WIDTH;
        if !had.is_multiple_of(WIDTH) && have / WIDTH > n {
            let folder = dir.join(format!("{}.p", Tile::full(kind, n).path()));
            let items = disk.list(&folder).unwrap_or_default();
            let _kept = items
                .iter()
                .try_for_each(|item| disk.remove_file(&folder.join(&item.name)))
                .and_then(|()| disk.remove_folder(&folder));
        }
    }
}

/// Puts a new journal in the old one's place: it begins at `base`, and goes on with
/// the batches that came since. Gives it and its length.
pub(crate) fn begin_journal(
    disk: &dyn Disk,
    dir: &Path,
    base: u64,
    batches: &[u8],
) -> Result<(Box<dyn Append>, usize), Error> {
    let path = dir.join(journal::FILE);
    let next = temporary(&path);
    let mut bytes = journal::begin(base);
    bytes.extend(batches);
    let begin = || {
        let mut file = disk.begin(&next)?;
        file.append(&bytes)?;
        file.sync()?;
        disk.rename(&next, &path)?;
        disk.sync_folder(dir)?;
        Ok(file)
    };
    begin().map(|file| (file, bytes.len())).map_err(|e: std::io::Error| file_error(&path, e))
}
