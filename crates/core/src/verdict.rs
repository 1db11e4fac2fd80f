//! What is decided about a text, an artifact or a call.

use serde::{Deserialize, Serialize};

/// A decision, from the mildest to the strictest; the strictest of several wins.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Pass it on as it is.
    #[default]
    Allow,
    /// Pass it on and say what was seen.
    Annotate,
    /// Pass it on without the offending parts.
    Redact,
    /// Keep it back until a person has looked.
    Hold,
    /// Refuse it.
    Block,
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Allow, Self::Annotate, Self::Redact, Self::Hold, Self::Block];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Annotate => "annotate",
            Self::Redact => "redact",
            Self::Hold => "hold",
            Self::Block => "block",
        }
    }

    /// Whether the thing judged stops here.
    pub const fn stops(self) -> bool {
        matches!(self, Self::Hold | Self::Block)
    }
}

/// How much a rule may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Its verdict counts.
    #[default]
    Enforce,
    /// It reports what it would have done.
    Monitor,
    /// It does not run.
    Off,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
            Self::Off => "off",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_wins() {
        assert_eq!(Verdict::ALL.iter().max(), Some(&Verdict::Block));
        assert!(Verdict::ALL.is_sorted());
        assert!(Verdict::Hold.stops() && !Verdict::Redact.stops());
    }
}
