//! The ledger in use: one thread writes, in batches, with one flush a batch; what
//! is acknowledged is on the disk under a signed checkpoint.

use std::{
    fs::{self, File, TryLockError},
    future::Future,
    io::{Seek, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll},
    thread::JoinHandle,
};

use bartizan_core::{Cx, Id};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::{
    Entry, Error, Sealed, journal,
    note::{Checkpoint, Head, SigningKey, VerifierKey},
    proof,
    state::{self, KEY, NEXT_KEY},
    tiles::{self, Hashes, WIDTH, file_error},
    tree::Hash,
};

/// Entries that wait to be written; beyond it appending is refused, not delayed.
const QUEUE: usize = 65_536;
/// Entries of one batch at the most, so that a flush's latency stays bounded.
const BATCH: usize = 2048;
/// Entries in the journal before they move into tiles.
const JOURNAL_ENTRIES_MAX: usize = 16_384;
const LOCK: &str = "lock";

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The log's name, unique in the world, such as `bartizan/node-1`: no white space and no `+`.
    pub origin: String,
    /// The head of the log that this one goes on from, after a restore.
    pub previous: Option<Head>,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub size: u64,
    /// Entries that a crash cut off before they were acknowledged.
    pub torn: usize,
    /// Whether the ledger was made just now.
    pub is_new: bool,
}

struct Request {
    entry: Entry,
    id: Id,
    bytes: Vec<u8>,
    reply: oneshot::Sender<Result<Sealed<Entry>, Error>>,
}

enum Command {
    Append(Request),
    Rotate(SigningKey, Request),
}

/// What readers see: acknowledged entries alone.
#[derive(Debug)]
struct Shared {
    hashes: Hashes,
    tail: Vec<Vec<u8>>,
    tiled: u64,
    head: Head,
    note: String,
    cosignatures: String,
    verifier: VerifierKey,
    /// Why nothing more is written.
    broken: Option<Error>,
}

/// A ledger. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    cx: Cx,
    sender: Option<mpsc::Sender<Command>>,
    shared: Arc<RwLock<Shared>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

/// An entry on its way to the disk: a future, or [`Pending::wait`] without one.
#[derive(Debug)]
#[must_use = "an entry is recorded only once this has resolved"]
pub struct Pending(oneshot::Receiver<Result<Sealed<Entry>, Error>>);

impl Pending {
    /// Blocks until the entry is on the disk.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn wait(self) -> Result<Sealed<Entry>, Error> {
        self.0.blocking_recv().unwrap_or(Err(Error::Closed))
    }
}

