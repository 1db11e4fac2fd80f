//! What each rule may do in one place, such as on one route.

use std::collections::BTreeMap;

use bartizan_core::{Mode, Verdict};

use crate::{Error, Rule, rules};

/// The longest text that is inspected whole, in bytes; a request's body is bounded
/// to ten times this by default.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A rule's mode and action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub mode: Mode,
    pub action: Verdict,
}

/// The rules' settings, and the bounds of an inspection.
#[derive(Clone, Debug)]
pub struct Profile {
    changed: BTreeMap<&'static str, Setting>,
    pub text_bytes_max: usize,
    /// What becomes of a text that could not be inspected in full.
    pub not_fully_inspected: Verdict,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            changed: BTreeMap::new(),
            text_bytes_max: TEXT_BYTES_MAX,
            not_fully_inspected: Verdict::Hold,
        }
    }
}

impl Profile {
    /// Changes a rule's mode, its action, or both.
    ///
    /// # Errors
    /// When no rule has the code; the nearest one is named.
    pub fn set(
        &mut self,
        code: &str,
        mode: Option<Mode>,
        action: Option<Verdict>,
    ) -> Result<(), Error> {
        let rule = rules::ALL.iter().find(|rule| rule.meta.code.eq_ignore_ascii_case(code));
        let rule = rule.ok_or_else(|| Error::unknown_rule(code))?;
        let current = self.setting(rule);
        let setting = Setting {
            mode: mode.unwrap_or(current.mode),
            action: action.unwrap_or(current.action),
        };
        self.changed.insert(rule.meta.code, setting);
        Ok(())
    }

    /// A rule's setting here.
    pub fn setting(&self, rule: &Rule) -> Setting {
        let shipped = Setting { mode: Mode::Enforce, action: rule.action };
        self.changed.get(rule.meta.code).copied().unwrap_or(shipped)
    }
}
