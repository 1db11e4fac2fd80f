//! What a store remembers of a log that it lies beside.

/// The newest head of a log that was seen to be durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Which log: the hash of its first entry, which no other log has.
    pub log: [u8; 32],
    /// The log's name.
    pub origin: String,
    pub size: u64,
    pub root: [u8; 32],
}
