//! What a ledger's directory holds, read and checked when it is opened.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use bartizan_core::Cx;

use crate::{
    Error, journal,
    note::{Checkpoint, Head, SigningKey},
    tiles::{self, Hashes, WIDTH, file_error},
};

pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const KEY: &str = "ledger.key";
pub(crate) const NEXT_KEY: &str = "ledger.key.next";
pub(crate) const PUBLIC: &str = "ledger.pub";
/// The largest file of the directory that is read at once, in bytes: the journal.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A directory's contents.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) hashes: Hashes,
    /// The newest signed checkpoint, none in a new ledger.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) note: String,
    /// The size that the tiles cover.
    pub(crate) tiled: u64,
    /// Entries beyond the tiles.
    pub(crate) tail: Vec<Vec<u8>>,
    /// Every checkpoint of the journal, by the size it covers.
    pub(crate) notes: Vec<(u64, String)>,
    /// Entries that a crash cut off before they were acknowledged.
    pub(crate) torn: usize,
}

pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file_error(path, e)),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            Err(file_error(path, format!("is larger than {FILE_BYTES_MAX} bytes")))
        }
        Ok(_) => fs::read(path).map(Some).map_err(|e| file_error(path, e)),
    }
}

/// How often a directory is read again that a running ledger changed meanwhile.
pub(crate) const READS_MAX: usize = 8;

/// Reads tiles, checkpoint and journal. Roots are compared; signatures are for the
/// caller. Where a running ledger moved entries meanwhile, it is read again.
///
/// # Errors
/// Says what does not fit together.
pub(crate) fn read(dir: &Path) -> Result<Contents, Error> {
    let published = || read_file(&dir.join(CHECKPOINT)).ok().flatten();
    let mut before = published();
    let mut read = read_files(dir, before.as_deref());
    for _ in 1..READS_MAX {
        let after = published();
        if read.is_ok() || before == after {
            break;
        }
        read = read_files(dir, after.as_deref());
        before = after;
    }
    read
}

fn read_files(dir: &Path, published: Option<&[u8]>) -> Result<Contents, Error> {
    let damaged = |problem: String| Error::Damaged { path: dir.display().to_string(), problem };
    let mut contents = Contents::default();
    if let Some(bytes) = published {
        let note = String::from_utf8(bytes.to_vec())
            .map_err(|_| damaged("`checkpoint` is no text".to_owned()))?;
        let checkpoint =
            Checkpoint::parse(&note).map_err(|e| damaged(format!("`checkpoint`: {e}")))?;
        let size = checkpoint.head.size;
        read_hashes(dir, size, &mut contents.hashes).map_err(damaged)?;
        if contents.hashes.root() != checkpoint.head.root {
            return Err(damaged(format!(
                "the tiles do not have the root of `checkpoint` at size {size}"
            )));
        }
        contents.tiled = size;
        contents.checkpoint = Some(checkpoint);
        contents.note = note;
    }
    match read_file(&dir.join(journal::FILE))? {
        Some(bytes) => replay(&mut contents, &bytes)
            .map_err(|problem| damaged(format!("`journal`: {problem}")))?,
        None if contents.checkpoint.is_some() => {
            return Err(damaged("`journal` is missing".to_owned()));
        }
        None => {}
    }
    Ok(contents)
}

/// Loads the leaf hashes from the lowest tiles.
fn read_hashes(dir: &Path, size: u64, hashes: &mut Hashes) -> Result<(), String> {
    for n in 0..size.div_ceil(WIDTH) {
        let width = (size - n * WIDTH).min(WIDTH);
        let (exact, full) = (tiles::path("0", n, width), tiles::path("0", n, WIDTH));
        let bytes = fs::read(dir.join(&exact)).or_else(|_| fs::read(dir.join(full)));
        let bytes = bytes.map_err(|e| format!("`{exact}`: {e}"))?;
        let (tile, rest) = bytes.as_chunks::<32>();
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        if tile.len() < width || !rest.is_empty() {
            return Err(format!("`{exact}` is not {width} hashes long"));
        }
        for hash in tile.iter().take(width) {
            hashes.push_leaf(*hash);
        }
    }
    Ok(())
}

fn replay(contents: &mut Contents, bytes: &[u8]) -> Result<(), String> {
    let read = journal::read(bytes)?;
    let tiled = contents.tiled;
    if bytes.is_empty() || read.whole == 0 {
        return if tiled == 0 {
            Ok(())
        } else {
            Err("it is cut before its first record".to_owned())
        };
    }
    if read.base > tiled {
        return Err(format!("it begins at entry {}, and the tiles end at {tiled}", read.base));
    }
    contents.torn = read.torn;
    let mut size = read.base;
    let mut notes = read.checkpoints.into_iter().peekable();
    for (i, entry) in read.entries.into_iter().enumerate() {
        if size < tiled {
            let known = contents.hashes.level(0, size, size + 1).and_then(|leaf| leaf.first());
            if known != Some(&crate::tree::leaf(&entry)) {
                return Err(format!("its entry {size} is not the one of the tiles"));
            }
        } else {
            contents.hashes.push(&entry);
            contents.tail.push(entry);
        }
        size += 1;
        while let Some((_, note)) = notes.next_if(|(covered, _)| *covered == i + 1) {
            keep(contents, size, note)?;
        }
    }
    if size < tiled && size != read.base {
        return Err(format!("it ends at entry {size}, and the tiles end at {tiled}"));
    }
    Ok(())
}

