//! The one thread that writes: batches of entries, each with its signed checkpoint,
//! one write and one flush a batch. It answers a request once the flush is done.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use bartizan_core::Id;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Entry, Error, Sealed,
    disk::{Append, Lock},
    journal, keys,
    note::{Checkpoint, Head, SigningKey},
    settle,
    shared::Shared,
    tiles::file_error,
    tree::{Frontier, Hash},
};

/// LIMIT: entries of one batch, so that no flush takes long.
const BATCH_ENTRIES_MAX: usize = 2048;
/// LIMIT: bytes after which a batch takes no more entries; one more entry and a note
/// still fit below what a journal's reader accepts.
const BATCH_BYTES_MAX: usize = journal::BODY_BYTES_MAX / 2;
/// The journal may outgrow its threshold this often while tiles are being written;
/// then appending waits for them.
const OVERDUE: usize = 8;

/// When the journal moves into tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    pub(crate) journal_entries: usize,
    pub(crate) journal_bytes: usize,
    /// Whether tiles are written beside the appending, or in between.
    pub(crate) in_background: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { journal_entries: 16_384, journal_bytes: 32 << 20, in_background: true }
    }
}

/// An entry on its way, and who waits for it.
pub(crate) struct Request {
    pub(crate) entry: Entry,
    pub(crate) id: Id,
    pub(crate) bytes: Arc<[u8]>,
    /// The hash of the bytes, made where the entry comes from: there are many of those,
    /// and one writer.
    pub(crate) leaf: Hash,
    pub(crate) reply: oneshot::Sender<Result<Sealed<Entry>, Error>>,
}

pub(crate) enum Command {
    Append(Request),
    Rotate(SigningKey, Request),
    /// Write tiles now; the answer says when they are published.
    Settle(oneshot::Sender<Result<(), Error>>),
}

/// Tiles being written beside the appending.
struct Settling {
    thread: JoinHandle<Result<(), Error>>,
    size: u64,
    /// How many of the rotations are in it.
    rotations: usize,
    /// The batches that came since.
    carried: Vec<u8>,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tuning: Tuning,
    pub(crate) key: SigningKey,
    pub(crate) journal: Box<dyn Append>,
    pub(crate) journal_bytes: usize,
    pub(crate) frontier: Frontier,
    /// The size that the tiles cover.
    pub(crate) tiled: u64,
    /// Checkpoints that vouch for new keys, not yet beside the tiles.
    pub(crate) rotations: Vec<(u64, String)>,
    settling: Option<Settling>,
    /// Given up last: what this thread wrote is then complete.
    _lock: Box<dyn Lock>,
}

/// What the thread starts from.
pub(crate) struct Start {
    pub(crate) tuning: Tuning,
    pub(crate) key: SigningKey,
    pub(crate) journal: Box<dyn Append>,
    pub(crate) journal_bytes: usize,
    pub(crate) frontier: Frontier,
    pub(crate) lock: Box<dyn Lock>,
}

impl Writer {
    /// A writer after everything was settled.
    pub(crate) fn new(shared: Arc<Shared>, start: Start) -> Self {
        let Start { tuning, key, journal, journal_bytes, frontier, lock } = start;
        let tiled = frontier.size();
        Self {
            shared,
            tuning,
            key,
            journal,
            journal_bytes,
            frontier,
            tiled,
            rotations: Vec::new(),
            settling: None,
            _lock: lock,
        }
    }

