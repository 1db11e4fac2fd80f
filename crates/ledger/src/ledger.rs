//! The ledger in use: opened, appended to, read, proved.

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
    thread::{self, JoinHandle, Thread},
};

use bartizan_core::{Cx, json};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Entry, Error, Sealed, cosigned,
    disk::{Disk, Lock, RealDisk},
    journal, keys,
    note::{Head, SigningKey, VerifierKey},
    proof, settle,
    shared::{Shared, State},
    state::{self, Loaded},
    tiles::file_error,
    tree::{self, Hash},
    writer::{Command, Request, Start, Tuning, Writer},
};

/// LIMIT: entries that wait to be written; beyond it appending is refused, not delayed.
const QUEUE: usize = 65_536;
/// LIMIT: bytes of entries that wait to be written, so that large ones cannot take the memory.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Kinds that the ledger writes itself: another's could pass for a change of keys.
const OWN_KINDS: &str = "ledger.";
const LOCK: &str = "lock";

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's name, unique in the world, such as `bartizan/node-1`: no white space
    /// and no `+`. A ledger that has entries keeps the name that it began with.
    pub origin: String,
    /// The head of the log that this one goes on from, after a restore.
    pub previous: Option<Head>,
    /// The key that a new ledger begins with, named by its origin; `None` makes one.
    /// A ledger that has entries keeps its own.
    pub key: Option<Arc<SigningKey>>,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub size: u64,
    /// Entries that a crash cut off before they were acknowledged; one at least when
    /// a write was cut, though its number may be lost with it.
    pub torn: usize,
    /// Whether the ledger was made just now.
    pub is_new: bool,
}

/// A ledger. Clones share it; it closes when the last one is dropped, which waits for
/// what is being written.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    cx: Cx,
    shared: Arc<Shared>,
    sender: Option<mpsc::Sender<Command>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held while a cosignature is put beside others.
    cosigning: Mutex<()>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("dir", &self.0.shared.dir).finish_non_exhaustive()
    }
}

/// An entry on its way to the disk: a future, or [`Pending::wait`] without one.
#[derive(Debug)]
#[must_use = "an entry is recorded only once this has resolved"]
pub struct Pending(oneshot::Receiver<Result<Sealed<Entry>, Error>>);

impl Pending {
    /// Blocks the thread until the entry is on the disk.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn wait(self) -> Result<Sealed<Entry>, Error> {
        block_on(self)
    }
}

