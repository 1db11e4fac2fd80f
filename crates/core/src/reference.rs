//! References into frameworks: `framework@edition/id`, since editions re-use ids.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A pointer into an edition of a framework, such as `owasp-llm@2025/LLM01`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference(String);

/// The text is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a reference: expected `framework@edition/id`, such as `owasp-llm@2025/LLM01`"
)]
pub struct InvalidReference(String);

impl Reference {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts: framework, edition, id.
    pub fn parts(&self) -> (&str, &str, &str) {
        let (framework, rest) = self.0.split_once('@').unwrap_or((&self.0, ""));
        let (edition, id) = rest.split_once('/').unwrap_or((rest, ""));
        (framework, edition, id)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let reference = Self(text.to_owned());
        let (framework, edition, id) = reference.parts();
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@')
        };
        if text.len() <= 128 && plain(framework) && plain(edition) && plain(id) {
            Ok(reference)
        } else {
            Err(InvalidReference(crate::json::clip(text, 128).to_owned()))
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_three_parts() {
        let reference: Reference = "atlas@5.6/AML.T0051.001".parse().expect("valid");
        assert_eq!(reference.parts(), ("atlas", "5.6", "AML.T0051.001"));
        for bad in ["", "atlas", "atlas@5.6", "@5/x", "a@/x", "a@5/", "a b@5/x"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
