//! The proof that an entry is in the ledger, as pages show it: verified here, and with all
//! that a browser needs to verify it by itself.

use bartizan_core::json;
use bartizan_ledger::{Checkpoint, tree, verify_inclusion};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{Admin, Failure};

/// A proof.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) index: u64,
    /// The entry's bytes, which the leaf is the hash of.
    pub(crate) canonical: String,
    /// A C2SP tlog-proof.
    pub(crate) text: String,
    pub(crate) key: String,
    pub(crate) leaf: String,
    pub(crate) root: String,
    pub(crate) size: u64,
    pub(crate) path: Vec<String>,
    pub(crate) class: &'static str,
    pub(crate) words: String,
}

/// The proof of one entry, under the newest checkpoint.
///
/// # Errors
/// When there is no such entry, or the ledger cannot be read.
pub(crate) fn of(admin: &Admin, index: u64) -> Result<(Value, Shown), Failure> {
    let ledger = &admin.gateway.ledger;
    let entry = ledger.entry(index)?;
    let proof = ledger.prove(index)?;
    let canonical = json::canonical(&entry).map_err(|problem| {
        Failure::invalid(format!("entry {index} has no canonical form: {problem}"))
    })?;
    let leaf = tree::leaf(canonical.as_bytes());
    let checkpoint = Checkpoint::parse(&proof.checkpoint)?;
    let head = &checkpoint.head;
    let signed = checkpoint.is_signed_by(&ledger.verifier());
    let within = verify_inclusion(&leaf, index, head.size, &proof.path, &head.root);
    let (class, words) = match (signed, within) {
        (true, true) => (
            "good",
            format!(
                "The server verified it: entry {index} is under the signed checkpoint of {} entries",
                head.size
            ),
        ),
        (false, _) => ("bad", "The checkpoint is not signed by the ledger's key".to_owned()),
        (_, false) => {
            ("bad", "The path does not lead from the entry to the signed root".to_owned())
        }
    };
    let shown = Shown {
        index,
        text: proof.to_string(),
        key: ledger.verifier().to_string(),
        leaf: STANDARD.encode(leaf),
        root: STANDARD.encode(head.root),
        size: head.size,
        path: proof.path.iter().map(|hash| STANDARD.encode(hash)).collect(),
        class,
        words,
        canonical,
    };
    Ok((entry, shown))
}
