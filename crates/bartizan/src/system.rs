//! The real clock and the system's randomness, which reach the rest in a [`Cx`].

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bartizan_core::{Clock, Cx, Entropy, Timestamp};

/// The context of production.
pub(crate) fn cx() -> Cx {
    Cx::new(Arc::new(SystemClock), entropy())
}

/// The system's randomness alone, for a context whose time is another.
pub(crate) fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where `Cx` gets the time from")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

#[derive(Debug)]
struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "keys made without the system's randomness would be worse than no program"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("INVARIANT: the operating system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_and_randomness_differs() {
        let cx = cx();
        assert!(cx.now().millis() > 1_767_225_600_000, "the clock stands before 2026");
        assert_ne!(cx.random::<16>(), cx.random::<16>());
    }
}
