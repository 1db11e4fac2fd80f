//! What an API token may do, at most: an area, to read or to manage.

use std::{borrow::Cow, fmt, str::FromStr};

use bartizan_core::json;
use bartizan_policy::Area;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Failure;

/// Such as `decisions:read`. Who may manage something may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) area: Area,
    pub(crate) manage: bool,
}

impl Scope {
    /// All that there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of = |area| [false, true].map(|manage| Self { area, manage });
        Area::ALL.into_iter().flat_map(of)
    }

    /// Whether what `wanted` is for is within this one.
    pub(crate) fn covers(self, wanted: Self) -> bool {
        self.area == wanted.area && (self.manage || !wanted.manage)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.manage { "manage" } else { "read" };
        write!(f, "{}:{verb}", self.area.as_str())
    }
}

impl FromStr for Scope {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let known = Self::all().find(|scope| scope.to_string() == text);
        known.ok_or_else(|| {
            let shown = json::clip(text, 64);
            Failure::invalid(format!(
                "`{shown}` is no scope: expected an area and a verb, such as `decisions:read` or `keys:manage`"
            ))
        })
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Scope {
    fn schema_name() -> Cow<'static, str> {
        "Scope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let all: Vec<String> = Self::all().map(|scope| scope.to_string()).collect();
        json_schema!({"enum": all, "description": "An area, and whether it may be changed."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managing_covers_reading_and_no_other_area() {
        let scope = |text: &str| text.parse::<Scope>().expect("a scope");
        assert!(scope("keys:manage").covers(scope("keys:read")));
        assert!(scope("keys:read").covers(scope("keys:read")));
        assert!(!scope("keys:read").covers(scope("keys:manage")));
        assert!(!scope("keys:manage").covers(scope("routes:read")));
        for text in ["keys", "keys:write", "Keys:read", "", "keys:read "] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }
}
