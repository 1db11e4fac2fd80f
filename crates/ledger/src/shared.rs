//! What the writer shows to readers: acknowledged entries alone.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    Error,
    disk::Disk,
    levels::Levels,
    note::{Head, VerifierKey},
    settle::Plan,
    source::{Cache, Source},
    tiles::WIDTH,
    tree::Hash,
};

/// Where the ledger stands. Held only for moments: never while a disk is waited for.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) levels: Levels,
    /// The index of the first entry in memory, a multiple of 256.
    pub(crate) entries_base: u64,
    pub(crate) entries: VecDeque<Arc<[u8]>>,
    pub(crate) head: Head,
    pub(crate) note: String,
    /// Witnesses' lines on the newest checkpoint.
    pub(crate) cosignatures: String,
    pub(crate) verifier: VerifierKey,
    /// Why nothing more is written.
    pub(crate) broken: Option<Error>,
}

impl State {
    /// Shows a batch that is durable.
    pub(crate) fn publish(
        &mut self,
        entries: impl Iterator<Item = (Hash, Arc<[u8]>)>,
        head: Head,
        note: String,
    ) {
        for (leaf, entry) in entries {
            self.levels.push(leaf);
            self.entries.push_back(entry);
        }
        self.head = head;
        self.note = note;
        self.cosignatures.clear();
    }

    /// What is to be settled, from the size that the tiles cover.
    pub(crate) fn plan(&self, from: u64, rotations: Vec<(u64, String)>) -> Plan {
        Plan {
            from,
            levels: self.levels.clone(),
            entries_base: self.entries_base,
            entries: self.entries.iter().cloned().collect(),
            note: self.note.clone(),
            rotations,
        }
    }

    /// Lets go of what the tiles hold by now.
    pub(crate) fn forget(&mut self, tiled: u64) {
        self.levels.forget(tiled);
        let base = tiled / WIDTH * WIDTH;
        let gone = usize::try_from(base.saturating_sub(self.entries_base)).unwrap_or(usize::MAX);
        self.entries.drain(..gone.min(self.entries.len()));
        self.entries_base = base;
    }

    pub(crate) fn checkpoint(&self) -> String {
        format!("{}{}", self.note, self.cosignatures)
    }
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    state: RwLock<State>,
    cache: Mutex<Cache>,
    /// Bytes of entries that wait to be written.
    queued: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, state: State) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            state: RwLock::new(state),
            cache: Mutex::default(),
            queued: AtomicUsize::new(0),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for an entry in the queue, or says that there is none.
    pub(crate) fn reserve(&self, bytes: usize, max: usize) -> Result<(), Error> {
        let had = self.queued.fetch_add(bytes, Ordering::Relaxed);
        if had.saturating_add(bytes) > max {
            self.release(bytes);
            return Err(Error::Busy);
        }
        Ok(())
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The tree's nodes: from memory, where the newest are, or verified from the tiles.
    /// What leaves the memory is on the disk by then, so the order of the two matters.
    pub(crate) fn source(&self) -> Source<'_, impl Fn(u32, u64) -> Option<Arc<[Hash]>>> {
        let edge = |level, n| self.read().levels.tile(level, n).map(Arc::from);
        Source { disk: &*self.disk, dir: &self.dir, edge, cache: &self.cache }
    }

    /// The entries from an index to the end of its bundle at the most, none beyond `size`.
    pub(crate) fn entries(&self, from: u64, size: u64) -> Result<Vec<Arc<[u8]>>, Error> {
        let end = size.min((from / WIDTH + 1) * WIDTH);
        let wanted = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
        let state = self.read();
        if let Some(skip) = from.checked_sub(state.entries_base) {
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            return Ok(state.entries.iter().skip(skip).take(wanted).cloned().collect());
        }
        drop(state);
        let skip = usize::try_from(from % WIDTH).unwrap_or(usize::MAX);
        let bundle = self.source().bundle(from / WIDTH)?;
        Ok(bundle.into_iter().skip(skip).take(wanted).map(Arc::from).collect())
    }
}
