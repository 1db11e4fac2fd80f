//! Every way to spoil a ledger's files that its format promises to find: each bit, cut,
//! drop, copy and swap, to be walked; and those with some more, to be drawn.
//!
//! Whoever spoils a journal may mend its digests, which are no secret: so entries are
//! dropped, copied and swapped with the digests made right again, and bits are changed
//! with and without.

#![allow(dead_code, reason = "what is walked here is drawn there")]

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use bartizan_core::sim::SeededEntropy;
use ring::digest::{SHA256, digest};

/// Files that no signature covers, as the format's page says.
const UNCOVERED: [&str; 3] = ["ledger.key", "ledger.pub", "lock"];
/// The journal's own head, and a batch's.
const JOURNAL_HEAD: usize = 27;
const BATCH_HEAD: usize = 56;

/// What a piece of a file is; only the like change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Entry,
    Hash,
    Line,
    Batch,
}

#[derive(Clone, Debug)]
struct Piece {
    file: usize,
    unit: Unit,
    at: Range<usize>,
}

/// One way to spoil a ledger. Files and pieces are named by their number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// `mended`: the digests of the journal's batch fit again.
    Flip {
        file: usize,
        at: usize,
        bit: u32,
        mended: bool,
    },
    Cut {
        file: usize,
        to: usize,
    },
    /// A letter in between.
    Insert {
        file: usize,
        at: usize,
    },
    /// Zeros for 600 bytes, as a disk might leave them.
    Blank {
        file: usize,
        at: usize,
    },
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    Remove(usize),
    /// One file's bytes in the place of another's.
    Overwrite {
        file: usize,
        with: usize,
    },
    Exchange(usize, usize),
}

/// A piece's new bytes, and how many more entries a batch then has.
struct Edit {
    at: Range<usize>,
    bytes: Vec<u8>,
    more: i64,
}

/// A file that a damage changes, and its bytes then; none when it is gone.
pub(crate) type Changed<'a> = (&'a Path, Option<Vec<u8>>);

/// A ledger's covered files before any damage.
pub(crate) struct Intact {
    files: Vec<(PathBuf, Vec<u8>)>,
    pieces: Vec<Piece>,
}

impl Intact {
    pub(crate) fn new(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let mut files: Vec<_> = files.into_iter().collect();
        files.retain(|(path, _)| !UNCOVERED.iter().any(|name| path.ends_with(name)));
        let mut pieces = Vec::new();
        for (file, (path, bytes)) in files.iter().enumerate() {
            let mut add = |unit, at| pieces.push(Piece { file, unit, at });
            if path.ends_with("journal") {
                for batch in batches(bytes) {
                    add(Unit::Batch, batch.clone());
                    let count = number(bytes, batch.start + 4);
                    let body = batch.start + BATCH_HEAD;
                    entries(bytes, body, count).for_each(|at| add(Unit::Entry, at));
                }
            } else if path.to_string_lossy().contains("/tile/entries/") {
                entries(bytes, 0, usize::MAX).for_each(|at| add(Unit::Entry, at));
            } else if path.to_string_lossy().contains("/tile/") {
                (0..bytes.len()).step_by(32).for_each(|at| add(Unit::Hash, at..at + 32));
            } else {
                lines(bytes).for_each(|at| add(Unit::Line, at));
            }
        }
        Self { files, pieces }
    }

    pub(crate) fn entries(&self) -> usize {
        self.pieces.iter().filter(|piece| piece.unit == Unit::Entry).count()
    }

    fn is_journal(&self, file: usize) -> bool {
        self.files[file].0.ends_with("journal")
    }

    /// Every bit of every file; those of the journal twice.
    pub(crate) fn flips(&self) -> impl Iterator<Item = Damage> {
        self.each_byte().flat_map(|(file, at)| {
            let mended: &[bool] = if self.is_journal(file) { &[false, true] } else { &[false] };
            mended
                .iter()
                .flat_map(move |mended| (0..8).map(move |bit| (bit, *mended)))
                .map(move |(bit, mended)| Damage::Flip { file, at, bit, mended })
        })
    }

