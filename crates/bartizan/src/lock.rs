//! One process a data directory.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::trouble::{Hint, trouble};

/// The file whose lock is the directory's.
pub(crate) const LOCK_FILE: &str = "lock";
/// LIMIT: what is read of the file, which names its holder; it is for messages only.
const HOLDER_BYTES_MAX: u64 = 256;

/// The directory is ours until this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory where it is absent, and takes its lock for `verb`.
    pub(crate) fn take(dir: &Path, verb: &str) -> anyhow::Result<Self> {
        make(dir)?;
        let path = dir.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open `{}`", path.display()))
            .hint(format!("the data directory `{}` must be writable", dir.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(dir, &mut file)),
            Err(TryLockError::Error(error)) => {
                return Err(error)
                    .with_context(|| format!("cannot lock `{}`", path.display()))
                    .hint("the file system must support locks; some network file systems do not");
            }
        }
        let holder = format!("process {}, bartizan {verb}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(holder.as_bytes()))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self { _file: file })
    }
}

/// Who holds the directory, without taking or making anything.
pub(crate) fn holder(dir: &Path) -> std::io::Result<Option<String>> {
    let mut file = match File::open(dir.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A shared lock is given up again when `file` is dropped.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(name_of(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn taken(dir: &Path, file: &mut File) -> anyhow::Error {
    trouble(
        format!("the data directory `{}` is in use by {}", dir.display(), name_of(file)),
        "stop that process, or name another directory with `data_dir`; verbs speak to a running server by its socket",
    )
}

fn name_of(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(len) if len > 0 => crate::output::printable(text.trim()),
        _ => "another process".to_owned(),
    }
}

/// Only the owner may look into a data directory: it holds keys.
fn make(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data directory `{}`", dir.display()))
        .hint("name a directory that you may write to with `data_dir`, or BARTIZAN_DATA_DIR")
}

/// The socket of a server that may be running there.
pub(crate) fn socket(dir: &Path) -> PathBuf {
    dir.join(bartizan_core::constants::SOCKET_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_directory_and_the_message_names_it() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("data");
        let held = DirectoryLock::take(&dir, "serve").expect("free");
        let error = DirectoryLock::take(&dir, "keys").expect_err("taken");
        let expected = format!("process {}, bartizan serve", std::process::id());
        assert!(error.to_string().contains(&expected), "{error}");
        assert_eq!(holder(&dir).expect("readable"), Some(expected));
        drop(held);
        assert_eq!(holder(&dir).expect("readable"), None);
        DirectoryLock::take(&dir, "keys").expect("free again");
    }

    #[test]
    fn asking_who_holds_a_directory_makes_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("absent");
        assert_eq!(holder(&dir).expect("readable"), None);
        assert!(!dir.exists());
    }
}