/// Takes over a checkpoint of the journal, after its root was compared.
fn keep(contents: &mut Contents, size: u64, note: String) -> Result<(), String> {
    let checkpoint =
        Checkpoint::parse(&note).map_err(|e| format!("the checkpoint after entry {size}: {e}"))?;
    if checkpoint.head.size != size || contents.hashes.root_at(size) != Some(checkpoint.head.root) {
        return Err(format!(
            "the checkpoint after entry {size} is not that of the entries before it"
        ));
    }
    contents.notes.push((size, note.clone()));
    if size > contents.tiled {
        contents.checkpoint = Some(checkpoint);
        contents.note = note;
    }
    Ok(())
}

/// The signing key, made when there is none and the ledger is new.
pub(crate) fn key(dir: &Path, origin: &str, is_new: bool, cx: &Cx) -> Result<SigningKey, Error> {
    let path = dir.join(KEY);
    if let Some(bytes) = read_file(&path)? {
        let text = String::from_utf8(bytes).map_err(|_| file_error(&path, "is no text"))?;
        return SigningKey::parse(&text).map_err(|e| file_error(&path, e));
    }
    if !is_new {
        return Err(file_error(
            &path,
            "is missing, and the ledger is not new; put the key back, or start with another data directory",
        ));
    }
    let key = SigningKey::generate(origin, cx)?;
    write_private(&path, &key.encode())?;
    tiles::write(&dir.join(PUBLIC), format!("{}\n", key.verifier()).as_bytes())?;
    Ok(key)
}

/// Writes a file that only its owner reads.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let problem = |e: std::io::Error| file_error(path, e);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(problem)?;
    file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(problem)
}

/// Where the checkpoint that vouches for a rotation is kept: both keys signed it.
pub(crate) fn rotation_path(size: u64) -> String {
    format!("rotations/{size:020}")
}

pub(crate) fn keep_rotation(dir: &Path, size: u64, note: &str) -> Result<(), Error> {
    tiles::write(&dir.join(rotation_path(size)), note.as_bytes())
}

/// Settles a rotation that a crash interrupted: the next key is in force exactly
/// when a checkpoint carries its signature.
pub(crate) fn settle_rotation(dir: &Path, contents: &Contents) -> Result<(), Error> {
    let next: PathBuf = dir.join(NEXT_KEY);
    let Some(bytes) = read_file(&next)? else { return Ok(()) };
    let verifier =
        SigningKey::parse(&String::from_utf8_lossy(&bytes)).map(|key| key.verifier()).ok();
    let signed = |note: &String| {
        let checkpoint = Checkpoint::parse(note).ok();
        checkpoint.zip(verifier.as_ref()).is_some_and(|(note, key)| note.is_signed_by(key))
    };
    let done = match contents.notes.iter().find(|(_, note)| signed(note)) {
        Some((size, note)) => {
            keep_rotation(dir, *size, note)?;
            fs::rename(&next, dir.join(KEY))
        }
        None => fs::remove_file(&next),
    };
    done.map_err(|e| file_error(&next, e))
}

/// Brings tiles and checkpoint up to the journal's end, and begins a new journal.
pub(crate) fn materialise(
    dir: &Path,
    tiled: u64,
    hashes: &Hashes,
    tail: &[Vec<u8>],
    note: &str,
) -> Result<(), Error> {
    let size = hashes.size();
    if size > tiled {
        let first = tiled - tiled % WIDTH;
        let mut entries = match tiled - first {
            0 => Vec::new(),
            width => tiles::read_bundle(dir, first / WIDTH, width)?,
        };
        entries.extend_from_slice(tail);
        tiles::write_bundles(dir, first, &entries)?;
        tiles::write_hashes(dir, hashes, tiled)?;
        tiles::write(&dir.join(CHECKPOINT), note.as_bytes())?;
    }
    tiles::write(&dir.join(journal::FILE), &journal::begin(size))
}

/// A head, as the newest checkpoint has it.
pub(crate) fn head(contents: &Contents, origin: &str) -> Head {
    match &contents.checkpoint {
        Some(checkpoint) => checkpoint.head.clone(),
        None => Head { origin: origin.to_owned(), size: 0, root: crate::tree::empty() },
    }
}
