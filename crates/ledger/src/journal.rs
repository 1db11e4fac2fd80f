//! The journal: what was acknowledged since the tiles were last written.
//!
//! A header, then batches. A batch is written at once, flushed once, and the next one
//! is not begun before: so a crash leaves at most one unfinished batch, at the end.
//! Each batch carries its length and digest, so that an unfinished one is told apart
//! from one that was altered. The layout is in `docs/reference/ledger-format.md`.

use bartizan_core::constants::LEDGER_ENTRY_BYTES_MAX;

use crate::tree::sha256;

pub(crate) const FILE: &str = "journal";
const MAGIC: &[u8] = b"bartizan journal 1\n";
/// What the journals of every version begin with.
const MAGIC_OF_ALL: &[u8] = b"bartizan journal ";
/// Magic, and the size of the tree at which the journal begins.
pub(crate) const HEAD: usize = MAGIC.len() + 8;
/// Body length, number of entries, index of the first, digest of the body, check.
pub(crate) const BATCH_HEAD: usize = 4 + 4 + 8 + 32 + CHECK;
/// Bytes of the digest over a batch's own head.
const CHECK: usize = 8;
/// LIMIT: the largest body of a batch. The writer stops filling one at half of this.
pub(crate) const BODY_BYTES_MAX: usize = 8 << 20;
/// The unit in which a disk writes or does not.
const SECTOR: usize = 512;
/// A batch's first byte is zero in any case, so a sector's part must have more to tell.
const UNWRITTEN_MIN: usize = 2;

/// One write: entries, and the signed checkpoint that covers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch<'a> {
    /// The first entry's index.
    pub(crate) first: u64,
    pub(crate) entries: Vec<&'a [u8]>,
    pub(crate) note: &'a str,
}

/// What a journal holds up to its last whole batch.
#[derive(Debug, Default)]
pub(crate) struct Contents<'a> {
    pub(crate) base: u64,
    pub(crate) batches: Vec<Batch<'a>>,
    /// Entries of the unfinished batch at the end, one at least when there is one.
    pub(crate) torn: usize,
}

/// An empty journal.
pub(crate) fn begin(base: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(base.to_be_bytes());
    out
}

/// The bytes of a batch. Entries are of at most 65,535 bytes, and fit [`BODY_BYTES_MAX`].
pub(crate) fn batch<'a>(
    first: u64,
    entries: impl ExactSizeIterator<Item = &'a [u8]>,
    note: &str,
) -> Vec<u8> {
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut out = vec![0; BATCH_HEAD];
    for entry in entries {
        put_entry(&mut out, entry);
    }
    out.extend(note.as_bytes());
    seal(first, count, &mut out);
    out
}

/// Fills in a batch's own head, for which room is left before the body.
pub(crate) fn seal(first: u64, count: u32, batch: &mut [u8]) {
    let Some((head, body)) = batch.split_at_mut_checked(BATCH_HEAD) else { return };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut fields = length.to_be_bytes().to_vec();
    fields.extend(count.to_be_bytes());
    fields.extend(first.to_be_bytes());
    fields.extend(sha256(body));
    let check = sha256(&fields);
    fields.extend(check.iter().take(CHECK));
    head.copy_from_slice(&fields);
}

/// An entry as bundles and batches have it: its length in 16 bits, and its bytes.
pub(crate) fn put_entry(out: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).expect("INVARIANT: an entry is checked when it comes");
    debug_assert!(entry.len() <= LEDGER_ENTRY_BYTES_MAX);
    out.extend(length.to_be_bytes());
    out.extend(entry);
}

/// Takes an entry off the front.
pub(crate) fn take_entry<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(entry)
}

/// Whether it begins as a journal of a later format does.
pub(crate) fn is_newer(bytes: &[u8]) -> bool {
    bytes.strip_prefix(MAGIC_OF_ALL).is_some_and(|rest| {
        let format = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let newer = rest.first().is_some_and(|digit| *digit > b'0') && !bytes.starts_with(MAGIC);
        newer && rest.get(format) == Some(&b'\n')
    })
}

/// Reads a journal. An unfinished batch at its end is dropped: that is how a crash in
/// the middle of a write looks, and nothing of it was acknowledged.
///
/// # Errors
/// Says what stands where no crash can have put it.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents<'_>, String> {
    let base = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<8>()).ok_or(
        if is_newer(bytes) {
            "it is of a newer format than this version of Bartizan knows"
        } else {
            "it does not begin as a journal does"
        },
    )?;
    let mut contents = Contents { base: u64::from_be_bytes(*base), ..Contents::default() };
    let (mut at, mut next) = (HEAD, contents.base);
    while at < bytes.len() {
        match batch_at(bytes, at)? {
            Found::Unfinished { entries } => {
                contents.torn = entries.max(1);
                break;
            }
            Found::Whole { batch, end } => {
                if batch.first != next {
                    return Err(format!(
                        "the batch at byte {at} begins with entry {}, and {next} is due",
                        batch.first
                    ));
                }
                let count = u64::try_from(batch.entries.len()).unwrap_or(u64::MAX);
                next = next.checked_add(count).ok_or("its indices overflow")?;
                at = end;
                contents.batches.push(batch);
            }
        }
    }
    Ok(contents)
}

enum Found<'a> {
    Whole { batch: Batch<'a>, end: usize },
    Unfinished { entries: usize },
}

/// A batch's own head, once its check holds.
struct BatchHead {
    length: usize,
    count: usize,
    first: u64,
    digest: [u8; 32],
}

