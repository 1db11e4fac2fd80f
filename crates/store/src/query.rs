//! Finding records: by class and facets, page by page, in the order of time; and counting them.

use std::fmt;

use bartizan_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Class, Record};

/// The most records of one page.
pub const PAGE_RECORDS_MAX: u16 = 500;

/// What to list.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    pub class: &'a Class,
    /// Each facet must have the value, or hold it among others.
    pub filters: Vec<(&'a str, String)>,
    /// Put at this time or later.
    pub since: Option<Timestamp>,
    /// Put before this time.
    pub until: Option<Timestamp>,
    /// Goes on where a page ended.
    pub after: Option<Cursor>,
    /// Goes back from where a page began: the records just before it, in the same order.
    pub before: Option<Cursor>,
    pub order: Order,
    /// From 1 to [`PAGE_RECORDS_MAX`]. A page of large records may be shorter.
    pub limit: u16,
    /// Whether to decrypt the sealed parts, too.
    pub sealed: bool,
}

impl<'a> Query<'a> {
    /// The newest hundred of a class.
    pub const fn new(class: &'a Class) -> Self {
        Self {
            class,
            filters: Vec::new(),
            since: None,
            until: None,
            after: None,
            before: None,
            order: Order::Newest,
            limit: 100,
            sealed: true,
        }
    }
}

/// Which records come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

impl Order {
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::Newest => Self::Oldest,
            Self::Oldest => Self::Newest,
        }
    }
}

/// Some of the records that a query finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when this one is the last.
    pub next: Option<Cursor>,
    /// Where the page before ends: it goes into [`Query::before`]. `None` when this one is the
    /// first.
    pub previous: Option<Cursor>,
}

/// Where a page ended, or began. It holds for the same tenant, class, filters and order only, and is
/// authenticated: one that was made or changed by hand is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub(crate) String);

impl Cursor {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Cursor {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The most values of a facet that are told.
pub const VALUES_MAX: u16 = 500;
/// LIMIT: the most steps of a histogram; a screen shows no more.
pub const STEPS_MAX: usize = 2000;

/// What to count.
#[derive(Clone, Debug)]
pub struct Counting<'a> {
    pub class: &'a Class,
    /// As in [`Query::filters`].
    pub filters: Vec<(&'a str, String)>,
    /// Put at this time or later.
    pub since: Option<Timestamp>,
    /// Put before this time.
    pub until: Option<Timestamp>,
    /// The facets whose values are counted.
    pub by: Vec<&'a str>,
    /// How many values of a facet are told at most, the most frequent first: 1 to
    /// [`VALUES_MAX`].
    pub values_max: u16,
    /// Whether to count by time, too.
    pub steps: Option<Steps<'a>>,
}

impl<'a> Counting<'a> {
    /// How many records of a class there are.
    pub const fn new(class: &'a Class) -> Self {
        Self {
            class,
            filters: Vec::new(),
            since: None,
            until: None,
            by: Vec::new(),
            values_max: 50,
            steps: None,
        }
    }
}

/// How to count by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps<'a> {
    pub step: Step,
    /// Tells the values of this facet apart, the most frequent ones of all the time.
    pub by: Option<&'a str>,
}

/// How long a step of time is. Steps begin at whole ones in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

impl Step {
    pub(crate) const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    /// How long it is.
    pub const fn millis(self) -> i64 {
        match self {
            Self::FiveMinutes => 5 * 60 * 1000,
            Self::Hour => 60 * 60 * 1000,
            Self::Day => 24 * 60 * 60 * 1000,
        }
    }

    /// Where the step that holds this time begins.
    pub const fn start(self, time: Timestamp) -> Timestamp {
        Timestamp::from_millis(self.floor(time.millis()))
    }

    pub(crate) const fn floor(self, millis: i64) -> i64 {
        millis.saturating_sub(millis.rem_euclid(self.millis()))
    }

    pub(crate) const fn ceil(self, millis: i64) -> i64 {
        let floor = self.floor(millis);
        if floor == millis { floor } else { floor.saturating_add(self.millis()) }
    }
}

/// What was counted. Where something is not exact, there are at least as many: only so many
/// records are looked at one by one, the newest of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The records that pass.
    pub records: u64,
    pub exact: bool,
    /// In the order of [`Counting::by`].
    pub facets: Vec<FacetCounts>,
    /// Empty where it was not asked for.
    pub steps: StepCounts,
}

/// How many records have each value of a facet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FacetCounts {
    pub facet: String,
    /// The most frequent first, and of equally frequent ones in their order.
    pub values: Vec<(String, u64)>,
    /// Whether there are more values than are told.
    pub more: bool,
    pub exact: bool,
}

/// How many records there are in each step of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// In the order of time; steps without records are left out.
    pub steps: Vec<StepCount>,
    pub exact: bool,
    /// Whether the values are exact, too.
    pub values_exact: bool,
}

/// How many records there are in one step of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCount {
    pub start: Timestamp,
    pub records: u64,
    /// Of them, by value; the values stand in the same order in every step.
    pub values: Vec<(String, u64)>,
}