    /// Serves until every handle is gone, then settles.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.blocking_recv() {
            let mut batch = Vec::new();
            let mut bytes = 0;
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Append(request) => {
                        bytes += request.bytes.len();
                        batch.push(request);
                    }
                    Command::Rotate(key, request) => {
                        self.commit(std::mem::take(&mut batch), None);
                        self.commit(vec![request], Some(key));
                    }
                    Command::Settle(reply) => {
                        self.commit(std::mem::take(&mut batch), None);
                        let _gone = reply.send(self.settle_now());
                    }
                }
                if batch.len() < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX {
                    next = commands.try_recv().ok();
                }
            }
            self.commit(batch, None);
            self.tend();
        }
        // What is in the journal is safe; if this fails, the next start settles it.
        let _unsettled = self.settle_now();
    }

    fn broken(&self) -> Option<Error> {
        self.shared.read().broken.clone()
    }

    /// Stops the ledger for good: what could not be written once is not tried again
    /// over an unknown state of the disk.
    fn stop(&self, error: &Error) {
        let problem = error.to_string();
        self.shared.write().broken.get_or_insert(Error::ReadOnly { problem });
    }

    /// Writes a batch and answers each request of it.
    fn commit(&mut self, batch: Vec<Request>, rotation: Option<SigningKey>) {
        if batch.is_empty() {
            return;
        }
        let written = match self.broken() {
            Some(error) => Err(error),
            None => self.write(&batch, rotation).inspect_err(|error| self.stop(error)),
        };
        self.shared.release(batch.iter().map(|request| request.bytes.len()).sum());
        match written {
            Ok(first) => {
                for (index, request) in (first..).zip(batch) {
                    let sealed = Sealed::new(request.entry, request.id, index);
                    let _gone = request.reply.send(Ok(sealed));
                }
            }
            Err(error) => {
                for request in batch {
                    let _gone = request.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Appends the batch and its checkpoint to the journal, flushes, and shows it to
    /// readers. Gives the index of the first entry.
    fn write(&mut self, batch: &[Request], rotation: Option<SigningKey>) -> Result<u64, Error> {
        if let Some(next) = &rotation {
            keys::keep_next(&*self.shared.disk, &self.shared.dir, next)?;
        }
        let first = self.frontier.size();
        let mut frontier = self.frontier.clone();
        batch.iter().for_each(|request| frontier.push(request.leaf));
        let origin = self.key.name().to_owned();
        let head = Head { origin, size: frontier.size(), root: frontier.root() };
        let keys: Vec<&SigningKey> = std::iter::once(&self.key).chain(&rotation).collect();
        let note = Checkpoint::sign(&head, &keys);
        let bytes = journal::batch(first, batch.iter().map(|request| &*request.bytes), &note);
        self.journal
            .append(&bytes)
            .and_then(|()| self.journal.sync())
            .map_err(|e| file_error(&self.shared.dir.join(journal::FILE), e))?;
        // Durable from here on.
        self.frontier = frontier;
        self.journal_bytes += bytes.len();
        if let Some(settling) = &mut self.settling {
            settling.carried.extend(&bytes);
        }
        if let Some(next) = rotation {
            self.rotations.push((head.size, note.clone()));
            self.take_key(next);
        }
        let entries = batch.iter().map(|request| (request.leaf, request.bytes.clone()));
        self.shared.write().publish(entries, head, note);
        Ok(first)
    }

    /// Puts a key in force whose entry is durable. If its file cannot take its place,
    /// the entry stands and the next start finishes the change.
    fn take_key(&mut self, next: SigningKey) {
        if let Err(error) = keys::promote(&*self.shared.disk, &self.shared.dir) {
            self.stop(&error);
        }
        self.shared.write().verifier = next.verifier();
        self.key = next;
    }

    /// Starts settling when the journal is long, and ends it when the tiles are written.
    fn tend(&mut self) {
        let waiting = usize::try_from(self.frontier.size() - self.tiled).unwrap_or(usize::MAX);
        let is_over =
            |entries: usize, bytes: usize| waiting >= entries || self.journal_bytes >= bytes;
        let Tuning { journal_entries, journal_bytes, in_background } = self.tuning;
        let is_overdue = is_over(journal_entries * OVERDUE, journal_bytes * OVERDUE);
        let done = match &self.settling {
            Some(settling) if settling.thread.is_finished() || is_overdue => self.end_settling(),
            Some(_) => Ok(()),
            None if self.broken().is_none() && is_over(journal_entries, journal_bytes) => {
                let begun = self.begin_settling();
                if in_background { begun } else { begun.and_then(|()| self.end_settling()) }
            }
            None => Ok(()),
        };
        if let Err(error) = done {
            self.stop(&error);
        }
    }

    fn begin_settling(&mut self) -> Result<(), Error> {
        let plan = self.shared.read().plan(self.tiled, self.rotations.clone());
        let (size, rotations) = (plan.levels.size(), plan.rotations.len());
        let shared = self.shared.clone();
        let thread = thread::Builder::new()
            .name("ledger-tiles".to_owned())
            .spawn(move || settle::run(&*shared.disk, &shared.dir, &plan))
            .map_err(|e| file_error(&self.shared.dir, e))?;
        self.settling = Some(Settling { thread, size, rotations, carried: Vec::new() });
        Ok(())
    }

    /// Waits for the tiles, and begins the journal that follows them.
    fn end_settling(&mut self) -> Result<(), Error> {
        let Some(settling) = self.settling.take() else { return Ok(()) };
        let ended = settling.thread.join();
        ended.unwrap_or_else(|_| Err(file_error(&self.shared.dir, "writing tiles failed")))?;
        if let Some(error) = self.broken() {
            return Err(error);
        }
        let (journal, bytes) = settle::begin_journal(
            &*self.shared.disk,
            &self.shared.dir,
            settling.size,
            &settling.carried,
        )?;
        self.journal = journal;
        self.journal_bytes = bytes;
        self.tiled = settling.size;
        self.rotations.drain(..settling.rotations.min(self.rotations.len()));
        self.shared.write().forget(settling.size);
        Ok(())
    }

    /// Settles everything there is.
    fn settle_now(&mut self) -> Result<(), Error> {
        let settled = self.end_settling().and_then(|()| match self.broken() {
            Some(error) => Err(error),
            None if self.frontier.size() > self.tiled => {
                self.begin_settling().and_then(|()| self.end_settling())
            }
            None => Ok(()),
        });
        settled.inspect_err(|error| self.stop(error))
    }
}
