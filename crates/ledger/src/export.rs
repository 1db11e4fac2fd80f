//! A copy of a ledger with all of it in C2SP tlog-tiles, for other people's tools. It
//! verifies as the ledger itself does.

use std::{fs, path::Path};

use crate::{
    Error,
    disk::{Disk, RealDisk},
    inventory::Inventory,
    journal,
    levels::{Levels, count},
    note::Checkpoint,
    settle::rotation_path,
    state::{CHECKPOINT, COSIGNED, PUBLIC, ROTATIONS, rotation},
    tiles::{self, Kind, Tile, WIDTH, file_error, read_file},
    tree::{Hash, leaf},
    verify::Parts,
};

/// Writes tiles, bundles and the newest checkpoint into an empty folder; gives the size.
///
/// # Errors
/// When the entries do not have the root of the newest checkpoint: then the copy is
/// left without one. When the folder is not empty, or cannot be written.
pub fn export(dir: &Path, out: &Path) -> Result<u64, Error> {
    let damaged = |problem: String| Error::Damaged { path: dir.display().to_string(), problem };
    let inventory = Inventory::take(&RealDisk, dir)?;
    let parts = Parts::read(&inventory).map_err(damaged)?;
    fs::create_dir_all(out).map_err(|e| file_error(out, e))?;
    if fs::read_dir(out).map_err(|e| file_error(out, e))?.next().is_some() {
        return Err(file_error(out, "is not empty; name a new folder"));
    }
    let mut copy = Copy { out, levels: Levels::default(), bundle: Vec::new() };
    copy.tiled(dir, parts.tiled())?;
    for batch in &parts.journal.batches {
        for (index, entry) in (batch.first..).zip(&batch.entries) {
            if index >= parts.tiled() {
                copy.push(entry)?;
            }
        }
    }
    let (checkpoint, note) =
        newest(&inventory, &parts).ok_or_else(|| damaged("there is no checkpoint".to_owned()))?;
    if copy.levels.frontier().root() != checkpoint.head.root {
        return Err(damaged(
            "the entries do not have the root of the newest checkpoint".to_owned(),
        ));
    }
    copy.finish(note)?;
    // What the verifier needs besides: who vouched for later keys, whose cosignatures
    // there are, and a journal with nothing in it.
    for batch in &parts.journal.batches {
        vouch(out, batch)?;
    }
    let is_kept = |name: &&String| {
        let is_note = [ROTATIONS, COSIGNED].iter().any(|folder| name.starts_with(folder));
        is_note || *name == PUBLIC
    };
    for name in inventory.others.iter().filter(is_kept) {
        if let Some(bytes) = read_file(&RealDisk, &dir.join(name))? {
            put(out, name, &bytes)?;
        }
    }
    put(out, journal::FILE, &journal::begin(checkpoint.head.size))?;
    Ok(checkpoint.head.size)
}

/// Keeps the checkpoint that vouches for a new key, as settling would.
fn vouch(out: &Path, batch: &journal::Batch<'_>) -> Result<(), Error> {
    for (size, entry) in (batch.first + 1..).zip(&batch.entries) {
        if rotation(entry).is_ok_and(|key| key.is_some()) {
            put(out, &rotation_path(size), batch.note.as_bytes())?;
        }
    }
    Ok(())
}

fn newest<'a>(
    inventory: &'a Inventory,
    parts: &'a Parts<'_>,
) -> Option<(&'a Checkpoint, &'a [u8])> {
    match (parts.checkpoints.last(), parts.journal.batches.last()) {
        (Some((_, checkpoint)), Some(batch)) => Some((checkpoint, batch.note.as_bytes())),
        _ => parts.published.as_ref().zip(inventory.checkpoint.as_deref()),
    }
}

fn put(out: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = out.join(name);
    let folder = path.parent().unwrap_or(out);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, bytes))
        .map_err(|e| file_error(&path, e))
}

struct Copy<'a> {
    out: &'a Path,
    levels: Levels,
    /// The bundle that is being filled.
    bundle: Vec<Vec<u8>>,
}

impl Copy<'_> {
    fn tiled(&mut self, dir: &Path, tiled: u64) -> Result<(), Error> {
        for n in 0..tiled.div_ceil(WIDTH) {
            let tile = Tile { kind: Kind::Entries, n, width: (tiled - n * WIDTH).min(WIDTH) };
            let disk: &dyn Disk = &RealDisk;
            let bytes = tiles::read_tile(disk, dir, tile)?;
            let entries = tiles::unbundle(&bytes)
                .ok_or_else(|| file_error(&dir.join(tile.path()), "is no bundle of entries"))?;
            let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
            for entry in entries.into_iter().take(width) {
                self.push(entry)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), Error> {
        let mut full = Vec::new();
        self.levels.push_and(leaf(entry), |level, n, tile: &[Hash]| {
            full.push((Tile::full(Kind::Level(level), n), tile.to_vec()));
        });
        self.bundle.push(entry.to_vec());
        for (tile, hashes) in full {
            put(self.out, &tile.path(), hashes.as_flattened())?;
            if tile.kind == Kind::Level(0) {
                self.put_bundle(WIDTH)?;
                self.levels.forget(self.levels.size());
            }
        }
        Ok(())
    }

    fn put_bundle(&mut self, width: u64) -> Result<(), Error> {
        let n = (self.levels.size() - 1) / WIDTH;
        let tile = Tile { kind: Kind::Entries, n, width };
        let bundle = std::mem::take(&mut self.bundle);
        put(self.out, &tile.path(), &tiles::bundle(bundle.iter().map(Vec::as_slice)))
    }

    /// The partial ends, then the checkpoint over all.
    fn finish(mut self, note: &[u8]) -> Result<(), Error> {
        let size = self.levels.size();
        for level in 0..8 {
            let (n, width) = (count(size, level) / WIDTH, count(size, level) % WIDTH);
            if width > 0 {
                let tile = Tile { kind: Kind::Level(level), n, width };
                let row = self.levels.tile(level, n).unwrap_or_default();
                put(self.out, &tile.path(), row.as_flattened())?;
            }
        }
        if !self.bundle.is_empty() {
            self.put_bundle(size % WIDTH)?;
        }
        put(self.out, CHECKPOINT, note)
    }
}
