//! The directory in the layout of C2SP tlog-tiles: hashes in tiles of 256, entries
//! in bundles of 256, each written once and then only read.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    proof::Nodes,
    tree::{Hash, leaf, node},
};

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const WIDTH: u64 = 256;
/// A tile's height: each level of tiles stands this many levels of the tree above the last.
const HEIGHT: u32 = 8;
/// Levels of tiles; the tree has at most 2^63 leaves.
const LEVELS_MAX: u32 = 7;

pub(crate) fn file_error(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::File { path: path.display().to_string(), problem: problem.to_string() }
}

/// `001`, `x001/234`: thousands in folders.
fn numbered(n: u64) -> String {
    let mut path = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// A tile's path below the directory; `width` below 256 for a partial one.
pub(crate) fn path(kind: &str, n: u64, width: u64) -> String {
    let partial = if width == WIDTH { String::new() } else { format!(".p/{width}") };
    format!("tile/{kind}/{}{partial}", numbered(n))
}

/// Writes a file whole or not at all, on the disk when this returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let problem = |e: std::io::Error| file_error(path, e);
    let parent = path.parent().ok_or_else(|| file_error(path, "has no folder"))?;
    fs::create_dir_all(parent).map_err(problem)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = parent.join(name);
    let mut file = fs::File::create(&temporary).map_err(problem)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(problem)?;
    fs::rename(&temporary, path).map_err(problem)?;
    fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(problem)
}

/// The hashes of a tree, level by level, in memory: 64 bytes an entry at the most.
#[derive(Debug, Default)]
pub(crate) struct Hashes(Vec<Vec<Hash>>);

impl Hashes {
    pub(crate) fn size(&self) -> u64 {
        self.0.first().map_or(0, |leaves| u64::try_from(leaves.len()).unwrap_or(u64::MAX))
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.push_leaf(leaf(entry));
    }

    pub(crate) fn push_leaf(&mut self, mut hash: Hash) {
        for level in 0.. {
            if self.0.len() == level {
                self.0.push(Vec::new());
            }
            let Some(hashes) = self.0.get_mut(level) else { return };
            hashes.push(hash);
            let [.., left, right] = hashes.as_slice() else { return };
            if !hashes.len().is_multiple_of(2) {
                return;
            }
            hash = node(left, right);
        }
    }

    pub(crate) fn root(&self) -> Hash {
        self.root_at(self.size()).unwrap_or_else(crate::tree::empty)
    }

    /// The root when the tree had so many entries.
    pub(crate) fn root_at(&self, size: u64) -> Option<Hash> {
        if size == 0 {
            return Some(crate::tree::empty());
        }
        (size <= self.size()).then(|| crate::proof::range(self, 0, size).ok())?
    }

    /// The hashes of one level, `from..to`.
    pub(crate) fn level(&self, level: u32, from: u64, to: u64) -> Option<&[Hash]> {
        let level = self.0.get(usize::try_from(level).ok()?)?;
        level.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
    }

    pub(crate) fn truncate(&mut self, size: u64) {
        for (level, hashes) in self.0.iter_mut().enumerate() {
            let keep = size >> u32::try_from(level).unwrap_or(63).min(63);
            hashes.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
    }
}

impl Nodes for Hashes {
    type Error = ();

    fn node(&self, level: u32, index: u64) -> Result<Hash, ()> {
        self.level(level, index, index + 1).and_then(|hashes| hashes.first()).copied().ok_or(())
    }
}

/// Writes the hash tiles of the tree between two sizes, and their partial ends.
pub(crate) fn write_hashes(dir: &Path, hashes: &Hashes, from: u64) -> Result<(), Error> {
    let size = hashes.size();
    for level in 0..LEVELS_MAX {
        let have = size >> (HEIGHT * level);
        if have == 0 {
            break;
        }
        let first = (from >> (HEIGHT * level)) / WIDTH;
        for n in first..have.div_ceil(WIDTH) {
            let width = (have - n * WIDTH).min(WIDTH);
            let tile =
                hashes.level(HEIGHT * level, n * WIDTH, n * WIDTH + width).unwrap_or_default();
            let target = dir.join(path(&level.to_string(), n, width));
            if !target.exists() {
                write(&target, tile.as_flattened())?;
            }
        }
    }
    Ok(())
}

/// Writes the bundles that hold `entries`, the first of which has the index `from`,
/// a multiple of 256.
pub(crate) fn write_bundles(dir: &Path, from: u64, entries: &[Vec<u8>]) -> Result<(), Error> {
    let bundles = entries.chunks(usize::try_from(WIDTH).unwrap_or(256));
    for (n, bundle) in (from / WIDTH..).zip(bundles) {
        let mut bytes = Vec::new();
        for entry in bundle {
            let length = u16::try_from(entry.len())
                .map_err(|_| Error::Entry { problem: "it is too long".to_owned() })?;
            bytes.extend(length.to_be_bytes());
            bytes.extend(entry);
        }
        let width = u64::try_from(bundle.len()).unwrap_or(WIDTH);
        write(&dir.join(path("entries", n, width)), &bytes)?;
    }
    Ok(())
}

/// Splits a bundle into its entries.
pub(crate) fn unbundle(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    Some(entries)
}

/// The entries of one bundle, from the widest file that holds `width` of them.
pub(crate) fn read_bundle(dir: &Path, n: u64, width: u64) -> Result<Vec<Vec<u8>>, Error> {
    let target = dir.join(path("entries", n, width));
    let full: PathBuf = dir.join(path("entries", n, WIDTH));
    let target = if target.exists() { target } else { full };
    let bytes = fs::read(&target).map_err(|e| file_error(&target, e))?;
    let mut entries =
        unbundle(&bytes).ok_or_else(|| file_error(&target, "is no bundle of entries"))?;
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    if entries.len() < width {
        return Err(file_error(
            &target,
            format!("holds {} entries, and {width} belong there", entries.len()),
        ));
    }
    entries.truncate(width);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        // The examples of C2SP tlog-tiles.
        assert_eq!(path("0", 1_234_067, WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path("entries", 0, 5), "tile/entries/000.p/5");
    }

    #[test]
    fn a_cut_bundle_is_none() {
        assert_eq!(unbundle(&[0, 1, b'a', 0, 0]), Some(vec![b"a".to_vec(), Vec::new()]));
        assert_eq!(unbundle(&[0, 2, b'a']), None);
        assert_eq!(unbundle(&[0]), None);
    }
}
