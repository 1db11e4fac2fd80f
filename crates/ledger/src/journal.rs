//! The journal: what was acknowledged since the tiles were last written.
//!
//! A file of records, each `length: u32 big-endian`, `kind: u8`, `payload`. A batch
//! is its entries (kind `E`) followed by the signed checkpoint that covers them
//! (kind `C`), written at once and flushed to the disk once. The first record (kind
//! `B`) is the tree's size at which the journal begins, as 8 bytes big-endian.

use bartizan_core::constants::LEDGER_ENTRY_BYTES_MAX;

pub(crate) const FILE: &str = "journal";
const BASE: u8 = b'B';
const ENTRY: u8 = b'E';
const CHECKPOINT: u8 = b'C';
/// A record's length and kind.
const HEAD: usize = 5;

/// What a journal holds up to its last whole batch.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) base: u64,
    pub(crate) entries: Vec<Vec<u8>>,
    /// Each checkpoint, and how many of the entries it covers.
    pub(crate) checkpoints: Vec<(usize, String)>,
    /// The bytes of whole batches; what follows was never acknowledged.
    pub(crate) whole: usize,
    /// Entries after the last checkpoint.
    pub(crate) torn: usize,
}

pub(crate) fn begin(base: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, BASE, &base.to_be_bytes());
    out
}

pub(crate) fn batch<'a>(entries: impl Iterator<Item = &'a [u8]>, checkpoint: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        put(&mut out, ENTRY, entry);
    }
    put(&mut out, CHECKPOINT, checkpoint.as_bytes());
    out
}

fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    let length =
        u32::try_from(payload.len()).expect("INVARIANT: entries and notes are at most 64 KiB");
    out.extend(length.to_be_bytes());
    out.push(kind);
    out.extend(payload);
}

/// Reads a journal. A record that is cut off ends it: that is how a crash in the
/// middle of a write looks, and nothing behind it was acknowledged.
///
/// # Errors
/// Says what stands where no crash can have put it.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, String> {
    let mut contents = Contents::default();
    let mut at = 0;
    let mut first = true;
    let mut covered = 0;
    while let Some((kind, payload, next)) = record(bytes, at)? {
        match (first, kind) {
            (true, BASE) => {
                let base = payload.try_into().map_err(|_| "its base is malformed".to_owned())?;
                contents.base = u64::from_be_bytes(base);
                contents.whole = next;
            }
            (false, ENTRY) => contents.entries.push(payload.to_vec()),
            (false, CHECKPOINT) => {
                let note = std::str::from_utf8(payload)
                    .map_err(|_| format!("the checkpoint at byte {at} is no text"))?;
                covered = contents.entries.len();
                contents.checkpoints.push((covered, note.to_owned()));
                contents.whole = next;
            }
            _ => return Err(format!("byte {at} begins no record that belongs there")),
        }
        first = false;
        at = next;
    }
    contents.torn = contents.entries.len() - covered;
    contents.entries.truncate(covered);
    Ok(contents)
}

/// A record's kind, its payload, and where the next one begins.
type Record<'a> = (u8, &'a [u8], usize);

/// The record at a place; nothing where the file ends or the record is cut.
fn record(bytes: &[u8], at: usize) -> Result<Option<Record<'_>>, String> {
    let Some(head) = bytes.get(at..at + HEAD) else { return Ok(None) };
    let &[a, b, c, d, kind] = head else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    // A torn write leaves a prefix, or, where the file system had grown the file
    // before the data arrived, zeros.
    if bytes.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0)) {
        return Ok(None);
    }
    if length > LEDGER_ENTRY_BYTES_MAX {
        return Err(format!("the record at byte {at} claims {length} bytes"));
    }
    let start = at + HEAD;
    Ok(bytes.get(start..start + length).map(|payload| (kind, payload, start + length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_write_cut_at_any_byte_leaves_the_batches_before_it() {
        let mut bytes = begin(7);
        bytes.extend(batch([b"one".as_slice(), b"two"].into_iter(), "note 1"));
        let whole = bytes.len();
        bytes.extend(batch([b"three".as_slice()].into_iter(), "note 2"));
        for end in whole..bytes.len() {
            let contents = read(&bytes[..end]).expect("a cut is no damage");
            assert_eq!(
                (contents.base, contents.whole, contents.entries.len()),
                (7, whole, 2),
                "cut at {end}"
            );
        }
        assert_eq!(
            read(&bytes).expect("whole").checkpoints,
            [(2, "note 1".into()), (3, "note 2".into())]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_contents_or_a_problem(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(contents) = read(&bytes) {
                prop_assert!(contents.whole <= bytes.len());
            }
        }
    }
}
