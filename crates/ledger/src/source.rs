//! Reads hashes and entries back from the tiles, and believes none that the signed
//! root does not cover: what is shown or proved was acknowledged, or it is an error.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Error,
    disk::Disk,
    proof::Nodes,
    tiles::{self, HEIGHT, Kind, Tile, WIDTH, file_error},
    tree::{Hash, leaf, subtree},
};

/// Verified tiles kept in memory, of 8 KiB each.
const CACHED: usize = 128;

/// Full tiles that were verified, the oldest of which makes room.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    tiles: HashMap<(u32, u64), Arc<[Hash]>>,
    order: VecDeque<(u32, u64)>,
}

impl Cache {
    fn keep(&mut self, key: (u32, u64), tile: Arc<[Hash]>) {
        if self.tiles.insert(key, tile).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > CACHED {
            let oldest = self.order.pop_front();
            oldest.map(|key| self.tiles.remove(&key));
        }
    }
}

/// The right edge of the tree, which is known to have the signed root.
pub(crate) trait Edge {
    /// A tile of which anything is in memory, as far as it has grown.
    fn tile(&self, level: u32, n: u64) -> Option<Arc<[Hash]>>;
}

impl<F: Fn(u32, u64) -> Option<Arc<[Hash]>>> Edge for F {
    fn tile(&self, level: u32, n: u64) -> Option<Arc<[Hash]>> {
        self(level, n)
    }
}

/// Tiles in memory first, then full ones from the disk.
pub(crate) struct Source<'a, E> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    pub(crate) edge: E,
    pub(crate) cache: &'a Mutex<Cache>,
}

impl<E: Edge> Source<'_, E> {
    pub(crate) fn tile(&self, level: u32, n: u64) -> Result<Arc<[Hash]>, Error> {
        if let Some(tile) = self.edge.tile(level, n) {
            return Ok(tile);
        }
        let cached = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tile) = cached.tiles.get(&(level, n)) {
            return Ok(tile.clone());
        }
        drop(cached);
        let tile = self.read(level, n)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.keep((level, n), tile.clone());
        Ok(tile)
    }

    /// A full tile from the disk; the tile above vouches for it, up to the edge.
    fn read(&self, level: u32, n: u64) -> Result<Arc<[Hash]>, Error> {
        let name = Tile::full(Kind::Level(level), n).path();
        let path = self.dir.join(&name);
        let bytes =
            tiles::read_file(self.disk, &path)?.ok_or_else(|| self.damaged(&name, "is missing"))?;
        let tile = tiles::hashes(&bytes)
            .filter(|tile| u64::try_from(tile.len()) == Ok(WIDTH))
            .ok_or_else(|| self.damaged(&name, "is not 256 hashes long"))?;
        let above = self.tile(level + 1, n / WIDTH)?;
        let within = usize::try_from(n % WIDTH).unwrap_or(usize::MAX);
        if above.get(within) != Some(&subtree(tile)) {
            return Err(self.damaged(&name, "is not what was signed"));
        }
        Ok(tile.into())
    }

    /// The entries of a full bundle.
    pub(crate) fn bundle(&self, n: u64) -> Result<Vec<Vec<u8>>, Error> {
        let name = Tile::full(Kind::Entries, n).path();
        let bytes = tiles::read_file(self.disk, &self.dir.join(&name))?
            .ok_or_else(|| self.damaged(&name, "is missing"))?;
        let entries = tiles::unbundle(&bytes)
            .ok_or_else(|| self.damaged(&name, "is no bundle of entries"))?;
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
        if *leaves != *self.tile(0, n)? {
            return Err(self.damaged(&name, "is not what was signed"));
        }
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn damaged(&self, name: &str, problem: &str) -> Error {
        Error::Damaged {
            path: self.dir.display().to_string(),
            problem: format!("`{name}` {problem}"),
        }
    }
}

impl<E: Edge> Nodes for Source<'_, E> {
    type Error = Error;

    fn node(&self, level: u32, index: u64) -> Result<Hash, Error> {
        let within = level % HEIGHT;
        let first = index << within;
        let tile = self.tile(level / HEIGHT, first / WIDTH)?;
        let from = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let row = tile.get(from..from.saturating_add(1 << within));
        row.map(subtree).ok_or_else(|| file_error(self.dir, "the tree ends before a proof does"))
    }
}
