//! A copy of a ledger with all of it in C2SP tlog-tiles, for other people's tools. It
//! verifies as the ledger itself does.

use std::{fs, path::Path};

use crate::{
    Error, journal,
    state::{self, CHECKPOINT},
    tiles::{self, WIDTH, file_error},
};

/// Folders of signed notes beside the tiles.
const ROTATIONS: &str = "rotations";
const COSIGNED: &str = "cosigned";

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
    // What the verifier needs besides: who vouched for later keys, whose cosignatures
    // there are, and a journal with nothing in it.
    for folder in [ROTATIONS, COSIGNED] {
        copy(&dir.join(folder), &out.join(folder))?;
    }
    tiles::write(&out.join(journal::FILE), &journal::begin(contents.hashes.size()))?;
    let public = dir.join(state::PUBLIC);
    if let Some(key) = state::read_file(&public)? {
        tiles::write(&out.join(state::PUBLIC), &key)?;
    }
    Ok(contents.hashes.size())
}

/// Copies the files of a folder, where there is one.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(from).into_iter().flatten() {
        let path = entry.map_err(|e| file_error(from, e))?.path();
        if let (Some(name), Some(bytes)) = (path.file_name(), state::read_file(&path)?) {
            tiles::write(&to.join(name), &bytes)?;
        }
    }
    Ok(())
}
