//! What can go wrong in the guard: only that it is set up wrongly. Hostile text is
//! no error; it is what the guard is for.

use crate::rules;

/// An error of the guard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{code}` is no rule's code; `bartizan guard rules` lists them{}", near(.nearest.as_deref()))]
    UnknownRule { code: String, nearest: Option<String> },
}

impl Error {
    pub(crate) fn unknown_rule(code: &str) -> Self {
        let code = bartizan_core::json::clip(code, 32);
        let named =
            rules::ALL.iter().find(|rule| rule.meta.name == code).map(|rule| rule.meta.code);
        let near = || bartizan_core::nearest(code, rules::ALL.iter().map(|rule| rule.meta.code));
        let nearest = named.or_else(near).map(str::to_owned);
        Self::UnknownRule { code: code.to_owned(), nearest }
    }
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|code| format!("; did you mean `{code}`?")).unwrap_or_default()
}