impl Future for Pending {
    type Output = Result<Sealed<Entry>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|sealed| sealed.unwrap_or(Err(Error::Closed)))
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
        fs::create_dir_all(dir).map_err(|e| file_error(dir, e))?;
        let lock = lock(dir)?;
        let contents = state::read(dir)?;
        let is_new = contents.checkpoint.is_none();
        state::settle_rotation(dir, &contents)?;
        let key = state::key(dir, &settings.origin, is_new, cx)?;
        let head = state::head(&contents, &settings.origin);
        if let Some(checkpoint) = &contents.checkpoint
            && !checkpoint.is_signed_by(&key.verifier())
        {
            let problem =
                format!("the newest checkpoint (size {}) is not signed by `{KEY}`", head.size);
            return Err(Error::Damaged { path: dir.display().to_string(), problem });
        }
        let recovery = Recovery { size: head.size, torn: contents.torn, is_new };
        let state::Contents { hashes, tail, tiled, note, .. } = contents;
        state::materialise(dir, tiled, &hashes, &tail, &note)?;
        let shared = Shared {
            tiled: head.size,
            tail: Vec::new(),
            hashes,
            head,
            note,
            cosignatures: String::new(),
            verifier: key.verifier(),
            broken: None,
        };
        let ledger = Self::start(dir, cx, key, shared, lock)?;
        if is_new {
            let mut entry = Entry::new("ledger.opened").actor("bartizan").subject(&settings.origin);
            if let Some(previous) = &settings.previous {
                let previous = json!({"origin": previous.origin, "size": previous.size, "root": STANDARD.encode(previous.root)});
                entry = entry.with("previous", previous);
            }
            let _opened = ledger.append(entry)?.wait_thread()?;
        }
        Ok((ledger, recovery))
    }

    fn start(
        dir: &Path,
        cx: &Cx,
        key: SigningKey,
        shared: Shared,
        lock: File,
    ) -> Result<Self, Error> {
        let path = dir.join(journal::FILE);
        let mut file =
            fs::OpenOptions::new().write(true).open(&path).map_err(|e| file_error(&path, e))?;
        file.seek(std::io::SeekFrom::End(0)).map_err(|e| file_error(&path, e))?;
        let shared = Arc::new(RwLock::new(shared));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            dir: dir.to_owned(),
            key,
            file,
            shared: shared.clone(),
            broken: None,
            _lock: lock,
        };
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let writer = thread.spawn(move || writer.run(receiver)).map_err(|e| file_error(dir, e))?;
        let inner = Inner {
            dir: dir.to_owned(),
            cx: cx.clone(),
            sender: Some(sender),
            shared,
            writer: Mutex::new(Some(writer)),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Hands an entry to the writer.
    ///
    /// # Errors
    /// When the entry is too large or holds a fraction, or the queue is full.
    pub fn append(&self, entry: Entry) -> Result<Pending, Error> {
        let (request, pending) = self.request(entry)?;
        self.send(Command::Append(request))?;
        Ok(pending)
    }

    /// Puts a new signing key in force; the entry that says so is signed by both.
    ///
    /// # Errors
    /// When the key cannot be written.
    pub fn rotate_key(&self) -> Result<(VerifierKey, Pending), Error> {
        let key = SigningKey::generate(&self.head().origin, &self.0.cx)?;
        let verifier = key.verifier();
        let entry = Entry::new("ledger.key_rotated")
            .actor("bartizan")
            .subject(&self.head().origin)
            .with("key", verifier.to_string());
        let (request, pending) = self.request(entry)?;
        self.send(Command::Rotate(key, request))?;
        Ok((verifier, pending))
    }

    fn request(&self, entry: Entry) -> Result<(Request, Pending), Error> {
        let (id, bytes) = entry.encode(&self.0.cx)?;
        let (reply, receiver) = oneshot::channel();
        Ok((Request { entry, id, bytes, reply }, Pending(receiver)))
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        let sender = self.0.sender.as_ref().ok_or(Error::Closed)?;
        sender.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })
    }

    /// Whether entries can be written.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn check(&self) -> Result<(), Error> {
        self.shared().broken.clone().map_or(Ok(()), Err)
    }

    /// The newest head.
    pub fn head(&self) -> Head {
        self.shared().head.clone()
    }

    /// The key that verifies the newest checkpoint.
    pub fn verifier(&self) -> VerifierKey {
        self.shared().verifier.clone()
    }

    /// The newest checkpoint, signed, with the witnesses' cosignatures.
    pub fn checkpoint(&self) -> String {
        let shared = self.shared();
        format!("{}{}", shared.note, shared.cosignatures)
    }

    /// Entries from an index on, oldest first.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn entries(&self, from: u64, count: usize) -> Result<Vec<(u64, Value)>, Error> {
        let size = self.head().size;
        let to = size.min(from.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        (from..to).map(|index| Ok((index, self.parse(index)?))).collect()
    }

    /// One entry.
    ///
    /// # Errors
    /// When there is none, or the files cannot be read.
    pub fn entry(&self, index: u64) -> Result<Value, Error> {
        self.parse(index)
    }

    fn parse(&self, index: u64) -> Result<Value, Error> {
        let bytes = self.bytes(index)?;
        serde_json::from_slice(&bytes)
            .map_err(|e| file_error(&self.0.dir, format!("entry {index}: {e}")))
    }

    fn bytes(&self, index: u64) -> Result<Vec<u8>, Error> {
        let (n, width, within) = {
            let shared = self.shared();
            let size = shared.head.size;
            if index >= size {
                return Err(Error::NoEntry { index, size });
            }
            if let Some(tail) = index.checked_sub(shared.tiled) {
                let entry = usize::try_from(tail).ok().and_then(|i| shared.tail.get(i));
                return entry.cloned().ok_or(Error::NoEntry { index, size });
            }
            let n = index / WIDTH;
            (n, (shared.tiled - n * WIDTH).min(WIDTH), index % WIDTH)
        };
        let bundle = tiles::read_bundle(&self.0.dir, n, width)?;
        let entry = usize::try_from(within).ok().and_then(|i| bundle.into_iter().nth(i));
        entry.ok_or_else(|| file_error(&self.0.dir, format!("bundle {n} is too short")))
    }

    /// Proves that an entry is under the newest checkpoint.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn prove(&self, index: u64) -> Result<Proof, Error> {
        let shared = self.shared();
        let size = shared.head.size;
        let missing = || Error::NoEntry { index, size };
        if index >= size {
            return Err(missing());
        }
        let path = proof::inclusion(&shared.hashes, index, size).map_err(|()| missing())?;
        Ok(Proof { index, path, checkpoint: format!("{}{}", shared.note, shared.cosignatures) })
    }

    /// Proves that the tree of `new` entries only adds to that of `old`.
    ///
    /// # Errors
    /// When the ledger has fewer entries, or `old` is above `new`.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        let shared = self.shared();
        let size = shared.head.size;
        if new > size || old > new {
            return Err(Error::NoEntry { index: old.max(new), size });
        }
        proof::consistency(&shared.hashes, old, new)
            .map_err(|()| Error::NoEntry { index: new, size })
    }

    /// Adds a witness's cosignature lines to the newest checkpoint.
    ///
    /// # Errors
    /// When the note is not over the newest head, or no given witness signed it.
    pub fn cosign(&self, note: &str, witnesses: &[VerifierKey]) -> Result<(), Error> {
        let checkpoint = Checkpoint::parse(note)?;
        let mut shared = self.0.shared.write().unwrap_or_else(PoisonError::into_inner);
        if checkpoint.head != shared.head {
            return Err(Error::Witness {
                problem: format!(
                    "the note is of size {}, and the head is at {}",
                    checkpoint.head.size, shared.head.size
                ),
            });
        }
        let lines: String = witnesses
            .iter()
            .filter(|key| checkpoint.is_signed_by(key))
            .filter_map(|key| checkpoint.line_of(key))
            .collect();
        if lines.is_empty() {
            return Err(Error::Witness { problem: "no given witness signed it".to_owned() });
        }
        shared.cosignatures.push_str(&lines);
        let whole = format!("{}{}", shared.note, shared.cosignatures);
        let name = format!("cosigned/{:020}", shared.head.size);
        drop(shared);
        tiles::write(&self.0.dir.join(name), whole.as_bytes())
    }

    fn shared(&self) -> std::sync::RwLockReadGuard<'_, Shared> {
        self.0.shared.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Waits on a thread of its own, so that it may be called from within a runtime.
    fn wait_thread(self) -> Result<Sealed<Entry>, Error> {
        std::thread::spawn(move || self.wait()).join().unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Inner {
    /// Ends the writer after what was handed to it, and moves the journal into tiles.
    fn drop(&mut self) {
        self.sender = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ended = writer.join();
        }
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| file_error(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.display().to_string() }),
        Err(TryLockError::Error(e)) => Err(file_error(&path, e)),
    }
}

