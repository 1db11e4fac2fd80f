//! Errors as the command line shows them: what, why, and what to do next.

use std::{error::Error, fmt, io::Write};

/// An error that says what to do next.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Says what to do about an error.
pub(crate) trait Hint<T> {
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hint<T> for Result<T, E> {
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| Hinted { error: error.into(), hint: text.into() }.into())
    }
}

/// An error with what to do about it.
pub(crate) fn trouble(message: impl fmt::Display, hint: impl Into<String>) -> anyhow::Error {
    Hinted { error: anyhow::anyhow!("{message}"), hint: hint.into() }.into()
}

/// Prints an error, its causes, and its hints.
pub(crate) fn print(
    error: &anyhow::Error,
    to: &mut impl Write,
    colour: bool,
) -> std::io::Result<()> {
    let word = |word: &str, code: u8| match colour {
        true => format!("\x1b[1;{code}m{word}\x1b[0m"),
        false => word.to_owned(),
    };
    let mut hints = Vec::new();
    let mut said = String::new();
    for cause in error.chain() {
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            hints.push(hinted.hint.clone());
        }
        let text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if said.is_empty() {
            writeln!(to, "{}: {text}", word("error", 31))?;
        } else if !said.contains(&text) {
            writeln!(to, "{}: {text}", word("caused by", 33))?;
        }
        said.push_str(&text);
    }
    for hint in hints {
        writeln!(to, "{}: {hint}", word("hint", 36))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn printed(error: &anyhow::Error) -> String {
        let mut out = Vec::new();
        print(error, &mut out, false).expect("writes to memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_error_is_followed_by_its_causes_and_hints() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let error = Err::<(), _>(missing)
            .hint("make the file")
            .context("cannot read `x.toml`")
            .hint("name another with --config")
            .expect_err("is an error");
        assert_eq!(
            printed(&error),
            "error: cannot read `x.toml`\ncaused by: no such file\nhint: name another with --config\nhint: make the file\n"
        );
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let error = anyhow::anyhow!("port in use").context("cannot listen: port in use");
        assert_eq!(printed(&error), "error: cannot listen: port in use\n");
    }
}
