//! What both databases' columns hold, read back.

use bartizan_core::Id;

pub(crate) fn id(bytes: &[u8]) -> sqlx::Result<Id> {
    let bytes = <[u8; 16]>::try_from(bytes);
    bytes.map(Id::from_bytes).map_err(|_| sqlx::Error::Decode("an id is not of 16 bytes".into()))
}

pub(crate) fn number(stored: i64) -> sqlx::Result<u64> {
    u64::try_from(stored).map_err(|_| sqlx::Error::Decode("a count is below zero".into()))
}

/// The databases' numbers end at 2^63 - 1.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