struct Writer {
    dir: PathBuf,
    key: SigningKey,
    file: File,
    shared: Arc<RwLock<Shared>>,
    /// Why nothing more is written.
    broken: Option<Error>,
    _lock: File,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Command>) {
        let mut batch = Vec::new();
        while let Some(command) = receiver.blocking_recv() {
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Append(request) => batch.push(request),
                    Command::Rotate(key, request) => {
                        self.commit(std::mem::take(&mut batch), None);
                        self.commit(vec![request], Some(key));
                    }
                }
                if batch.len() < BATCH {
                    next = receiver.try_recv().ok();
                }
            }
            self.commit(std::mem::take(&mut batch), None);
        }
        if self.broken.is_none()
            && let Err(error) = self.settle()
        {
            // What is in the journal is safe; the next start moves it into tiles.
            self.broken = Some(error);
        }
    }

    /// Writes a batch and answers each request of it.
    fn commit(&mut self, batch: Vec<Request>, rotation: Option<SigningKey>) {
        if batch.is_empty() {
            return;
        }
        let written = match &self.broken {
            Some(error) => Err(error.clone()),
            None => self.write(&batch, rotation).inspect_err(|error| {
                let broken = Some(Error::ReadOnly { problem: error.to_string() });
                self.broken.clone_from(&broken);
                self.shared.write().unwrap_or_else(PoisonError::into_inner).broken = broken;
            }),
        };
        match written {
            Ok(first) => {
                for (index, request) in (first..).zip(batch) {
                    let _gone =
                        request.reply.send(Ok(Sealed::new(request.entry, request.id, index)));
                }
            }
            Err(error) => {
                for request in batch {
                    let _gone = request.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Appends the batch and its checkpoint to the journal, flushes, and shows it to readers.
    fn write(&mut self, batch: &[Request], rotation: Option<SigningKey>) -> Result<u64, Error> {
        let path = self.dir.join(journal::FILE);
        let problem = |e: std::io::Error| file_error(&path, e);
        if let Some(key) = &rotation {
            state::write_private(&self.dir.join(NEXT_KEY), &key.encode())?;
        }
        let shared = self.shared.clone();
        let mut shared = shared.write().unwrap_or_else(PoisonError::into_inner);
        let first = shared.head.size;
        for request in batch {
            shared.hashes.push(&request.bytes);
        }
        let head = Head {
            origin: shared.head.origin.clone(),
            size: shared.hashes.size(),
            root: shared.hashes.root(),
        };
        let keys: Vec<&SigningKey> = std::iter::once(&self.key).chain(rotation.as_ref()).collect();
        let note = Checkpoint::sign(head.clone(), &keys);
        let bytes = journal::batch(batch.iter().map(|request| request.bytes.as_slice()), &note);
        let flushed = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = flushed {
            shared.hashes.truncate(first);
            return Err(problem(error));
        }
        if rotation.is_some() {
            state::keep_rotation(&self.dir, head.size, &note)?;
        }
        shared.head = head;
        shared.note = note;
        shared.cosignatures.clear();
        shared.tail.extend(batch.iter().map(|request| request.bytes.clone()));
        if let Some(key) = rotation {
            let (next, current) = (self.dir.join(NEXT_KEY), self.dir.join(KEY));
            fs::rename(&next, &current).map_err(|e| file_error(&next, e))?;
            shared.verifier = key.verifier();
            self.key = key;
        }
        let is_full = shared.tail.len() >= JOURNAL_ENTRIES_MAX;
        drop(shared);
        if is_full {
            self.settle()?;
        }
        Ok(first)
    }

    /// Moves the journal into tiles.
    fn settle(&mut self) -> Result<(), Error> {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        state::materialise(&self.dir, shared.tiled, &shared.hashes, &shared.tail, &shared.note)?;
        shared.tiled = shared.head.size;
        shared.tail = Vec::new();
        drop(shared);
        let path = self.dir.join(journal::FILE);
        let mut file =
            fs::OpenOptions::new().write(true).open(&path).map_err(|e| file_error(&path, e))?;
        file.seek(std::io::SeekFrom::End(0)).map_err(|e| file_error(&path, e))?;
        self.file = file;
        Ok(())
    }
}
