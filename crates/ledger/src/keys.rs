//! The signing key's file, and what a crash may have left of a change of keys.

use std::path::Path;

use bartizan_core::Cx;

use crate::{
    Error,
    disk::{Disk, Readers},
    ledger::Settings,
    note::SigningKey,
    state::{Loaded, PUBLIC},
    tiles::{Shelf, file_error, read_file},
};

pub(crate) const KEY: &str = "ledger.key";
/// The key that follows, from before its entry is written until it is in force.
pub(crate) const NEXT_KEY: &str = "ledger.key.next";

/// The key of a new ledger: the one that was given, or one made unless a start that was
/// cut short made it already.
pub(crate) fn create(
    disk: &dyn Disk,
    dir: &Path,
    settings: &Settings,
    cx: &Cx,
) -> Result<SigningKey, Error> {
    let origin = &settings.origin;
    let mut shelf = Shelf::new(disk, dir);
    let key = match (&settings.key, read(disk, dir, KEY)?) {
        (Some(given), _) if given.name() != origin => {
            let problem = format!("it is named `{}`, and the log `{origin}`", given.name());
            return Err(Error::Key { problem });
        }
        (None, Some(key)) if key.name() == origin => key,
        (given, _) => {
            let key = match given {
                Some(given) => SigningKey::parse(&given.encode())?,
                None => SigningKey::generate(origin, cx)?,
            };
            shelf.put(KEY, format!("{}\n", key.encode()).as_bytes(), Readers::Owner)?;
            key
        }
    };
    shelf.put(PUBLIC, format!("{}\n", key.verifier()).as_bytes(), Readers::Others)?;
    shelf.settle()?;
    Ok(key)
}

/// The key in force of a ledger that has entries.
///
/// # Errors
/// When it is not there, or is not the one that signed the newest checkpoint.
pub(crate) fn in_force(disk: &dyn Disk, dir: &Path, loaded: &Loaded) -> Result<SigningKey, Error> {
    let current = read(disk, dir, KEY)?;
    let next = read(disk, dir, NEXT_KEY)?;
    let key = match (next, loaded.rotations.last()) {
        // The entry that puts the next key in force was acknowledged, or may have been.
        (Some(next), Some(rotation)) if next.verifier() == rotation.key => {
            promote(disk, dir)?;
            next
        }
        (next, _) => {
            let path = dir.join(KEY);
            let missing = "is missing, and the ledger has entries; put the key back, or start with another data directory";
            let key = current.ok_or_else(|| file_error(&path, missing))?;
            check(dir, loaded, &key)?;
            if next.is_some() {
                discard(disk, dir)?;
            }
            key
        }
    };
    check(dir, loaded, &key)?;
    Ok(key)
}

/// The key signed the newest checkpoint, and the one of the tiles unless another did.
fn check(dir: &Path, loaded: &Loaded, key: &SigningKey) -> Result<(), Error> {
    let verifier = key.verifier();
    let published = loaded.published.iter().filter(|_| loaded.rotations.is_empty());
    for checkpoint in loaded.newest.iter().chain(published) {
        let head = &checkpoint.head;
        if head.origin != verifier.name || !checkpoint.is_signed_by(&verifier) {
            let problem = format!("the checkpoint of size {} is not signed by `{KEY}`", head.size);
            return Err(Error::Damaged { path: dir.display().to_string(), problem });
        }
    }
    match loaded.rotations.last() {
        Some(rotation) if rotation.key != verifier => {
            let problem =
                format!("`{KEY}` is not the key that entry {} put in force", rotation.size - 1);
            Err(Error::Damaged { path: dir.display().to_string(), problem })
        }
        _ => Ok(()),
    }
}

/// Keeps the next key for good, before anything is signed with it.
pub(crate) fn keep_next(disk: &dyn Disk, dir: &Path, key: &SigningKey) -> Result<(), Error> {
    let mut shelf = Shelf::new(disk, dir);
    shelf.put(NEXT_KEY, format!("{}\n", key.encode()).as_bytes(), Readers::Owner)?;
    shelf.settle()
}

/// Puts the next key in the place of the current one.
pub(crate) fn promote(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let next = dir.join(NEXT_KEY);
    disk.rename(&next, &dir.join(KEY))
        .and_then(|()| disk.sync_folder(dir))
        .map_err(|e| file_error(&next, e))
}

/// Drops a next key whose entry never was acknowledged.
fn discard(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let next = dir.join(NEXT_KEY);
    disk.remove_file(&next).and_then(|()| disk.sync_folder(dir)).map_err(|e| file_error(&next, e))
}

fn read(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<SigningKey>, Error> {
    let path = dir.join(name);
    let Some(bytes) = read_file(disk, &path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| file_error(&path, "is no text"))?;
    SigningKey::parse(&text).map(Some).map_err(|e| file_error(&path, e))
}