impl Future for Pending {
    type Output = Result<Sealed<Entry>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|sealed| sealed.unwrap_or(Err(Error::Closed)))
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, with or without a runtime around it.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// An inclusion proof in the form of C2SP tlog-proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub index: u64,
    pub path: Vec<Hash>,
    /// The signed checkpoint that it leads to.
    pub checkpoint: String,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "c2sp.org/tlog-proof@v1\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl Ledger {
    /// Opens the ledger in a directory, which is made when it is absent.
    ///
    /// # Errors
    /// When another process holds it, its files cannot be used, or what is in it
    /// does not verify: then nothing is changed.
    pub fn open(dir: &Path, settings: &Settings, cx: &Cx) -> Result<(Self, Recovery), Error> {
        Self::open_on(Arc::new(RealDisk), dir, settings, Tuning::default(), cx)
    }

    /// Whether the folder holds a ledger, or what is left of one.
    pub fn is_there(dir: &Path) -> bool {
        [state::CHECKPOINT, journal::FILE, state::PUBLIC, keys::KEY]
            .iter()
            .any(|name| std::fs::metadata(dir.join(name)).is_ok_and(|file| file.len() > 0))
    }

    /// For whoever opens other things first: nothing of an installation is to change when
    /// its ledger was written by a newer version.
    ///
    /// # Errors
    /// When it was.
    pub fn refuse_newer(dir: &Path) -> Result<(), Error> {
        match RealDisk.read(&dir.join(journal::FILE)) {
            Ok(bytes) if journal::is_newer(&bytes) => {
                Err(Error::Newer { path: dir.display().to_string() })
            }
            // Whatever else there is, opening it tells.
            _ => Ok(()),
        }
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        settings: &Settings,
        tuning: Tuning,
        cx: &Cx,
    ) -> Result<(Self, Recovery), Error> {
        make_folder(&*disk, dir)?;
        let lock = lock(&*disk, dir)?;
        let loaded = state::load(&*disk, dir)?;
        let is_new = loaded.newest.is_none();
        let torn = loaded.torn;
        let opened = Opened { disk, dir: dir.to_owned(), tuning, lock };
        let ledger =
            if is_new { opened.create(settings, loaded, cx)? } else { opened.go_on(loaded, cx)? };
        Ok((ledger.clone(), Recovery { size: ledger.head().size, torn, is_new }))
    }

    /// Hands an entry to the writer.
    ///
    /// # Errors
    /// When the entry is too large, too deep or holds a fraction, the queue is full,
    /// or a write failed before.
    pub fn append(&self, entry: Entry) -> Result<Pending, Error> {
        if entry.kind.starts_with(OWN_KINDS) {
            let problem = format!("the kind `{}` is the ledger's own", json::clip(&entry.kind, 80));
            return Err(Error::Entry { problem });
        }
        let (request, pending) = self.request(entry)?;
        self.send_entry(request, Command::Append)?;
        Ok(pending)
    }

    /// Puts a new signing key in force; the entry that says so is signed by both.
    ///
    /// # Errors
    /// When a write failed before, or the queue is full.
    pub fn rotate_key(&self) -> Result<(VerifierKey, Pending), Error> {
        let origin = self.head().origin;
        let key = SigningKey::generate(&origin, &self.0.cx)?;
        let verifier = key.verifier();
        let entry = Entry::new(state::ROTATED)
            .actor("bartizan")
            .subject(&origin)
            .with("key", verifier.to_string());
        let (request, pending) = self.request(entry)?;
        self.send_entry(request, |request| Command::Rotate(key, request))?;
        Ok((verifier, pending))
    }

    fn request(&self, mut entry: Entry) -> Result<(Request, Pending), Error> {
        let (id, bytes) = entry.encode(&self.0.cx)?;
        let (reply, receiver) = oneshot::channel();
        let leaf = tree::leaf(&bytes);
        Ok((Request { entry, id, bytes: bytes.into(), leaf, reply }, Pending(receiver)))
    }

    fn send_entry(
        &self,
        request: Request,
        command: impl FnOnce(Request) -> Command,
    ) -> Result<(), Error> {
        self.check()?;
        let bytes = request.bytes.len();
        self.0.shared.reserve(bytes, QUEUE_BYTES_MAX)?;
        self.send(command(request)).inspect_err(|_| self.0.shared.release(bytes))
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        let sender = self.0.sender.as_ref().ok_or(Error::Closed)?;
        sender.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })
    }

    /// Writes and publishes the tiles of everything that is acknowledged.
    fn settle(&self) -> Result<(), Error> {
        let (reply, receiver) = oneshot::channel();
        self.send(Command::Settle(reply))?;
        block_on(receiver).unwrap_or(Err(Error::Closed))
    }

    /// Whether entries can be written.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn check(&self) -> Result<(), Error> {
        self.0.shared.read().broken.clone().map_or(Ok(()), Err)
    }

    /// The newest head.
    pub fn head(&self) -> Head {
        self.0.shared.read().head.clone()
    }

    /// The key that verifies the newest checkpoint.
    pub fn verifier(&self) -> VerifierKey {
        self.0.shared.read().verifier.clone()
    }

    /// The newest checkpoint, signed, with the witnesses' cosignatures.
    pub fn checkpoint(&self) -> String {
        self.0.shared.read().checkpoint()
    }

    /// Entries from an index on, oldest first.
    ///
    /// # Errors
    /// When the files cannot be read, or are not what was signed.
    pub fn entries(&self, from: u64, count: usize) -> Result<Vec<(u64, Value)>, Error> {
        let size = self.head().size;
        let to = size.min(from.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        let mut out = Vec::new();
        let mut at = from;
        while at < to {
            for bytes in self.0.shared.entries(at, to)? {
                out.push((at, self.parse(at, &bytes)?));
                at += 1;
            }
        }
        Ok(out)
    }

    /// One entry.
    ///
    /// # Errors
    /// When there is none, or the files cannot be read or are not what was signed.
    pub fn entry(&self, index: u64) -> Result<Value, Error> {
        let size = self.head().size;
        let end = size.min(index.saturating_add(1));
        let entries = if index < size { self.0.shared.entries(index, end)? } else { Vec::new() };
        let bytes = entries.first().ok_or(Error::NoEntry { index, size })?;
        self.parse(index, bytes)
    }

    fn parse(&self, index: u64, bytes: &[u8]) -> Result<Value, Error> {
        serde_json::from_slice(bytes)
            .map_err(|e| file_error(&self.0.shared.dir, format!("entry {index}: {e}")))
    }

    /// Proves that an entry is under the newest checkpoint.
    ///
    /// # Errors
    /// When there is no such entry, or the files cannot be read or are not what was signed.
    pub fn prove(&self, index: u64) -> Result<Proof, Error> {
        let state = self.0.shared.read();
        let (size, checkpoint) = (state.head.size, state.checkpoint());
        drop(state);
        if index >= size {
            return Err(Error::NoEntry { index, size });
        }
        let path = proof::inclusion(&self.0.shared.source(), index, size)?;
        Ok(Proof { index, path, checkpoint })
    }

    /// Proves that the tree of `new` entries only adds to that of `old`.
    ///
    /// # Errors
    /// When the ledger has fewer entries, or `old` is above `new`, or the files cannot
    /// be read or are not what was signed.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        let size = self.head().size;
        if new > size || old > new {
            return Err(Error::NoEntry { index: old.max(new), size });
        }
        proof::consistency(&self.0.shared.source(), old, new)
    }

    /// The root when the tree had so many entries; none when it never had. That of one entry
    /// names the log: no other begins with the same entry.
    ///
    /// # Errors
    /// When the files cannot be read, or are not what was signed.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash>, Error> {
        match size {
            0 => Ok(Some(tree::empty())),
            size if size > self.head().size => Ok(None),
            size => proof::range(&self.0.shared.source(), 0, size).map(Some),
        }
    }

    /// Keeps a witness's cosignature of the newest checkpoint.
    ///
    /// # Errors
    /// When the note is not over the newest head, or no given witness signed it.
    pub fn cosign(&self, note: &str, witnesses: &[VerifierKey]) -> Result<(), Error> {
        let given = cosigned::Given::read(note, witnesses)?;
        let mine = self.head();
        if *given.head() != mine {
            return Err(refuse(given.head(), &mine, "the newest head"));
        }
        self.keep(&given)
    }

    /// Keeps a witness's cosignature of the newest checkpoint or of an earlier one: a
    /// ledger in use has moved on by the time a witness answers.
    ///
    /// # Errors
    /// When the note is not over a head of this ledger, or no given witness signed it.
    pub fn cosign_past(&self, note: &str, witnesses: &[VerifierKey]) -> Result<(), Error> {
        let given = cosigned::Given::read(note, witnesses)?;
        let (head, mine) = (given.head(), self.head());
        if head.origin != mine.origin || self.root_at(head.size)? != Some(head.root) {
            return Err(refuse(head, &mine, "a head of this ledger"));
        }
        self.keep(&given)
    }

    fn keep(&self, given: &cosigned::Given) -> Result<(), Error> {
        let _alone = self.0.cosigning.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.0.shared;
        let lines = given.keep(&*shared.disk, &shared.dir, &self.verifier())?;
        let mut state = shared.write();
        if state.head == *given.head() {
            state.cosignatures = lines;
        }
        Ok(())
    }
}

