//! Finding records: by class and facets, page by page, in the order of time.

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

/// Some of the records that a query finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when this one is the last.
    pub next: Option<Cursor>,
}

/// Where a page ended. It holds for the same tenant, class, filters and order only, and is
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