    /// Every file cut at every byte.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = Damage> {
        self.each_byte().map(|(file, to)| Damage::Cut { file, to })
    }

    fn each_byte(&self) -> impl Iterator<Item = (usize, usize)> {
        let files = self.files.iter().enumerate();
        files.flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |at| (file, at)))
    }

    /// Every piece dropped and doubled, every file removed.
    pub(crate) fn drops_and_copies(&self) -> impl Iterator<Item = Damage> {
        let pieces = (0..self.pieces.len()).flat_map(|n| [Damage::Drop(n), Damage::Double(n)]);
        let files = (0..self.files.len()).map(Damage::Remove);
        let over = pairs(self.files.len()).flat_map(|(file, with)| {
            [Damage::Overwrite { file, with }, Damage::Overwrite { file: with, with: file }]
        });
        pieces.chain(files).chain(over)
    }

    /// Every two pieces of a kind, wherever they are, and every two files.
    pub(crate) fn swaps(&self) -> impl Iterator<Item = Damage> {
        let alike = |(a, b): &(usize, usize)| self.pieces[*a].unit == self.pieces[*b].unit;
        let pieces = pairs(self.pieces.len()).filter(alike).map(|(a, b)| Damage::Swap(a, b));
        pieces.chain(pairs(self.files.len()).map(|(a, b)| Damage::Exchange(a, b)))
    }

    /// One of all these and some more, each kind as likely as another.
    pub(crate) fn draw(&self, random: &SeededEntropy) -> Damage {
        let file = random.below(self.files.len());
        let at = random.below(self.files[file].1.len());
        let piece = random.below(self.pieces.len());
        let bit = u32::try_from(random.below(8)).expect("small");
        match random.below(10) {
            0 => Damage::Flip { file, at, bit, mended: false },
            1 => Damage::Flip { file, at, bit, mended: self.is_journal(file) },
            2 => Damage::Cut { file, to: at },
            3 => Damage::Drop(piece),
            4 => Damage::Double(piece),
            5 => loop {
                let other = random.below(self.pieces.len());
                if self.pieces[piece].unit == self.pieces[other].unit {
                    break Damage::Swap(piece, other);
                }
            },
            6 => Damage::Remove(file),
            7 => Damage::Insert { file, at },
            8 => Damage::Blank { file, at },
            _ => Damage::Overwrite { file, with: random.below(self.files.len()) },
        }
    }

    /// The files that it changes; none when it leaves all as they were.
    pub(crate) fn apply(&self, damage: Damage) -> Vec<Changed<'_>> {
        let bytes = |file: usize| self.files[file].1.clone();
        let changed = match damage {
            Damage::Flip { file, at, bit, mended } => {
                let mut bytes = bytes(file);
                bytes[at] ^= 1 << bit;
                if mended {
                    mend(&mut bytes, &self.files[file].1, at);
                }
                vec![(file, Some(bytes))]
            }
            Damage::Cut { file, to } => {
                let mut bytes = bytes(file);
                bytes.truncate(to);
                vec![(file, Some(bytes))]
            }
            Damage::Insert { file, at } => {
                let mut bytes = bytes(file);
                bytes.insert(at, b'A');
                vec![(file, Some(bytes))]
            }
            Damage::Blank { file, at } => {
                let mut bytes = bytes(file);
                let to = bytes.len().min(at + 600);
                bytes[at..to].fill(0);
                vec![(file, Some(bytes))]
            }
            Damage::Drop(n) => self.edit(vec![(n, Vec::new(), -1)]),
            Damage::Double(n) => self.edit(vec![(n, self.piece(n).repeat(2), 1)]),
            Damage::Swap(a, b) if a == b => Vec::new(),
            Damage::Swap(a, b) => {
                self.edit(vec![(a, self.piece(b).to_vec(), 0), (b, self.piece(a).to_vec(), 0)])
            }
            Damage::Remove(file) => vec![(file, None)],
            Damage::Overwrite { file, with } => vec![(file, Some(bytes(with)))],
            Damage::Exchange(a, b) => vec![(a, Some(bytes(b))), (b, Some(bytes(a)))],
        };
        let is_changed =
            |(file, bytes): &(usize, Option<Vec<u8>>)| bytes.as_ref() != Some(&self.files[*file].1);
        let named = |(file, bytes): (usize, _)| (self.files[file].0.as_path(), bytes);
        changed.into_iter().filter(is_changed).map(named).collect()
    }

    /// The bytes of files before, to put them back.
    pub(crate) fn before(&self, path: &Path) -> &[u8] {
        self.files.iter().find(|(name, _)| name == path).map_or(&[], |(_, bytes)| bytes)
    }

    fn piece(&self, n: usize) -> &[u8] {
        let Piece { file, at, .. } = &self.pieces[n];
        &self.files[*file].1[at.clone()]
    }

    fn edit(&self, edits: Vec<(usize, Vec<u8>, i64)>) -> Vec<(usize, Option<Vec<u8>>)> {
        let mut files: Vec<usize> = edits.iter().map(|(n, ..)| self.pieces[*n].file).collect();
        files.dedup();
        let edited = |file: usize| {
            let here = edits.iter().filter(|(n, ..)| self.pieces[*n].file == file);
            let mut edits: Vec<Edit> = here
                .map(|(n, bytes, more)| Edit {
                    at: self.pieces[*n].at.clone(),
                    bytes: bytes.clone(),
                    more: *more,
                })
                .collect();
            edits.sort_by_key(|edit| edit.at.start);
            let whole = &self.files[file].1;
            let is_batch = edits.iter().any(|edit| batches(whole).any(|batch| batch == edit.at));
            let bytes = if self.is_journal(file) && !is_batch {
                sealed(whole, &edits)
            } else {
                spliced(whole, 0..whole.len(), &edits)
            };
            (file, Some(bytes))
        };
        files.into_iter().map(edited).collect()
    }
}