fn refuse(given: &Head, mine: &Head, what: &str) -> Error {
    Error::Witness {
        problem: format!(
            "the note of size {} is not of {what}, which is at size {}",
            given.size, mine.size
        ),
    }
}

impl Drop for Inner {
    /// Ends the writer after what was handed to it, and settles.
    fn drop(&mut self) {
        self.sender = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ended = writer.join();
        }
    }
}

/// Makes the ledger's folder, for good.
fn make_folder(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    if disk.list(dir).is_ok() {
        return Ok(());
    }
    let above: Vec<&Path> = dir.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    for pair in above.windows(2).rev() {
        let [folder, parent] = pair else { continue };
        if disk.list(folder).is_err() {
            disk.make_folder(folder)
                .and_then(|()| disk.sync_folder(parent))
                .map_err(|e| file_error(folder, e))?;
        }
    }
    // A relative path's first folder has no parent in the path.
    disk.make_folder(dir).map_err(|e| file_error(dir, e))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, Error> {
    let path = dir.join(LOCK);
    disk.lock(&path).map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock => Error::Locked { path: dir.display().to_string() },
        _ => file_error(&path, e),
    })
}

/// A folder that this process holds.
struct Opened {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    tuning: Tuning,
    lock: Box<dyn Lock>,
}

