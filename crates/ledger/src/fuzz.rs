//! What must hold of everything the ledger reads, whatever the bytes: for the targets
//! under `fuzz/` and the property tests, and no part of the front door.

use bartizan_core::json;

use crate::{
    Checkpoint,
    canonical::check,
    journal, state,
    tiles::{self, Tile},
};

/// A note that is read is written again byte for byte.
pub fn note(text: &str) {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.note(), text, "a note has one form");
    }
}

/// A journal that is read has batches that make it up again, but for an unfinished end.
pub fn journal(bytes: &[u8]) {
    let Ok(contents) = journal::read(bytes) else { return };
    let mut again = journal::begin(contents.base);
    for batch in &contents.batches {
        again.extend(journal::batch(batch.first, batch.entries.iter().copied(), batch.note));
    }
    assert!(bytes.starts_with(&again), "what is read is what is there");
    assert_eq!(contents.torn == 0, again.len() == bytes.len(), "an unfinished end is counted");
}

/// The same of a batch whose digests fit, as an intruder would make it, and of that
/// batch cut short and with more behind it.
pub fn sealed_journal(first: u64, count: u32, body: &[u8], cut: usize) {
    let mut batch = vec![0; journal::BATCH_HEAD];
    batch.extend(body);
    journal::seal(first, count, &mut batch);
    let mut bytes = journal::begin(first);
    bytes.extend(&batch);
    journal(&bytes);
    bytes.extend(&batch);
    journal(&bytes);
    bytes.truncate(cut.min(bytes.len()));
    journal(&bytes);
}

/// A tile's path has one form, and so have a bundle and a tile.
pub fn tile(path: &str, bytes: &[u8]) {
    if let Some(tile) = Tile::parse(path) {
        assert_eq!(tile.path(), path, "a tile has one path");
    }
    if let Some(entries) = tiles::unbundle(bytes) {
        assert_eq!(tiles::bundle(entries.into_iter()), bytes, "a bundle has one form");
    }
    if let Some(hashes) = tiles::hashes(bytes) {
        assert_eq!(hashes.as_flattened(), bytes, "a tile is its hashes");
    }
}

/// An entry is canonical when reading and writing it changes nothing: the fast check
/// says what the slow one does.
pub fn entry(bytes: &[u8]) {
    let again = json::parse(bytes, usize::MAX).ok().and_then(|value| json::canonical(&value).ok());
    let is_canonical = again.is_some_and(|text| text.as_bytes() == bytes);
    assert_eq!(check(bytes).is_ok(), is_canonical, "both ways to tell agree");
    let _key = state::rotation(bytes).is_ok();
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{Head, SigningKey};

    /// Some bytes put in the place of others.
    fn altered(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
        let at = at.min(bytes.len());
        let end = bytes.len().min(at + with.len());
        bytes.splice(at..end, with.iter().copied());
        bytes
    }

    fn signed() -> String {
        let key = SigningKey::generate("log.example/a", &sim::cx(1).0).expect("a name");
        let head = Head { origin: "log.example/a".into(), size: 7, root: [9; 32] };
        Checkpoint::sign(&head, &[&key, &key])
    }

    proptest! {
        #[test]
        fn altered_notes_are_read_as_they_are(at in 0_usize..300, with in "[\\PC\n=+/A]{0,4}") {
            let bytes = altered(signed().into_bytes(), at, with.as_bytes());
            note(&String::from_utf8_lossy(&bytes));
            note(&with);
        }

        #[test]
        fn journals_are_read_as_they_are(
            first in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
            entries in vec(vec(any::<u8>(), 0..20), 0..5),
            count in 0_u32..7,
            at in 0_usize..400,
            with in vec(prop_oneof![Just(0), any::<u8>()], 0..40),
            cut in 0_usize..600,
        ) {
            let body = [tiles::bundle(entries.iter().map(Vec::as_slice)), signed().into_bytes()].concat();
            sealed_journal(first, count, &body, cut);
            sealed_journal(first, count, &altered(body.clone(), at, &with), cut);
            let whole = journal::batch(first, entries.iter().map(Vec::as_slice), "note");
            journal(&altered([journal::begin(first), whole].concat(), at, &with));
        }

        #[test]
        fn tiles_are_read_as_they_are(
            path in "tile/([0-9]|entries)/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?",
            bytes in vec(prop_oneof![Just(0), 0_u8..4, any::<u8>()], 0..300),
        ) {
            tile(&path, &bytes);
        }

        #[test]
        fn entries_are_judged_alike(
            text in "\\{(\"(kind|key|body|v)\":(\"[a-z._+\\\\\"]{0,8}\"|-?[0-9]{1,17}|\\[\\]|null),?){0,3}\\}",
            at in 0_usize..60,
            with in vec(any::<u8>(), 0..3),
        ) {
            entry(text.as_bytes());
            entry(&altered(text.into_bytes(), at, &with));
            entry(br#"{"body":{"key":"x"},"kind":"ledger.key_rotated"}"#);
        }
    }
}
