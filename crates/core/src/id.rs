//! Identifiers: UUID version 7 (RFC 9562), so that ids sort by time of birth.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Cx;

/// An identifier, unique and sortable by the millisecond of its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

/// The text was not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an id: expected 36 characters such as `0190c5a4-7b1e-7c3a-9f00-3c1d2e4f5a6b`"
)]
pub struct InvalidId(String);

impl Id {
    /// A new id from the context's clock and randomness.
    pub fn new(cx: &Cx) -> Self {
        let mut random = [0u8; 10];
        cx.fill(&mut random);
        let millis = u64::try_from(cx.now().millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The 16 bytes, which sort as the id does.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| InvalidId(crate::json::clip(text, 64).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_replay_from_a_seed() {
        let (cx, clock) = crate::sim::cx(7);
        let first = Id::new(&cx);
        clock.advance_ms(1);
        let second = Id::new(&cx);
        assert!(first < second);
        assert_eq!(Id::new(&crate::sim::cx(7).0), first);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert_eq!(Id::from_bytes(*first.as_bytes()), first);
        assert!("x".parse::<Id>().is_err());
    }
}