impl Opened {
    /// Begins a ledger. The journal comes first: a key beside no journal then tells
    /// of a ledger that lost it, never of a start that was cut short.
    fn create(self, settings: &Settings, loaded: Loaded, cx: &Cx) -> Result<Ledger, Error> {
        SigningKey::check_name(&settings.origin)?;
        let (disk, dir) = (self.disk.clone(), self.dir.clone());
        let (journal, bytes) = settle::begin_journal(&*disk, &dir, 0, &[])?;
        let key = keys::create(&*disk, &dir, settings, cx)?;
        let ledger = self.start(loaded, key, journal, bytes, cx)?;
        let mut entry = Entry::new("ledger.opened").actor("bartizan").subject(&settings.origin);
        if let Some(previous) = &settings.previous {
            let root = STANDARD.encode(previous.root);
            entry = entry.with(
                "previous",
                json!({"origin": previous.origin, "size": previous.size, "root": root}),
            );
        }
        let (request, pending) = ledger.request(entry)?;
        ledger.send_entry(request, Command::Append)?;
        let _opened = pending.wait()?;
        ledger.settle()?;
        Ok(ledger)
    }

    /// Goes on with a ledger that has entries: settles its journal and begins a new
    /// one, so that nothing is ever appended behind an unfinished write.
    fn go_on(self, loaded: Loaded, cx: &Cx) -> Result<Ledger, Error> {
        let (disk, dir) = (self.disk.clone(), self.dir.clone());
        let key = keys::in_force(&*disk, &dir, &loaded)?;
        let plan = settle::Plan {
            from: loaded.tiled(),
            levels: loaded.levels.clone(),
            entries_base: loaded.entries_base,
            entries: loaded.entries.clone(),
            note: loaded.note.clone(),
            rotations: loaded.rotations.iter().map(|r| (r.size, r.note.clone())).collect(),
        };
        settle::run(&*disk, &dir, &plan)?;
        let (journal, bytes) = settle::begin_journal(&*disk, &dir, plan.levels.size(), &[])?;
        self.start(loaded, key, journal, bytes, cx)
    }

    fn start(
        self,
        loaded: Loaded,
        key: SigningKey,
        journal: Box<dyn crate::disk::Append>,
        journal_bytes: usize,
        cx: &Cx,
    ) -> Result<Ledger, Error> {
        let size = loaded.frontier.size();
        let new = || Head { origin: key.name().to_owned(), size: 0, root: tree::empty() };
        let head = loaded.newest.map_or_else(new, |newest| newest.head);
        let mut state = State {
            levels: loaded.levels,
            entries_base: loaded.entries_base,
            entries: loaded.entries.into(),
            cosignatures: cosigned::lines(&*self.disk, &self.dir, &head),
            head,
            note: loaded.note,
            verifier: key.verifier(),
            broken: None,
        };
        state.forget(size);
        let shared = Arc::new(Shared::new(self.disk, &self.dir, state));
        let start = Start {
            tuning: self.tuning,
            key,
            journal,
            journal_bytes,
            frontier: loaded.frontier,
            lock: self.lock,
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(shared.clone(), start);
        let thread = thread::Builder::new().name("ledger".to_owned());
        let writer =
            thread.spawn(move || writer.run(receiver)).map_err(|e| file_error(&self.dir, e))?;
        Ok(Ledger(Arc::new(Inner {
            cx: cx.clone(),
            shared,
            sender: Some(sender),
            writer: Mutex::new(Some(writer)),
            cosigning: Mutex::new(()),
        })))
    }
}
