//! A copy of a ledger as nothing but C2SP tlog-tiles, for other people's tools.

use std::{fs, path::Path};

use crate::{
    Error,
    state::{self, CHECKPOINT},
    tiles::{self, WIDTH, file_error},
};

/// Writes tiles, bundles and the newest checkpoint into an empty folder; gives the size.
///
/// # Errors
/// When the ledger does not fit together, or the folder is not empty.
pub fn export(dir: &Path, out: &Path) -> Result<u64, Error> {
    let contents = state::read(dir)?;
    fs::create_dir_all(out).map_err(|e| file_error(out, e))?;
    if fs::read_dir(out).map_err(|e| file_error(out, e))?.next().is_some() {
        return Err(file_error(out, "is not empty; name a new folder"));
    }
    let mut entries = Vec::new();
    for n in 0..contents.tiled.div_ceil(WIDTH) {
        entries.extend(tiles::read_bundle(dir, n, (contents.tiled - n * WIDTH).min(WIDTH))?);
    }
    entries.extend(contents.tail);
    tiles::write_bundles(out, 0, &entries)?;
    tiles::write_hashes(out, &contents.hashes, 0)?;
    tiles::write(&out.join(CHECKPOINT), contents.note.as_bytes())?;
    let public = dir.join(state::PUBLIC);
    if let Some(key) = state::read_file(&public)? {
        tiles::write(&out.join(state::PUBLIC), &key)?;
    }
    Ok(contents.hashes.size())
}