impl fmt::Debug for Intact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.iter().map(|(path, bytes)| (path, bytes.len()))).finish()
    }
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}

/// A part of a file with the edits that fall into it.
fn spliced(bytes: &[u8], part: Range<usize>, edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = part.start;
    for edit in edits.iter().filter(|edit| part.start <= edit.at.start && edit.at.end <= part.end) {
        out.extend(&bytes[at..edit.at.start]);
        out.extend(&edit.bytes);
        at = edit.at.end;
    }
    out.extend(&bytes[at..part.end]);
    out
}

/// A journal with edits in its batches, and every head and digest made to fit.
fn sealed(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut out = bytes[..JOURNAL_HEAD].to_vec();
    let mut first = u64::from_be_bytes(bytes[19..JOURNAL_HEAD].try_into().expect("eight bytes"));
    for batch in batches(bytes) {
        let here = |edit: &&Edit| batch.contains(&edit.at.start);
        let more: i64 = edits.iter().filter(here).map(|edit| edit.more).sum();
        let count = i64::try_from(number(bytes, batch.start + 4)).expect("small") + more;
        let count = u32::try_from(count).expect("none is below one");
        let body = spliced(bytes, batch.start + BATCH_HEAD..batch.end, edits);
        let mut head = u32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
        head.extend(count.to_be_bytes());
        head.extend(first.to_be_bytes());
        head.extend(sha256(&body));
        let check = sha256(&head);
        out.extend(head);
        out.extend(&check[..8]);
        out.extend(body);
        first += u64::from(count);
    }
    out
}

/// Makes the digests fit of the batch that has a changed byte, unless that is in them.
fn mend(bytes: &mut [u8], before: &[u8], at: usize) {
    let Some(batch) = batches(before).find(|batch| batch.contains(&at)) else { return };
    if at >= batch.start + BATCH_HEAD {
        let digest = sha256(&bytes[batch.start + BATCH_HEAD..batch.end]);
        bytes[batch.start + 16..batch.start + 48].copy_from_slice(&digest);
    }
    if !(batch.start + 48..batch.start + BATCH_HEAD).contains(&at) {
        let check = sha256(&bytes[batch.start..batch.start + 48]);
        bytes[batch.start + 48..batch.start + BATCH_HEAD].copy_from_slice(&check[..8]);
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn number(bytes: &[u8], at: usize) -> usize {
    let number = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    usize::try_from(number).expect("small")
}

/// Where the batches of a whole journal are.
fn batches(journal: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = JOURNAL_HEAD;
    std::iter::from_fn(move || {
        let start = next;
        (start < journal.len()).then(|| {
            next = start + BATCH_HEAD + number(journal, start);
            start..next
        })
    })
}

/// Where entries are, with their lengths, from a place on.
fn entries(bytes: &[u8], from: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let mut next = from;
    let each = std::iter::from_fn(move || {
        let start = next;
        (start < bytes.len()).then(|| {
            next = start + 2 + usize::from(bytes[start]) * 256 + usize::from(bytes[start + 1]);
            start..next
        })
    });
    each.take(count)
}

/// Where a note's signed lines are. (A signature's line may stand there twice, and with
/// others in any order: C2SP signed-note.)
fn lines(note: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let length = note[start..].iter().position(|byte| *byte == b'\n')?;
        next = start + length + 1;
        (length > 0).then_some(start..next)
    })
}
