//! Pieces of HTML that are made in code: whatever is not markup of ours goes through [`Text`].

use std::fmt::{self, Write};

/// A piece of HTML that is safe to stand in a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds markup; texts in it are wrapped in [`Text`].
    pub(crate) fn push(&mut self, piece: fmt::Arguments<'_>) {
        self.0.write_fmt(piece).expect("INVARIANT: writing to a String cannot fail");
    }

    /// Markup with texts in it that are wrapped in [`Text`].
    pub(crate) fn of(piece: fmt::Arguments<'_>) -> Self {
        let mut out = Self::new();
        out.push(piece);
        out
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a template made: it escapes by itself.
impl<T: askama::Template> From<&T> for Html {
    fn from(template: &T) -> Self {
        Self(template.render().unwrap_or_default())
    }
}

// Templates take it as it is.
impl askama::filters::HtmlSafe for Html {}

/// A text as it may stand in HTML, between tags and within quotes.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_place() {
        let shown = Text("<script>\"'&").to_string();
        assert_eq!(shown, "&lt;script&gt;&quot;&#39;&amp;");
    }
}
