//! A disk in memory for tests: any operation can fail, and the power can go at any.
//!
//! What was not synced then survives in part: of a file's unsynced bytes any prefix,
//! or all of them with some sectors zero; of the changes in a folder any prefix, each
//! folder for itself. That is harsher than the file systems we know of.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use bartizan_core::sim::SeededEntropy;

use crate::disk::{Append, Disk, Item, Lock, Readers};

const SECTOR: usize = 512;

/// What goes wrong, counted in operations from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// This operation fails, and the later ones work.
    Once(usize),
    /// This operation is done and said to have failed, and the later ones work.
    Late(usize),
    /// This operation and all after it fail: the power is gone.
    From(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// The bytes that were there at the last sync.
    synced: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(PathBuf, Node),
    Unlink(PathBuf),
    Move(PathBuf, PathBuf),
}

impl Change {
    /// The folder whose sync makes it last.
    fn folder(&self) -> &Path {
        let (Self::Link(path, _) | Self::Unlink(path) | Self::Move(_, path)) = self;
        path.parent().expect("every path has a folder")
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Link(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Unlink(path) => {
                names.remove(path);
            }
            Self::Move(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

#[derive(Debug)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    lasting: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    files: Vec<Content>,
    fault: Fault,
    operations: usize,
    /// How often each operation was asked for.
    asked: BTreeMap<&'static str, usize>,
    random: SeededEntropy,
}

#[derive(Clone, Debug)]
pub(crate) struct FrailDisk(Arc<Mutex<State>>);

struct Unlocked;

impl Lock for Unlocked {}

fn failed() -> io::Error {
    io::Error::other("the disk failed, as the test wants it")
}

impl State {
    fn step(&mut self, operation: &'static str) -> io::Result<()> {
        let now = self.operations;
        self.operations += 1;
        *self.asked.entry(operation).or_default() += 1;
        match self.fault {
            Fault::Once(at) if at == now => Err(failed()),
            Fault::From(at) if at <= now => Err(failed()),
            _ => Ok(()),
        }
    }

    /// The end of an operation that was done.
    fn done(&self) -> io::Result<()> {
        match self.fault {
            Fault::Late(at) if at + 1 == self.operations => Err(failed()),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.step("create")?;
        if self.names.get(path.parent().expect("a folder")) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Ok(file) = self.file(path) {
            self.files[file].bytes.clear();
            return self.done().map(|()| file);
        }
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.change(Change::Link(path.to_owned(), Node::File(file)));
        self.done().map(|()| file)
    }

    fn append(&mut self, file: usize, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.step("write") {
            // A torn write: some of it is there.
            let part = self.random.below(bytes.len() + 1);
            self.files[file].bytes.extend(&bytes[..part]);
            return Err(error);
        }
        self.files[file].bytes.extend(bytes);
        self.done()
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.step("sync")?;
        let content = &mut self.files[file];
        content.synced.clone_from(&content.bytes);
        self.done()
    }

    /// What of a file is there after the power went.
    fn survivor(&self, content: &Content) -> Vec<u8> {
        let Some(new) = content.bytes.strip_prefix(content.synced.as_slice()) else {
            // It was written anew: the old bytes, the new ones, or nothing.
            let choices = [&content.synced, &content.bytes, &Vec::new()];
            return choices[self.random.below(3)].clone();
        };
        let mut bytes = content.bytes.clone();
        match self.random.below(4) {
            0 => bytes.truncate(content.synced.len()),
            1 => bytes.truncate(content.synced.len() + self.random.below(new.len() + 1)),
            2 => {
                for start in (0..bytes.len()).step_by(SECTOR) {
                    if self.random.below(2) == 0 {
                        let end = bytes.len().min(start + SECTOR);
                        let start = start.max(content.synced.len()).min(end);
                        bytes[start..end].fill(0);
                    }
                }
            }
            _ => {}
        }
        bytes
    }
}

impl FrailDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        Self(Arc::new(Mutex::new(State {
            lasting: names.clone(),
            names,
            changes: Vec::new(),
            files: Vec::new(),
            fault: Fault::None,
            operations: 0,
            asked: BTreeMap::new(),
            random: SeededEntropy::new(seed),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    pub(crate) fn fail(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        state.operations = 0;
    }

    pub(crate) fn operations(&self) -> usize {
        self.state().operations
    }

    /// How often each operation was asked for, since the disk was made.
    pub(crate) fn asked(&self) -> BTreeMap<&'static str, usize> {
        self.state().asked.clone()
    }

    /// The disk after the process was killed: nothing that it wrote is lost.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state();
        let next = Self::new(state.random.next_u64());
        {
            let mut after = next.state();
            after.names.clone_from(&state.names);
            after.lasting.clone_from(&state.lasting);
            after.changes.clone_from(&state.changes);
            after.files.clone_from(&state.files);
        }
        next
    }

    /// The disk after the power went.
    pub(crate) fn after_power_loss(&self) -> Self {
        let state = self.state();
        let mut names = state.lasting.clone();
        let mut stopped: Vec<&Path> = Vec::new();
        for change in &state.changes {
            let folder = change.folder();
            if stopped.contains(&folder) || state.random.below(3) == 0 {
                stopped.push(folder);
            } else {
                change.apply(&mut names);
            }
        }
        // What is in a folder that is not there cannot be reached.
        let reachable = |path: &Path| {
            path.ancestors().skip(1).all(|above| names.get(above) == Some(&Node::Folder))
        };
        let kept: BTreeMap<_, _> = names
            .iter()
            .filter(|(path, _)| reachable(path))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        let next = Self::new(state.random.next_u64());
        {
            let mut after = next.state();
            after.files = state
                .files
                .iter()
                .map(|content| {
                    let bytes = state.survivor(content);
                    Content { synced: bytes.clone(), bytes }
                })
                .collect();
            after.lasting.clone_from(&kept);
            after.names = kept;
        }
        next
    }

    /// Every file, by path.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::File(file) => Some((path.clone(), state.files[*file].bytes.clone())),
            Node::Folder => None,
        };
        state.names.iter().filter_map(file).collect()
    }

    /// Changes a file behind everyone's back, or takes it away.
    pub(crate) fn put(&self, path: &Path, bytes: Option<&[u8]>) {
        let mut state = self.state();
        match (bytes, state.file(path)) {
            (Some(bytes), Ok(file)) => bytes.clone_into(&mut state.files[file].bytes),
            (Some(bytes), Err(_)) => {
                state.files.push(Content { bytes: bytes.to_vec(), synced: bytes.to_vec() });
                let node = Node::File(state.files.len() - 1);
                state.names.insert(path.to_owned(), node);
            }
            (None, _) => drop(state.names.remove(path)),
        }
    }
}

struct Open {
    disk: FrailDisk,
    file: usize,
}

impl Append for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().append(self.file, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.state().sync(self.file)
    }
}

impl Disk for FrailDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.file(path).map(|file| state.files[file].bytes.clone())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Item>> {
        let state = self.state();
        if state.names.get(folder) != Some(&Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        Ok(within
            .map(|(path, node)| Item {
                name: path.file_name().expect("a name").to_string_lossy().into_owned(),
                is_folder: *node == Node::Folder,
            })
            .collect())
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.get(folder) == Some(&Node::Folder) {
            return Ok(());
        }
        state.step("make folder")?;
        state.change(Change::Link(folder.to_owned(), Node::Folder));
        state.done()
    }

    fn write(&self, path: &Path, bytes: &[u8], _readers: Readers) -> io::Result<()> {
        let mut state = self.state();
        let file = state.create(path)?;
        state.append(file, bytes)?;
        state.sync(file)
    }

    fn begin(&self, path: &Path) -> io::Result<Box<dyn Append>> {
        let file = self.state().create(path)?;
        Ok(Box::new(Open { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("rename")?;
        state.file(from)?;
        state.change(Change::Move(from.to_owned(), to.to_owned()));
        state.done()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("remove")?;
        state.file(path)?;
        state.change(Change::Unlink(path.to_owned()));
        state.done()
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("remove folder")?;
        state.change(Change::Unlink(folder.to_owned()));
        state.done()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step("sync folder")?;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.changes).into_iter().partition(|c| c.folder() == folder);
        now.iter().for_each(|change| change.apply(&mut state.lasting));
        state.changes = later;
        state.done()
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(Unlocked))
    }
}
