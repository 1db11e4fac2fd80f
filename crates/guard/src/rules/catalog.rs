//! The list of rules.

use crate::Rule;

pub const ALL: &[&Rule] = &[];
