//! Which files a ledger's folder has, taken so that a ledger in use does not look damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    Error,
    disk::Disk,
    journal,
    state::CHECKPOINT,
    tiles::{Kind, Tile, file_error, read_file},
};

/// How often a folder is looked at again that settled between two looks.
const LOOKS_MAX: usize = 8;
/// LIMIT: folders in folders; the deepest of ours is `tile/0/x018/x446/x744/x073/x709/551.p`.
const FOLDERS_DEEP: usize = 12;

/// A folder at one moment.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) journal: Option<Vec<u8>>,
    /// The widths of which there are files, by tile.
    pub(crate) tiles: BTreeMap<(Kind, u64), BTreeSet<u64>>,
    /// Every other file, by its path below the folder.
    pub(crate) others: Vec<String>,
}

impl Inventory {
    /// First the checkpoint, then the names, then the journal: every tile that is named
    /// is then covered by the checkpoint or by the journal, unless the journal was
    /// replaced in between, which its first bytes tell.
    pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Result<Self, Error> {
        let mut looks = 0;
        loop {
            let mut inventory =
                Self { checkpoint: read_file(disk, &dir.join(CHECKPOINT))?, ..Self::default() };
            inventory.list(disk, dir, "", 0)?;
            inventory.journal = read_file(disk, &dir.join(journal::FILE))?;
            looks += 1;
            let settled = read_file(disk, &dir.join(CHECKPOINT))? != inventory.checkpoint;
            if !settled || looks == LOOKS_MAX {
                return Ok(inventory);
            }
        }
    }

    fn list(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        below: &str,
        depth: usize,
    ) -> Result<(), Error> {
        let folder = dir.join(below);
        let items = match disk.list(&folder) {
            // A folder of partial tiles goes when the full one has come.
            Err(e) if depth > 0 && e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            items => items.map_err(|e| file_error(&folder, e))?,
        };
        for item in items {
            let name = if below.is_empty() { item.name } else { format!("{below}/{}", item.name) };
            if item.is_folder && depth < FOLDERS_DEEP {
                self.list(disk, dir, &name, depth + 1)?;
            } else if let Some(tile) = Tile::parse(&name).filter(|_| !item.is_folder) {
                self.tiles.entry((tile.kind, tile.n)).or_default().insert(tile.width);
            } else {
                self.others.push(name);
            }
        }
        Ok(())
    }

    /// The widths of which a tile has files.
    pub(crate) fn widths(&self, kind: Kind, n: u64) -> impl Iterator<Item = u64> {
        self.tiles.get(&(kind, n)).into_iter().flatten().copied()
    }

    pub(crate) fn has(&self, tile: Tile) -> bool {
        self.tiles.get(&(tile.kind, tile.n)).is_some_and(|widths| widths.contains(&tile.width))
    }
}
