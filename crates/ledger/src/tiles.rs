//! The layout of C2SP tlog-tiles: hashes in tiles of 256, entries in bundles of 256,
//! each written once and then only read.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    disk::{Disk, Readers},
    journal::{put_entry, take_entry},
    tree::Hash,
};

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const WIDTH: u64 = 256;
/// A tile's height: each level of tiles stands this many levels of the tree above the last.
pub(crate) const HEIGHT: u32 = 8;
/// Levels of tiles; C2SP tlog-tiles numbers them 0 to 63, and 2^64 leaves fill eight.
const LEVELS: u32 = 8;
/// The folder of tiles and bundles.
pub(crate) const FOLDER: &str = "tile";

pub(crate) fn file_error(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::File { path: path.display().to_string(), problem: problem.to_string() }
}

/// What a tile's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// The hashes of a level.
    Level(u32),
    /// The entries themselves, beside the hashes of level 0.
    Entries,
}

/// A tile's or bundle's file, as its path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub(crate) kind: Kind,
    pub(crate) n: u64,
    /// [`WIDTH`] for a full one.
    pub(crate) width: u64,
}

impl Tile {
    pub(crate) fn full(kind: Kind, n: u64) -> Self {
        Self { kind, n, width: WIDTH }
    }

    /// The path below the ledger's folder.
    pub(crate) fn path(self) -> String {
        let kind = match self.kind {
            Kind::Level(level) => level.to_string(),
            Kind::Entries => "entries".to_owned(),
        };
        let partial =
            if self.width == WIDTH { String::new() } else { format!(".p/{}", self.width) };
        format!("{FOLDER}/{kind}/{}{partial}", numbered(self.n))
    }

    /// Reads a path below the ledger's folder, written exactly as [`Tile::path`] does.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => Kind::Level(level.parse().ok().filter(|level| *level < LEVELS)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|w| (1..256).contains(w))?),
            None => (rest, WIDTH),
        };
        let mut n = 0_u64;
        for group in number.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            n = n.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { kind, n, width };
        (tile.path() == path).then_some(tile)
    }
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

/// Splits a bundle into its entries.
pub(crate) fn unbundle(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        entries.push(take_entry(&mut bytes)?);
    }
    Some(entries)
}

pub(crate) fn bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    entries.for_each(|entry| put_entry(&mut bytes, entry));
    bytes
}

/// Splits a tile into its hashes; none when its length is no whole number of them.
pub(crate) fn hashes(bytes: &[u8]) -> Option<&[Hash]> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then_some(hashes)
}

/// A file's bytes, none when there is no such file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match disk.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absent(&e) => Ok(None),
        Err(e) => Err(file_error(path, e)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a partial tile or bundle, or the full one that has taken its place.
pub(crate) fn read_tile(disk: &dyn Disk, dir: &Path, tile: Tile) -> Result<Vec<u8>, Error> {
    let path = dir.join(tile.path());
    if let Some(bytes) = read_file(disk, &path)? {
        return Ok(bytes);
    }
    let full = dir.join(Tile::full(tile.kind, tile.n).path());
    read_file(disk, &full)?.ok_or_else(|| file_error(&path, "is missing"))
}

/// Puts whole files below a folder. They are durable once [`Shelf::settle`] returns.
pub(crate) struct Shelf<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    /// Folders made or added to since the last settling.
    touched: BTreeSet<PathBuf>,
}

impl<'a> Shelf<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, root: &'a Path) -> Self {
        Self { disk, root, touched: BTreeSet::new() }
    }

    /// Writes a file whole or not at all, in the place of one that is there.
    pub(crate) fn put(
        &mut self,
        name: &str,
        bytes: &[u8],
        readers: Readers,
    ) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        self.make_folders(&path)?;
        let temporary = temporary(&path);
        self.disk
            .write(&temporary, bytes, readers)
            .and_then(|()| self.disk.rename(&temporary, &path))
            .map_err(|e| file_error(&path, e))?;
        Ok(path)
    }

    /// Makes the folders above a file, and remembers to sync each: a folder that is
    /// not in its parent for good takes its files with it when the power goes.
    fn make_folders(&mut self, path: &Path) -> Result<(), Error> {
        let above: Vec<&Path> =
            path.ancestors().skip(1).take_while(|folder| folder.starts_with(self.root)).collect();
        for folder in above.into_iter().rev() {
            if !self.touched.contains(folder) {
                if folder != self.root {
                    self.disk.make_folder(folder).map_err(|e| file_error(folder, e))?;
                }
                self.touched.insert(folder.to_owned());
            }
        }
        Ok(())
    }

    /// Makes everything put so far durable.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        for folder in std::mem::take(&mut self.touched) {
            self.disk.sync_folder(&folder).map_err(|e| file_error(&folder, e))?;
        }
        Ok(())
    }
}

/// The name under which a file is written before it takes its place.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        // The examples of C2SP tlog-tiles.
        assert_eq!(Tile::full(Kind::Level(0), 1_234_067).path(), "tile/0/x001/x234/067");
        let partial = Tile { kind: Kind::Entries, n: 0, width: 5 };
        assert_eq!(partial.path(), "tile/entries/000.p/5");
    }

    #[test]
    fn other_ways_to_write_a_path_name_no_tile() {
        for path in [
            "tile/0/1",
            "tile/0/0001",
            "tile/00/001",
            "tile/8/001",
            "tile/0/x000/001",
            "tile/0/001/x002",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/05",
            "tile/0/001.p",
            "tile/0/+01",
            "tile/x/001",
            "tile/0/001.tmp",
            "tiles/0/001",
            "tile/0/x001/x234/067/",
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_cut_bundle_is_none() {
        let split = |bytes| unbundle(bytes).map(|entries| entries.concat());
        assert_eq!(split(&[0, 1, b'a', 0, 0]), Some(b"a".to_vec()));
        assert_eq!(split(&[0, 2, b'a']), None);
        assert_eq!(split(&[0]), None);
    }

    proptest! {
        #[test]
        fn a_path_reads_back(level in 0_u32..8, n in any::<u64>(), width in 1_u64..=256, entries in any::<bool>()) {
            let kind = if entries { Kind::Entries } else { Kind::Level(level) };
            let tile = Tile { kind, n, width };
            prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
        }

        #[test]
        fn any_path_and_any_bytes_are_read_without_a_panic(path in "tile/[0-9ex]{1,3}/[x0-9/.p]{0,20}", bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(tile) = Tile::parse(&path) {
                prop_assert_eq!(tile.path(), path);
            }
            if let Some(entries) = unbundle(&bytes) {
                prop_assert_eq!(bundle(entries.into_iter()), bytes);
            }
        }
    }
}
