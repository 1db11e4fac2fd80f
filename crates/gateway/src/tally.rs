//! Refusals before a verdict, recorded without letting a caller fill the ledger:
//! the first of its kind at once, those after it as one count a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::Timestamp;
use bartizan_ledger::Entry;

/// How long refusals of one kind are counted into one entry.
const WINDOW: Duration = Duration::from_secs(60);
/// The most kinds that are counted apart; beyond it the caller is left out of the kind.
const KINDS_MAX: usize = 4096;

/// Why, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    code: &'static str,
    caller: String,
}

#[derive(Debug)]
struct Count {
    since: Timestamp,
    /// Refusals since the last entry.
    unwritten: u64,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<HashMap<Kind, Count>>);

impl Tally {
    /// Counts one refusal; gives the entry to write, if one is due now.
    pub(crate) fn count(&self, now: Timestamp, code: &'static str, caller: &str) -> Option<Entry> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = Kind { code, caller: caller.to_owned() };
        if counts.len() >= KINDS_MAX && !counts.contains_key(&kind) {
            "others".clone_into(&mut kind.caller);
        }
        if let Some(count) = counts.get_mut(&kind) {
            count.unwritten += 1;
            return None;
        }
        let due = entry(&kind, 1);
        counts.insert(kind, Count { since: now, unwritten: 0 });
        Some(due)
    }

    /// The entries of the windows that have ended. Called every few seconds, and at the end.
    pub(crate) fn due(&self, now: Timestamp, all: bool) -> Vec<Entry> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        counts.retain(|kind, count| {
            // A window that begins after now was begun before the clock was set back.
            if !all && count.since <= now && count.since.after(WINDOW) > now {
                return true;
            }
            if count.unwritten > 0 {
                due.push(entry(kind, count.unwritten));
            }
            false
        });
        due
    }
}

fn entry(kind: &Kind, count: u64) -> Entry {
    Entry::new("gateway.refusal").actor(&kind.caller).with("code", kind.code).with("count", count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_makes_two_entries_a_minute() {
        let tally = Tally::default();
        let start = Timestamp::from_millis(0);
        assert!(tally.count(start, "unknown_key", "192.0.2.1").is_some());
        for _ in 0..1000 {
            assert!(tally.count(start, "unknown_key", "192.0.2.1").is_none());
        }
        assert!(tally.count(start, "unknown_key", "192.0.2.2").is_some());
        assert!(tally.due(start.after(Duration::from_secs(59)), false).is_empty());
        assert_eq!(tally.due(start.after(WINDOW), false).len(), 1);
        assert!(tally.due(start.after(WINDOW), true).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_window() {
        let tally = Tally::default();
        let start = Timestamp::from_millis(1_000_000_000);
        (0..2).for_each(|_| drop(tally.count(start, "unknown_key", "192.0.2.1")));
        assert_eq!(tally.due(start.before(Duration::from_secs(3600)), false).len(), 1);
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let tally = Tally::default();
        for i in 0..2 * KINDS_MAX {
            tally.count(Timestamp::from_millis(0), "unknown_key", &i.to_string());
        }
        assert!(tally.0.lock().expect("no panic").len() <= KINDS_MAX + 1);
    }
}
