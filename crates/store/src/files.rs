//! Files: read with a limit, written whole or not at all, seen by their owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// The whole text of a file of at most `bytes_max` bytes.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String> {
    let fail = |source| Error::Io { what: "read", path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(fail)?;
    file.take(bytes_max).read_to_string(&mut text).map_err(fail)?;
    Ok(text)
}

/// Writes a file for its owner only, so that after a crash either the old or the new one is there.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let fail = |source| failed("write", path, source);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(fail)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&fresh, path)) {
        // Half a file, which may hold half a key.
        drop(fs::remove_file(&fresh));
        return Err(fail(error));
    }
    sync_dir(path)
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| failed("sync", dir, source))
}

/// Makes the directory if it is missing, and finds out whether it can be written.
pub(crate) fn prepare_dir(dir: &Path) -> Result<()> {
    make_dir(dir)?;
    let probe = dir.join(format!(".write-test-{}", std::process::id()));
    let written = private(&probe).and_then(|file| file.sync_all());
    let removed = fs::remove_file(&probe);
    written.and(removed).map_err(|source| failed("write to", dir, source))
}

/// Opens a file for writing; it is made for its owner only when it is missing.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Makes a file for its owner only; what is there, be it a link to nowhere, is in the way.
pub(crate) fn new(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Makes a folder for its owner only, where it is missing.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| failed("make the directory", dir, source))
}

/// The error that says what kept a file from being written.
pub(crate) fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { path },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full { path },
        _ => Error::Io { what, path, source },
    }
}
