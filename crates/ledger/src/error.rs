//! What can go wrong with a ledger, and what to do about it.

/// An error of the ledger.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the entry cannot be recorded: {problem}")]
    Entry { problem: String },
    #[error("the key cannot be used: {problem}")]
    Key { problem: String },
    #[error("the signed note cannot be read: {problem}")]
    Note { problem: String },
    #[error("`{path}`: {problem}")]
    File { path: String, problem: String },
    #[error(
        "the ledger in `{path}` does not verify: {problem}; keep the directory as it is, compare it with a backup or a witness, and start with another data directory"
    )]
    Damaged { path: String, problem: String },
    #[error(
        "the journal of the ledger in `{path}` has a newer format than this version of Bartizan knows; it was not touched: use the newer version"
    )]
    Newer { path: String },
    #[error("the ledger in `{path}` is in use by another process; stop that one first")]
    Locked { path: String },
    #[error(
        "the ledger takes no more entries since a write failed: {problem}; mend the cause and start again"
    )]
    ReadOnly { problem: String },
    #[error("the ledger is busy: too many entries wait to be written; try again")]
    Busy,
    #[error("the ledger is shutting down")]
    Closed,
    #[error("there is no entry {index}: the ledger has {size}")]
    NoEntry { index: u64, size: u64 },
    #[error("the witness refuses: {problem}")]
    Witness { problem: String },
}
