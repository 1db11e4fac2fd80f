//! What the ledger asks of a disk, few operations that tests can let fail one by one.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The largest file of a ledger that is read at once, in bytes. The journal, the
/// largest, moves into tiles long before.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// A file that only grows.
pub(crate) trait Append: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything appended would survive a loss of power.
    fn sync(&mut self) -> io::Result<()>;
}

/// Held while it lives.
pub(crate) trait Lock: Send {}

/// A disk. Nothing is durable before the file, and the folder that names it, are synced.
pub(crate) trait Disk: Send + Sync {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn list(&self, folder: &Path) -> io::Result<Vec<Item>>;
    /// Makes one folder; one that is there already is fine.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes or replaces a file that only its owner may write, and syncs it.
    fn write(&self, path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()>;
    /// Makes or replaces a file that grows.
    fn begin(&self, path: &Path) -> io::Result<Box<dyn Append>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes the lock, or says with `WouldBlock` that another process has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone: it holds a private key.
    Owner,
    /// Whomever the process's mask allows.
    Others,
}

/// The operating system's disk.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Lock for File {}

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            items.push(Item { name, is_folder: entry.file_type()?.is_dir() });
        }
        Ok(items)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            made => made,
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
        let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
        if readers == Readers::Owner {
            // A file left over from before may have had another mode.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn begin(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
