//! The right edge of the tree in memory, as tiles: per level, the hashes of the last
//! tile, and of those before it that are not on the disk yet.

use crate::{
    tiles::{HEIGHT, WIDTH},
    tree::{Frontier, Hash, subtree},
};

/// The hashes of one level from `base` on.
#[derive(Clone, Debug, Default)]
struct Row {
    /// The index of the first hash kept, a multiple of [`WIDTH`].
    base: u64,
    hashes: Vec<Hash>,
}

impl Row {
    fn end(&self) -> u64 {
        self.base + len(&self.hashes)
    }

    fn slice(&self, from: u64, to: u64) -> Option<&[Hash]> {
        let from = usize::try_from(from.checked_sub(self.base)?).ok()?;
        let to = usize::try_from(to.checked_sub(self.base)?).ok()?;
        self.hashes.get(from..to)
    }
}

/// The rows of tiles, lowest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels {
    size: u64,
    rows: Vec<Row>,
}

impl Levels {
    /// The edge of a tree of `size` leaves, from the last, partial tile of each level.
    pub(crate) fn load<E>(
        size: u64,
        mut tile: impl FnMut(u32, u64, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut rows = Vec::new();
        for level in 0.. {
            let count = count(size, level);
            if count == 0 {
                break;
            }
            let (n, width) = (count / WIDTH, count % WIDTH);
            let hashes = if width == 0 { Vec::new() } else { tile(level, n, width)? };
            rows.push(Row { base: n * WIDTH, hashes });
        }
        Ok(Self { size, rows })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        self.push_and(leaf, |_, _, _| ());
    }

    /// Adds a whole tile of leaves to a tree that ends with one, given the tile's hash.
    pub(crate) fn push_tile(&mut self, hash: Hash, full: impl FnMut(u32, u64, &[Hash])) {
        debug_assert!(self.size.is_multiple_of(WIDTH));
        self.size += WIDTH;
        if self.rows.is_empty() {
            self.rows.push(Row::default());
        }
        if let Some(row) = self.rows.first_mut() {
            *row = Row { base: self.size, hashes: Vec::new() };
        }
        self.push_at(1, hash, full);
    }

    /// Adds a leaf; `full` hears of each tile that it completes: level, number, hashes.
    pub(crate) fn push_and(&mut self, leaf: Hash, full: impl FnMut(u32, u64, &[Hash])) {
        self.size += 1;
        self.push_at(0, leaf, full);
    }

    fn push_at(&mut self, lowest: u32, hash: Hash, mut full: impl FnMut(u32, u64, &[Hash])) {
        let mut hash = hash;
        for level in lowest.. {
            let index = usize::try_from(level).unwrap_or(usize::MAX);
            if self.rows.len() == index {
                self.rows.push(Row::default());
            }
            let Some(row) = self.rows.get_mut(index) else { return };
            row.hashes.push(hash);
            let end = row.end();
            if !end.is_multiple_of(WIDTH) {
                return;
            }
            let Some(tile) = row.slice(end - WIDTH, end) else { return };
            full(level, end / WIDTH - 1, tile);
            hash = subtree(tile);
        }
    }

    /// The hashes `n * 256..` of a level that are in memory, a tile of them at the most.
    pub(crate) fn tile(&self, level: u32, n: u64) -> Option<&[Hash]> {
        let row = self.rows.get(usize::try_from(level).ok()?)?;
        let from = n.checked_mul(WIDTH)?;
        row.slice(from, row.end().min(from.checked_add(WIDTH)?)).filter(|tile| !tile.is_empty())
    }

    /// Lets go of what the tiles of a tree of `size` leaves have on the disk.
    pub(crate) fn forget(&mut self, size: u64) {
        for (level, row) in (0..).zip(&mut self.rows) {
            let base = count(size, level) / WIDTH * WIDTH;
            let gone = usize::try_from(base.saturating_sub(row.base)).unwrap_or(usize::MAX);
            row.hashes.drain(..gone.min(row.hashes.len()));
            row.base = row.base.max(base);
        }
    }

    /// The tree's peaks: each level's last tile has those of its height.
    pub(crate) fn frontier(&self) -> Frontier {
        let mut peaks = Vec::new();
        for row in self.rows.iter().rev() {
            let end = row.end();
            let (mut at, mut rest) = (end - end % WIDTH, end % WIDTH);
            while rest > 0 {
                let width = 1 << rest.ilog2();
                peaks.extend(row.slice(at, at + width).map(subtree));
                at += width;
                rest -= width;
            }
        }
        Frontier::new(self.size, peaks)
    }
}

/// How many hashes a level of tiles has in a tree of `size` leaves.
pub(crate) fn count(size: u64, level: u32) -> u64 {
    size.checked_shr(HEIGHT * level).unwrap_or(0)
}

fn len(hashes: &[Hash]) -> u64 {
    u64::try_from(hashes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use crate::tree::leaf;

    #[test]
    fn the_edge_has_the_root_of_the_whole_tree_at_every_size() {
        let (mut levels, mut frontier) = (Levels::default(), Frontier::default());
        let mut completed = Vec::new();
        for i in 0_u64..66_000 {
            let hash = leaf(&i.to_be_bytes());
            levels.push_and(hash, |level, n, tile| {
                assert_eq!(tile.len(), 256);
                completed.push((level, n));
            });
            frontier.push(hash);
            if i % 97 == 0 || i > 65_500 {
                assert_eq!(levels.frontier(), frontier, "at {}", i + 1);
            }
            if i % 700 == 0 {
                levels.forget(i);
            }
        }
        assert_eq!(completed.len(), 257 + 1);
        assert!(completed.contains(&(1, 0)) && completed.contains(&(0, 256)));
        assert!(levels.tile(0, 3).is_none() && levels.tile(2, 0).is_some_and(|t| t.len() == 1));
        let loaded = Levels::load(66_000, |level, n, width| {
            let tile = levels.tile(level, n).expect("the edge");
            Ok::<_, ()>(tile[..usize::try_from(width).expect("small")].to_vec())
        });
        assert_eq!(loaded.expect("loads").frontier(), frontier);
    }
}
