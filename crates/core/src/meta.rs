//! What every catalogue says of each thing in it.

use crate::Severity;

/// A rule, scanner, attack or probe as its catalogue lists it.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// Unique, and never used again for another thing.
    pub code: &'static str,
    pub name: &'static str,
    /// References as `framework@edition/id`.
    pub refs: &'static [&'static str],
    pub severity: Severity,
    /// The version of Bartizan that brought it.
    pub since: &'static str,
    /// What to do about a finding of it.
    pub help: &'static str,
    /// Shown in the reference, and run as tests.
    pub examples: &'static [Example],
}

/// A text that a rule must find, or must leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    Hit(&'static str),
    Miss(&'static str),
}

/// A text that the rule finds.
pub const fn hit(text: &'static str) -> Example {
    Example::Hit(text)
}

/// A text that the rule leaves alone.
pub const fn miss(text: &'static str) -> Example {
    Example::Miss(text)
}
