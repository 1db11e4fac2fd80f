//! Refusals before a verdict, recorded without letting a caller fill ledger or store:
//! the first of its kind at once, those after it as one count a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bartizan_core::{Cx, Id, Tenant, Timestamp};
use bartizan_ledger::Entry;
use bartizan_store::{Class, Retention};
use serde_json::{Map, Value, json};

use crate::decisions::object;

/// Refusals of one kind in one minute, before any verdict: of whom, why, and how many.
pub const REFUSAL: Class = Class {
    name: "refusal",
    facets: &["code", "caller", "key", "route", "end_user", "plane"],
    counted: &["code", "key", "route", "plane"],
    retention: Retention::days(90),
};

/// How long refusals of one kind are counted into one entry.
const WINDOW: Duration = Duration::from_secs(60);
/// The most kinds that are counted apart; beyond it the caller is left out of the kind.
const KINDS_MAX: usize = 4096;
/// LIMIT: counts that are brought up to date at a time in the records for people.
const NOTES_MAX: usize = 512;

/// Who was refused, as far as that was known by then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Whom {
    /// The client's address; or, of administration, the person.
    pub(crate) caller: String,
    /// The key that the request had, and its tenant.
    pub(crate) key: Option<(Tenant, Id)>,
    pub(crate) route: Option<String>,
    /// Where it was refused: `data`, or `admin`.
    pub(crate) plane: &'static str,
}

impl Whom {
    pub(crate) fn new(caller: &str) -> Self {
        Self { caller: caller.to_owned(), key: None, route: None, plane: "data" }
    }
}

/// What is known of a request so far, should it be refused.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) whom: Whom,
    /// A keyed digest of the end user's name.
    pub(crate) end_user: Option<String>,
}

impl Known {
    pub(crate) fn new(caller: &str) -> Self {
        Self { whom: Whom::new(caller), end_user: None }
    }

    /// Of administration.
    pub(crate) fn of_administration(caller: &str) -> Self {
        let whom = Whom { plane: "admin", ..Whom::new(caller) };
        Self { whom, end_user: None }
    }
}

/// Why, and whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    code: &'static str,
    whom: Whom,
}

#[derive(Debug)]
struct Count {
    /// Of the record for people.
    id: Id,
    since: Timestamp,
    total: u64,
    /// Refusals since the last entry.
    unwritten: u64,
    /// Whether the record is behind.
    is_behind: bool,
    end_user: EndUser,
}

/// For whom the application spoke: a key may do so for many, whom it alone names, so that they
/// are not kinds of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EndUser {
    One(Option<String>),
    Several,
}

impl EndUser {
    fn meet(&mut self, other: Option<&str>) {
        if let Self::One(one) = self
            && one.as_deref() != other
        {
            *self = Self::Several;
        }
    }

    fn one(&self) -> Option<&str> {
        match self {
            Self::One(one) => one.as_deref(),
            Self::Several => None,
        }
    }
}

/// What is to be written about refusals of one kind.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) entry: Option<Entry>,
    pub(crate) note: Option<Note>,
}

/// The record for people, as it should be now.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) id: Id,
    pub(crate) tenant: Tenant,
    pub(crate) meta: Map<String, Value>,
}

/// Counts refusals.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<HashMap<Kind, Count>>);

impl Tally {
    /// Counts one refusal; gives what is to be written, if something is due now.
    pub(crate) fn count(
        &self,
        cx: &Cx,
        code: &'static str,
        Known { whom, end_user }: &Known,
    ) -> Option<Due> {
        let end_user = end_user.as_deref();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = Kind { code, whom: whom.clone() };
        if counts.len() >= KINDS_MAX && !counts.contains_key(&kind) {
            kind.whom = Whom::new("others");
        }
        if let Some(count) = counts.get_mut(&kind) {
            count.total += 1;
            count.unwritten += 1;
            count.is_behind = true;
            count.end_user.meet(end_user);
            return None;
        }
        let count = Count {
            id: Id::new(cx),
            since: cx.now(),
            total: 1,
            unwritten: 0,
            is_behind: false,
            end_user: EndUser::One(end_user.map(str::to_owned)),
        };
        let due =
            Due { entry: Some(entry(&kind, 1, &count.end_user)), note: Some(note(&kind, &count)) };
        counts.insert(kind, count);
        Some(due)
    }

    /// What is due of the kinds whose window has ended, and of the records that are behind.
    /// Called every few seconds, and at the end.
    pub(crate) fn due(&self, now: Timestamp, all: bool) -> Vec<Due> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut due, mut notes) = (Vec::new(), 0);
        counts.retain(|kind, count| {
            // A window that begins after now was begun before the clock was set back.
            let goes_on = !all && count.since <= now && count.since.after(WINDOW) > now;
            if goes_on && notes >= NOTES_MAX {
                return true;
            }
            let one = Due {
                entry: (!goes_on && count.unwritten > 0)
                    .then(|| entry(kind, count.unwritten, &count.end_user)),
                // Its record names the entry.
                note: (count.is_behind || !goes_on && count.unwritten > 0)
                    .then(|| note(kind, count)),
            };
            notes += usize::from(one.note.is_some());
            count.is_behind = false;
            if one.entry.is_some() || one.note.is_some() {
                due.push(one);
            }
            goes_on
        });
        due
    }
}