fn batch_at(bytes: &[u8], at: usize) -> Result<Found<'_>, String> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some((head, after)) = rest.split_first_chunk::<BATCH_HEAD>() else {
        return Ok(Found::Unfinished { entries: 0 });
    };
    let Some(head) = batch_head(head) else {
        let is_one_batch = rest.len() <= BATCH_HEAD + BODY_BYTES_MAX;
        if is_one_batch && has_unwritten(bytes, at, at + BATCH_HEAD) {
            return Ok(Found::Unfinished { entries: 0 });
        }
        return Err(format!("the head of the batch at byte {at} was altered"));
    };
    let start = at + BATCH_HEAD;
    let Some(body) = after.get(..head.length) else {
        return Ok(Found::Unfinished { entries: head.count });
    };
    let end = start + head.length;
    if sha256(body) != head.digest {
        // The sector in which the body begins was written, since the head is there.
        let second = start.div_ceil(SECTOR) * SECTOR;
        if end == bytes.len() && has_unwritten(bytes, second, end) {
            return Ok(Found::Unfinished { entries: head.count });
        }
        return Err(format!("the batch at byte {at} was altered"));
    }
    let batch = split(&head, body).ok_or_else(|| format!("the batch at byte {at} is malformed"))?;
    Ok(Found::Whole { batch, end })
}

fn batch_head(bytes: &[u8; BATCH_HEAD]) -> Option<BatchHead> {
    let (fields, check) = bytes.split_at_checked(BATCH_HEAD - CHECK)?;
    if sha256(fields).get(..CHECK)? != check {
        return None;
    }
    let (length, fields) = fields.split_first_chunk::<4>()?;
    let (count, fields) = fields.split_first_chunk::<4>()?;
    let (first, fields) = fields.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    if length > BODY_BYTES_MAX || count == 0 {
        return None;
    }
    let digest = *fields.first_chunk()?;
    Some(BatchHead { length, count, first: u64::from_be_bytes(*first), digest })
}

fn split<'a>(head: &BatchHead, mut body: &'a [u8]) -> Option<Batch<'a>> {
    let mut entries = Vec::new();
    for _ in 0..head.count {
        entries.push(take_entry(&mut body)?);
    }
    Some(Batch { first: head.first, entries, note: std::str::from_utf8(body).ok()? })
}

/// Whether a sector with any of `bytes[from..to]` is all zeros from `from` on: a disk
/// that lost power leaves whole sectors so, and no whole batch has that.
fn has_unwritten(bytes: &[u8], from: usize, to: usize) -> bool {
    let mut start = from;
    while start < to {
        let end = (start / SECTOR + 1) * SECTOR;
        let part = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
        if part.len() >= UNWRITTEN_MIN && part.iter().all(|byte| *byte == 0) {
            return true;
        }
        start = end;
    }
    false
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn three() -> (Vec<u8>, [usize; 3]) {
        let mut bytes = begin(7);
        bytes.extend(batch(7, [b"one".as_slice(), b"two"].into_iter(), "note 1"));
        let first = bytes.len();
        bytes.extend(batch(9, [b"three".as_slice()].into_iter(), "note 2"));
        let second = bytes.len();
        let long = vec![b'x'; 3000];
        bytes.extend(batch(10, [long.as_slice()].into_iter(), "note 3"));
        let third = bytes.len();
        (bytes, [first, second, third])
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        for (head, newer) in [
            ("bartizan journal 2\n", true),
            ("bartizan journal 10\n", true),
            ("bartizan journal 1\n", false),
            ("bartizan journal 0\n", false),
            ("bartizan journal 2", false),
            ("bartizan journal x\n", false),
            ("bartizan journal \n", false),
            ("", false),
        ] {
            assert_eq!(is_newer(head.as_bytes()), newer, "{head:?}");
        }
    }

    #[test]
    fn a_write_cut_at_any_byte_leaves_the_batches_before_it() {
        let (bytes, [first, second, third]) = three();
        for end in HEAD..=third {
            let contents = read(&bytes[..end]).expect("a cut is no damage");
            let whole = [first, second, third].iter().filter(|at| **at <= end).count();
            assert_eq!(contents.batches.len(), whole, "cut at {end}");
            let is_clean = [HEAD, first, second, third].contains(&end);
            assert_eq!(contents.torn == 0, is_clean, "cut at {end}");
        }
        assert!(read(&bytes[..HEAD - 1]).is_err(), "a journal's head is never written in place");
    }

    #[test]
    fn sectors_that_never_reached_the_disk_are_a_crash() {
        let (bytes, [_, second, third]) = three();
        for sector in second / SECTOR..third.div_ceil(SECTOR) {
            let mut torn = bytes.clone();
            let from = (sector * SECTOR).max(second);
            torn[from..third.min((sector + 1) * SECTOR)].fill(0);
            let contents = read(&torn).expect("no damage");
            assert_eq!((contents.batches.len(), contents.torn), (2, 1), "sector {sector}");
        }
    }

    #[test]
    fn a_changed_bit_anywhere_is_damage_and_no_crash() {
        let (bytes, _) = three();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                // The base is held against the tiles by whoever reads the journal.
                let is_base = (MAGIC.len()..HEAD).contains(&at);
                assert!(read(&altered).is_err(), "bit {bit} of byte {at}, base: {is_base}");
            }
        }
    }

    #[test]
    fn a_batch_taken_out_or_put_in_twice_is_damage() {
        let (bytes, [first, second, _]) = three();
        let without = [&bytes[..first], &bytes[second..]].concat();
        assert!(read(&without).is_err());
        let twice = [&bytes[..second], &bytes[first..]].concat();
        assert!(read(&twice).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_contents_or_a_problem(tail in proptest::collection::vec(any::<u8>(), 0..200), base in any::<u64>()) {
            let mut bytes = begin(base);
            bytes.extend(tail);
            if let Ok(contents) = read(&bytes) {
                prop_assert_eq!(contents.batches.len(), 0);
            }
        }
    }
}