fn entry(Kind { code, whom }: &Kind, count: u64, end_user: &EndUser) -> Entry {
    let mut entry = Entry::new("gateway.refusal").with("code", *code).with("count", count);
    entry = match &whom.key {
        Some((_, key)) => entry.actor(&format!("key:{key}")).with("caller", whom.caller.as_str()),
        None => entry.actor(&whom.caller),
    };
    if let Some(route) = &whom.route {
        entry = entry.with("route", route.as_str());
    }
    if let Some(end_user) = end_user.one() {
        entry = entry.with("end_user", end_user);
    }
    entry
}

fn note(Kind { code, whom }: &Kind, count: &Count) -> Note {
    let (tenant, key) = whom.key.clone().unzip();
    let caller = whom.caller.strip_prefix("address:").unwrap_or(&whom.caller);
    let meta = object(json!({
        "code": code, "plane": whom.plane, "caller": caller, "key": key, "route": whom.route,
        "end_user": count.end_user.one(), "several_users": count.end_user == EndUser::Several,
        "count": count.total,
    }));
    Note { id: count.id, tenant: tenant.unwrap_or_default(), meta }
}

#[cfg(test)]
mod tests {
    use bartizan_core::sim;

    use super::*;

    fn of(due: &Due) -> (bool, u64) {
        let count = due.note.as_ref().and_then(|note| note.meta.get("count")?.as_u64());
        (due.entry.is_some(), count.unwrap_or(0))
    }

    #[test]
    fn a_flood_of_refusals_makes_two_entries_a_minute_and_one_record() {
        let (cx, sim) = sim::cx(1);
        let (tally, one) = (Tally::default(), Known::new("192.0.2.1"));
        let first = tally.count(&cx, "unknown_key", &one).expect("the first is due");
        assert_eq!(of(&first), (true, 1));
        for _ in 0..1000 {
            assert!(tally.count(&cx, "unknown_key", &one).is_none());
        }
        assert!(tally.count(&cx, "unknown_key", &Known::new("192.0.2.2")).is_some());
        sim.advance_ms(15_000);
        // Meanwhile people see how many there were so far.
        let soon: Vec<_> = tally.due(cx.now(), false).iter().map(of).collect();
        assert_eq!(soon, [(false, 1001)]);
        assert!(tally.due(cx.now(), false).is_empty());
        tally.count(&cx, "unknown_key", &one);
        sim.advance_ms(60_000);
        let last: Vec<_> = tally.due(cx.now(), false).iter().map(of).collect();
        assert_eq!(last, [(true, 1002)]);
        assert!(tally.due(cx.now(), true).is_empty());
    }

    #[test]
    fn whose_requests_they_are_is_told_as_long_as_it_is_one() {
        let (cx, _) = sim::cx(1);
        let tally = Tally::default();
        let whom = Whom {
            key: Some((Tenant::default(), Id::new(&cx))),
            route: Some("chat".to_owned()),
            ..Whom::new("192.0.2.1")
        };
        let of = |user: &str| Known { whom: whom.clone(), end_user: Some(user.to_owned()) };
        let told = |due: &Due| {
            let note = due.note.as_ref().expect("a record");
            (note.meta["end_user"].clone(), note.meta["several_users"].clone())
        };
        let first = tally.count(&cx, "over_limit", &of("a")).expect("the first is due");
        assert_eq!(told(&first), (json!("a"), json!(false)));
        tally.count(&cx, "over_limit", &of("a"));
        assert_eq!(told(&tally.due(cx.now(), false)[0]), (json!("a"), json!(false)));
        tally.count(&cx, "over_limit", &of("b"));
        assert_eq!(told(&tally.due(cx.now(), true)[0]), (Value::Null, json!(true)));
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_window() {
        let (cx, _) = sim::cx(1);
        let (tally, known) = (Tally::default(), Known::new("192.0.2.1"));
        (0..2).for_each(|_| drop(tally.count(&cx, "unknown_key", &known)));
        assert_eq!(tally.due(cx.now().before(Duration::from_secs(3600)), false).len(), 1);
        assert!(tally.due(cx.now(), true).is_empty());
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let (cx, _) = sim::cx(1);
        let tally = Tally::default();
        for i in 0..2 * KINDS_MAX {
            tally.count(&cx, "unknown_key", &Known::new(&i.to_string()));
        }
        assert!(tally.0.lock().expect("no panic").len() <= KINDS_MAX + 1);
    }
}
